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
    /// Redis can write to no file for a while. Where it has promised to write before it answers, it
    /// ends itself and starts again.
    RedisDiskFull,
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
    ClockBack, ClockForward, DiskFull, Failover, Kill, MasterKill, Point, RedisDiskFull, RedisKill,
    RedisStop, Stop,
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
            RedisDiskFull => "redis disk full",
            ClockForward => "clock ahead",
            ClockBack => "clock back",
            Failover => "failover",
            MasterKill => "master kill",
        }
    }

    pub(crate) fn is_for_a_node(self) -> bool {
        matches!(self, Kill | Point | Stop | DiskFull)
    }

    /// Of faults that come over a node: it is dead afterwards.
    pub(crate) fn is_deadly(self) -> bool {
        matches!(self, Kill | Point)
    }

    /// What can happen at a level, by weight: what takes longer comes less often.
    fn weights(level: Level) -> &'static [(Kind, u64)] {
        match level {
            Level::Embedded => &[(Kill, 40), (Point, 40), (Stop, 8), (DiskFull, 12)],
            Level::RedisLocal => &[
                (Kill, 28),
                (Point, 34),
                (Stop, 8),
                (RedisKill, 10),
                (RedisStop, 6),
                (RedisDiskFull, 6),
                (ClockForward, 4),
                (ClockBack, 4),
            ],
            Level::RedisNone => &[
                (Kill, 32),
                (Point, 36),
                (Stop, 8),
                (RedisKill, 10),
                (RedisStop, 6),
                (ClockForward, 4),
                (ClockBack, 4),
            ],
            Level::RedisReplicated | Level::RedisFailover => &[
                (Kill, 34),
                (Point, 40),
                (Stop, 8),
                (RedisStop, 5),
                (RedisDiskFull, 4),
                (Failover, 6),
                (MasterKill, 3),
            ],
        }
    }

    fn draw(level: Level, random: &Random) -> Self {
        let choice = Self::weights(level);
        let mut drawn = random.below(choice.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in choice {
            match drawn.checked_sub(*weight) {
                Some(left) => drawn = left,
                None => return *kind,
            }
        }
        Kill
    }

    /// So many faults in an order of chance, each kind among them if there is room for all.
    pub(crate) fn series(level: Level, count: usize, random: &Random) -> Vec<Self> {
        let mut series: Vec<_> = Self::weights(level).iter().map(|(kind, _)| *kind).collect();
        series.resize_with(series.len().max(count), || Self::draw(level, random));
        for at in (1..series.len()).rev() {
            series.swap(at, random.below(at as u64 + 1) as usize);
        }
        series.truncate(count);
        series
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_holds_each_kind_and_as_many_faults_as_were_asked_for() {
        for level in Level::ALL {
            let series = Kind::series(level, 30, &Random::seeded(1));
            assert_eq!(series.len(), 30);
            for (kind, _) in Kind::weights(level) {
                assert!(series.contains(kind), "{kind} at {level}");
            }
            assert_eq!(Kind::series(level, 2, &Random::seeded(1)).len(), 2);
        }
    }
}
