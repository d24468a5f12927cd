//! The store's time: milliseconds that never go back for one file.

use samovar_clock::{Clock, Instant};

/// Starts at the wall clock or at the latest time the file has recorded, whichever is later, and
/// goes on by boot time. A wall clock that is set back, now or between two runs, does not move it.
#[derive(Debug)]
pub(super) struct StoreTime {
    clock: Clock,
    opened_at: Instant,
    opened_ms: u64,
}

impl StoreTime {
    pub(super) fn start(clock: Clock, recorded_ms: u64) -> Self {
        let wall_ms = u64::try_from(clock.wall().as_millis()).unwrap_or(0);
        let opened_at = clock.now();
        Self { clock, opened_at, opened_ms: wall_ms.max(recorded_ms) }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.opened_ms + self.clock.now().since(self.opened_at).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use samovar_clock::{ManualClock, WallTime};

    use super::*;

    #[test]
    fn it_follows_boot_time_and_ignores_the_wall_clock_once_open() {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(5_000)));
        let time = StoreTime::start(Clock::Manual(manual.clone()), 0);
        assert_eq!(time.now_ms(), 5_000);
        manual.step_wall(-4_000);
        manual.advance(Duration::from_millis(10));
        assert_eq!(time.now_ms(), 5_010);
        manual.step_wall(1_000_000);
        assert_eq!(time.now_ms(), 5_010);
    }

    #[test]
    fn it_starts_where_the_file_left_off_when_the_wall_clock_is_behind() {
        let clock = Clock::Manual(Arc::new(ManualClock::new(WallTime::from_millis(5_000))));
        assert_eq!(StoreTime::start(clock.clone(), 9_000).now_ms(), 9_000);
        assert_eq!(StoreTime::start(clock, 4_000).now_ms(), 5_000);
    }
}
