//! How long what was heard from a master may be believed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use samovar_clock::Instant;

/// One unbroken time of listening to one master. Ended for good by any gap: whoever listens again
/// starts a new one, and what was loaded under the old one has to ask the store.
#[derive(Debug)]
pub struct Trust {
    /// Nanoseconds of boot time; `ENDED` for good, `FOREVER` where nobody else can write.
    until: AtomicU64,
}

const ENDED: u64 = 0;
const FOREVER: u64 = u64::MAX;

impl Trust {
    /// A listener that has not heard its own heartbeat yet: holds nothing.
    pub const fn unproven() -> Self {
        Self { until: AtomicU64::new(1) }
    }

    /// The one process that owns its store misses nothing.
    pub const fn forever() -> Self {
        Self { until: AtomicU64::new(FOREVER) }
    }

    #[inline]
    pub fn holds(&self, now: Instant) -> bool {
        now.as_nanos() < self.until.load(Ordering::Acquire)
    }

    /// A heartbeat came back: everything that was published before `sent_at` has been heard.
    pub fn extend(&self, sent_at: Instant, bound: Duration) {
        let until = (sent_at + bound).as_nanos();
        let raise = |old| (old != ENDED && old < until).then_some(until);
        // An error means: ended, or already known to a later time. Both stay.
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);
    }

    pub fn end(&self) {
        self.until.store(ENDED, Ordering::Release);
    }

    pub fn has_ended(&self) -> bool {
        self.until.load(Ordering::Acquire) == ENDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn trust_counts_from_the_send_time_of_the_last_heartbeat_that_came_back() {
        let trust = Trust::unproven();
        assert!(!trust.holds(at(10)));
        trust.extend(at(10), BOUND);
        assert!(trust.holds(at(10)));
        assert!(!trust.holds(at(11)));
        trust.extend(at(9), BOUND);
        assert!(trust.holds(at(10)), "an older heartbeat that comes back late takes nothing away");
    }

    #[test]
    fn what_has_ended_stays_ended() {
        let trust = Trust::unproven();
        trust.extend(at(10), BOUND);
        trust.end();
        trust.extend(at(11), BOUND);
        assert!(trust.has_ended());
        assert!(!trust.holds(at(11)));
    }
}
