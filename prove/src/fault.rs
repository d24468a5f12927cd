//! What is done to the nodes and their servers.

use std::fmt;

use samovar_clock::Random;
use serde::{Deserialize, Serialize};

use crate::place::Level;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// SIGKILL for a node at a random time.
    Kill,
    /// A node kills itself at a named point between two steps.
    Point,
    /// SIGSTOP for a node, for longer than its leases; then SIGCONT.
    Stop,
    /// A node can write to no file for a while.
    DiskFull,
    /// SIGKILL for Redis, which starts again with what is on its disk.
    RedisKill,
    /// SIGSTOP for Redis, about as long as a lease; then SIGCONT.
    RedisStop,
    /// The clock of Redis jumps ahead by seconds.
    ClockForward,
    /// The clock of Redis jumps back by seconds.
    ClockBack,
    /// Sentinels are told to make the replica the master.
    Failover,
    /// SIGKILL for the master, which the sentinels have to notice; it comes back as a replica.
    MasterKill,
}

use Kind::{
    ClockBack, ClockForward, DiskFull, Failover, Kill, MasterKill, Point, RedisKill, RedisStop,
    Stop,
};

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kill => "kill",
            Point => "point",
            Stop => "stop",
            DiskFull => "disk full",
            RedisKill => "redis kill",
            RedisStop => "redis stop",
            ClockForward => "clock ahead",
            ClockBack => "clock back",
            Failover => "failover",
            MasterKill => "master kill",
        }
    }

    pub(crate) fn is_for_a_node(self) -> bool {
        matches!(self, Kill | Point | Stop | DiskFull)
    }

    /// By weights: what takes longer comes less often.
    pub(crate) fn draw(level: Level, random: &Random) -> Self {
        let choice: &[(Kind, u64)] = match level {
            Level::Embedded => &[(Kill, 40), (Point, 40), (Stop, 8), (DiskFull, 12)],
            Level::RedisLocal | Level::RedisNone => &[
                (Kill, 30),
                (Point, 34),
                (Stop, 10),
                (RedisKill, 10),
                (RedisStop, 8),
                (ClockForward, 4),
                (ClockBack, 4),
            ],
            Level::RedisReplicated | Level::RedisFailover => &[
                (Kill, 40),
                (Point, 44),
                (Stop, 8),
                (RedisStop, 3),
                (Failover, 4),
                (MasterKill, 1),
            ],
        };
        let mut drawn = random.below(choice.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in choice {
            match drawn.checked_sub(*weight) {
                Some(left) => drawn = left,
                None => return *kind,
            }
        }
        Kill
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
