//! What workers tell a store of remotes, and what people are shown.
//!
//! A breaker belongs to a queue and is shared by all of its workers. Closed: nothing is stored.
//! Open: until its time is over. Then one job is given out as a probe, and the others stay held
//! back until it has told how that went, or its time is over as well.

use std::time::Duration;

use crate::{
    limits,
    name::{Hold, JobId, QueueName, RemoteName},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub queue: QueueName,
    pub remote: RemoteName,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A worker has counted enough failures. Counts where the breaker is closed.
    Broken {
        reason: String,
    },
    /// The next three count from the probe that was given out last, while nobody followed it.
    ProbeWorked(Hold),
    ProbeFailed {
        hold: Hold,
        reason: String,
    },
    /// It ended without a call.
    ProbeUnused(Hold),
}

/// How long a breaker stays open that trips for the `trips`th time in a row.
pub(crate) fn open_for(trips: u32) -> Duration {
    let doubled = limits::BREAKER_OPEN.saturating_mul(1 << trips.saturating_sub(1).min(16));
    doubled.min(limits::BREAKER_OPEN_LONGEST)
}

/// A breaker that is not closed, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerView {
    pub queue: QueueName,
    pub remote: RemoteName,
    pub state: BreakerState,
    /// By the store's time: when it opened, having been closed.
    pub since_ms: u64,
    /// Openings in a row.
    pub trips: u32,
    /// Of the last one.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// The next probe goes out after so long.
    Open { next_probe: Duration },
    /// This job tries; the next one would after so long.
    Probing { job: JobId, next_probe: Duration },
    /// The next job that needs it is the probe.
    Due,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_open_twice_as_long_each_time_up_to_a_limit() {
        let secs: Vec<_> = (1..=8).map(|trips| open_for(trips).as_secs()).collect();
        assert_eq!(secs, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(open_for(u32::MAX), limits::BREAKER_OPEN_LONGEST);
    }
}
