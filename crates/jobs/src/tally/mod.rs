//! What became of jobs of one kind over a while, in numbers that can be added up.

mod code;
mod histogram;

use std::time::Duration;

pub use histogram::Histogram;

/// What a worker measured of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// From its start to its end; nothing when it did not start.
    pub run: Option<Duration>,
    /// Of its account, or of its process; nothing where memory is not metered.
    pub peak_bytes: Option<u64>,
}

/// Of one kind on one queue, or of several added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Jobs that ended so.
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Attempts after which another one follows.
    pub retried: u64,
    /// Attempts that killed their process.
    pub killed: u64,
    /// In milliseconds: how long jobs were due before they were claimed.
    pub waited_ms: Histogram,
    /// In milliseconds: how long attempts ran.
    pub ran_ms: Histogram,
    pub peak_bytes: Histogram,
}

impl Tally {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Jobs that ended, however.
    pub fn ended(&self) -> u64 {
        self.done + self.failed + self.cancelled
    }

    /// Of those that were done or failed, the share that was done; nothing when there are none.
    pub fn success_rate(&self) -> Option<f64> {
        let tried = self.done + self.failed;
        (tried > 0).then(|| self.done as f64 / tried as f64)
    }

    /// Jobs done per second.
    pub fn throughput(&self, over: Duration) -> f64 {
        self.done as f64 / over.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub fn merge(&mut self, other: &Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.retried += other.retried;
        self.killed += other.killed;
        self.waited_ms.merge(&other.waited_ms);
        self.ran_ms.merge(&other.ran_ms);
        self.peak_bytes.merge(&other.peak_bytes);
    }

    pub(crate) fn measured(&mut self, measured: &Measured) {
        if let Some(run) = measured.run {
            self.ran_ms.record(u64::try_from(run.as_millis()).unwrap_or(u64::MAX));
        }
        if let Some(bytes) = measured.peak_bytes {
            self.peak_bytes.record(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_what_they_say() {
        let tally = Tally { done: 30, failed: 10, cancelled: 5, retried: 7, ..Tally::default() };
        assert_eq!((tally.ended(), tally.success_rate()), (45, Some(0.75)));
        assert_eq!(tally.throughput(Duration::from_secs(60)), 0.5);
        assert_eq!(Tally::default().success_rate(), None);
    }
}
