//! A clock that stands still until it is told to move.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::time::{Instant, WallTime};

/// Time for tests and simulations. Sleeps end when [`ManualClock::advance`] reaches them.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Instant,
    /// Wall time minus boot time, in milliseconds; moved alone by `step_wall`.
    wall_offset_ms: i64,
    next_timer: u64,
    /// Ordered by deadline, then by creation, so that a seed decides everything.
    timers: BTreeMap<(Instant, u64), Option<Waker>>,
}

impl ManualClock {
    pub fn new(wall: WallTime) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        Self {
            state: Mutex::new(State {
                now,
                wall_offset_ms: wall.as_millis() - 1000,
                next_timer: 0,
                timers: BTreeMap::new(),
            }),
        }
    }

    pub fn now(&self) -> Instant {
        self.state().now
    }

    pub fn wall(&self) -> WallTime {
        let state = self.state();
        WallTime::from_millis(state.wall_offset_ms + (state.now.as_nanos() / 1_000_000) as i64)
    }

    /// Moves both clocks and ends the sleeps that fall due.
    pub fn advance(&self, duration: Duration) {
        let to = self.now() + duration;
        self.advance_to(to);
    }

    pub fn advance_to(&self, to: Instant) {
        let due = {
            let mut state = self.state();
            if to <= state.now {
                return;
            }
            state.now = to;
            let later = state.timers.split_off(&(to, u64::MAX));
            std::mem::replace(&mut state.timers, later)
        };
        for waker in due.into_values().flatten() {
            waker.wake();
        }
    }

    /// Steps the wall clock alone, as an administrator or a time server would.
    pub fn step_wall(&self, by_ms: i64) {
        self.state().wall_offset_ms += by_ms;
    }

    /// When the next sleep ends, if anybody sleeps.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.state().timers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(crate) fn sleep_until(self: &Arc<Self>, deadline: Instant) -> ManualSleep {
        ManualSleep { clock: self.clone(), deadline, timer: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct ManualSleep {
    clock: Arc<ManualClock>,
    deadline: Instant,
    timer: Option<u64>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.clock.state();
        if state.now >= this.deadline {
            return Poll::Ready(());
        }
        let timer = *this.timer.get_or_insert_with(|| {
            state.next_timer += 1;
            state.next_timer
        });
        state.timers.insert((this.deadline, timer), Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.clock.state().timers.remove(&(self.deadline, timer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_sleep_leaves_no_timer_behind() {
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(0)));
        let mut sleep = Box::pin(clock.sleep_until(clock.now() + Duration::from_secs(1)));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(clock.next_deadline(), Some(clock.now() + Duration::from_secs(1)));
        drop(sleep);
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn stepping_the_wall_leaves_boot_time_alone() {
        let clock = ManualClock::new(WallTime::from_millis(5_000));
        let before = clock.now();
        clock.step_wall(-4_000);
        assert_eq!(clock.wall(), WallTime::from_millis(1_000));
        assert_eq!(clock.now(), before);
    }
}
