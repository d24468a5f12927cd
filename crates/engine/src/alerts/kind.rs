//! Which alerts there are, and from when on each of them holds unless the file says otherwise.

use std::time::Duration;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertKind {
    HitRate,
    Response,
    Errors,
    StoreMemory,
    StoreUnreachable,
    LeaseFailures,
    QueueWait,
    MemoryUsage,
    MemoryLimit,
    MemoryGrowth,
    MemoryLeak,
    MemoryPurges,
    MemorySplit,
}

/// On which side of its threshold a value is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Above,
    Below,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    #[serde(rename = "%")]
    Percent,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "MB/min")]
    MegabytesAMinute,
    #[serde(rename = "/min")]
    AMinute,
    #[serde(rename = "count")]
    Count,
    /// 1 while it is so, 0 while it is not.
    #[serde(rename = "flag")]
    Flag,
}

/// An alert, as it is unless the file says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) says: &'static str,
    pub(crate) side: Side,
    pub(crate) threshold: f64,
    pub(crate) unit: Unit,
    /// It has to hold for so long, and to be over for as long.
    pub(crate) lasts: Duration,
    /// All processes on one store see the same.
    pub(crate) is_shared: bool,
}

const AT_ONCE: Duration = Duration::ZERO;
const MINUTE: Duration = Duration::from_secs(60);

impl AlertKind {
    pub const ALL: [AlertKind; 13] = [
        AlertKind::HitRate,
        AlertKind::Response,
        AlertKind::Errors,
        AlertKind::StoreMemory,
        AlertKind::StoreUnreachable,
        AlertKind::LeaseFailures,
        AlertKind::QueueWait,
        AlertKind::MemoryUsage,
        AlertKind::MemoryLimit,
        AlertKind::MemoryGrowth,
        AlertKind::MemoryLeak,
        AlertKind::MemoryPurges,
        AlertKind::MemorySplit,
    ];

    pub fn name(self) -> &'static str {
        self.about().name
    }

    pub fn unit(self) -> Unit {
        self.about().unit
    }

    pub fn side(self) -> Side {
        self.about().side
    }

    pub fn threshold(self) -> f64 {
        self.about().threshold
    }

    pub fn lasts(self) -> Duration {
        self.about().lasts
    }

    #[rustfmt::skip]
    pub(crate) fn about(self) -> About {
        use Side::{Above, Below};
        use Unit::{AMinute, Count, Flag, MegabytesAMinute, Milliseconds, Percent};
        let about = |name, says, side, threshold, unit, lasts| {
            About { name, says, side, threshold, unit, lasts, is_shared: false }
        };
        let of_store = |it: About| About { is_shared: true, ..it };
        match self {
            Self::HitRate => about("hit_rate", "reads that find a value", Below, 90.0, Percent, 5 * MINUTE),
            Self::Response => about("response", "the mean time of a read", Above, 500.0, Milliseconds, 5 * MINUTE),
            Self::Errors => about("errors", "computes that fail, of all reads", Above, 1.0, Percent, 5 * MINUTE),
            Self::StoreMemory => of_store(about("store_memory", "what the store of the cache holds, of its limit", Above, 80.0, Percent, MINUTE)),
            Self::StoreUnreachable => about("store_unreachable", "a store does not answer", Above, 0.0, Flag, MINUTE / 4),
            Self::LeaseFailures => about("lease_failures", "leases lost before the value came", Above, 5.0, Percent, 5 * MINUTE),
            Self::QueueWait => of_store(about("queue_wait", "the longest wait of a job that is due", Above, 300_000.0, Milliseconds, MINUTE)),
            Self::MemoryUsage => about("memory_usage", "what a job holds, of its limit", Above, 80.0, Percent, AT_ONCE),
            Self::MemoryLimit => about("memory_limit", "jobs that went over their limit", Above, 0.0, Count, AT_ONCE),
            Self::MemoryGrowth => about("memory_growth", "how fast a job grows", Above, 50.0, MegabytesAMinute, AT_ONCE),
            Self::MemoryLeak => about("memory_leak", "kinds of jobs that keep memory after their end", Above, 0.0, Count, AT_ONCE),
            Self::MemoryPurges => about("memory_purges", "how often memory is asked back", Above, 60.0, AMinute, MINUTE),
            Self::MemorySplit => about("memory_split", "jobs that were split because they were too big", Above, 0.0, Count, AT_ONCE),
        }
    }
}

impl Side {
    /// Exactly at the threshold nothing is wrong.
    pub(crate) fn is_wrong(self, value: f64, threshold: f64) -> bool {
        match self {
            Side::Above => value > threshold,
            Side::Below => value < threshold,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Side::Above => "above",
            Side::Below => "below",
        }
    }
}

impl Unit {
    /// `83.1 %`
    pub(crate) fn show(self, value: f64) -> String {
        let value = (value * 10.0).round() / 10.0;
        match self {
            Unit::Percent => format!("{value} %"),
            Unit::Milliseconds if value >= 10_000.0 => {
                format!("{} s", (value / 1000.0).round())
            }
            Unit::Milliseconds => format!("{value} ms"),
            Unit::MegabytesAMinute => format!("{value} MB a minute"),
            Unit::AMinute => format!("{value} a minute"),
            Unit::Count | Unit::Flag => value.to_string(),
        }
    }
}
