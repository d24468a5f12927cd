//! How many jobs a worker runs at a time: more while jobs wait for slots, fewer while they wait for
//! memory or for nothing.

use std::time::Duration;

use samovar_clock::Instant;

/// The least and the most jobs at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    pub min: usize,
    pub max: usize,
}

impl Slots {
    pub const fn fixed(slots: usize) -> Self {
        Self { min: slots, max: slots }
    }
}

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Slots that nobody took for so long are given up.
const SPARE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Scale {
    slots: Slots,
    now: usize,
    looks_at: Instant,
    /// Over this window, the most slots that were taken.
    window_ends: Instant,
    most_taken: usize,
    /// What jobs claimed a moment ago ask for is not there yet: only a second look in a row counts.
    was_tight: bool,
}

/// What a look shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Jobs that were claimed, and how many of them have their memory.
    pub(super) taken: usize,
    pub(super) admitted: usize,
    /// Some queue may hold jobs for which there was no slot.
    pub(super) backlog: bool,
    /// There is none to be had for another job.
    pub(super) memory_is_tight: bool,
}

impl Scale {
    pub(super) fn new(slots: Slots, now: Instant) -> Self {
        let (window_ends, now_open) = (now + SPARE, slots.min);
        Self { slots, now: now_open, looks_at: now, window_ends, most_taken: 0, was_tight: false }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.slots.min < self.slots.max && now >= self.looks_at
    }

    pub(super) fn slots(&self) -> usize {
        self.now
    }

    pub(super) fn look(&mut self, look: Look, now: Instant) {
        let Slots { min, max } = self.slots;
        self.looks_at = now + LOOK;
        self.most_taken = self.most_taken.max(look.taken);
        let was_tight = std::mem::replace(&mut self.was_tight, look.memory_is_tight);
        if look.memory_is_tight && was_tight {
            // What waits for memory here could run elsewhere.
            self.now = self.now.min(look.admitted);
        } else if look.backlog && !look.memory_is_tight {
            self.now = self.now.saturating_mul(2);
        } else if now >= self.window_ends {
            self.now = self.now.min(self.most_taken);
        }
        if now >= self.window_ends {
            (self.window_ends, self.most_taken) = (now + SPARE, look.taken);
        }
        self.now = self.now.clamp(min, max);
    }
}

#[cfg(test)]
mod tests {
    use samovar_clock::{Clock, ManualClock, WallTime};

    use super::*;

    struct Bench {
        clock: std::sync::Arc<ManualClock>,
        scale: Scale,
    }

    impl Bench {
        fn new(min: usize, max: usize) -> Self {
            let clock = std::sync::Arc::new(ManualClock::new(WallTime::from_millis(0)));
            let scale = Scale::new(Slots { min, max }, Clock::Manual(clock.clone()).now());
            Self { clock, scale }
        }

        /// So many jobs, of which all have their memory.
        fn look(&mut self, taken: usize, backlog: bool) -> usize {
            self.see(Look { taken, admitted: taken, backlog, memory_is_tight: false })
        }

        fn see(&mut self, look: Look) -> usize {
            self.clock.advance(LOOK);
            let now = Clock::Manual(self.clock.clone()).now();
            assert!(self.scale.is_due(now));
            self.scale.look(look, now);
            assert!(!self.scale.is_due(now), "not twice at once");
            self.scale.slots()
        }
    }

    #[test]
    fn a_backlog_opens_slots_up_to_the_most() {
        let mut bench = Bench::new(1, 6);
        assert_eq!(bench.scale.slots(), 1);
        assert_eq!(bench.look(1, false), 1, "one job is no backlog");
        let grown: Vec<_> = [1, 2, 4, 6].map(|taken| bench.look(taken, true)).into();
        assert_eq!(grown, [2, 4, 6, 6]);
    }

    #[test]
    fn jobs_that_wait_for_memory_close_the_slots_they_wait_in() {
        let mut bench = Bench::new(2, 16);
        for taken in [2, 4, 8] {
            bench.look(taken, true);
        }
        let tight = Look { taken: 16, admitted: 5, backlog: true, memory_is_tight: true };
        assert_eq!(bench.see(tight), 16, "a moment may pass");
        assert_eq!(bench.see(tight), 5);
        assert_eq!(bench.see(Look { admitted: 0, ..tight }), 2, "never less than the least");
        assert_eq!(bench.look(2, true), 4, "until there is memory again");
    }

    #[test]
    fn slots_that_nobody_takes_are_given_up_after_a_while() {
        let mut bench = Bench::new(1, 8);
        for taken in [1, 2, 4, 8] {
            bench.look(taken, true);
        }
        bench.clock.advance(SPARE);
        assert_eq!(bench.look(3, false), 8, "a moment ago they were taken");
        bench.look(5, false);
        bench.clock.advance(SPARE);
        assert_eq!(bench.look(0, false), 5, "as many as were taken meanwhile");
        bench.clock.advance(SPARE);
        assert_eq!(bench.look(0, false), 1);
    }

    #[test]
    fn a_fixed_number_needs_no_look() {
        let scale = Bench::new(4, 4).scale;
        assert_eq!(scale.slots(), 4);
        assert!(!scale.is_due(scale.looks_at + SPARE));
    }
}
