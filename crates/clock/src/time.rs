//! Monotonic and wall time, kept apart by their types.

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::{Add, Sub},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crate::manual::{ManualClock, ManualSleep};

/// A point in time since boot, the time spent suspended included; never steps back.
///
/// Boot time and not `CLOCK_MONOTONIC`: a laptop or a virtual machine that sleeps for an hour must
/// wake up to entries that are an hour older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    pub const FAR_FUTURE: Instant = Instant(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this, zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_sub(nanos))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.0 as f64 / 1e9)
    }
}

/// Milliseconds since the Unix epoch. For people and for calendars, never for ages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(i64);

impl WallTime {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

/// When the machine was started, in the nanoseconds of an [`Instant`]: there are decades before it,
/// because what is read from a store may be older than the machine that reads it.
const BOOT: u64 = 1 << 61;

/// Where time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    Manual(Arc<ManualClock>),
}

impl Clock {
    #[inline]
    pub fn now(&self) -> Instant {
        match self {
            Clock::System => {
                // The vDSO answers this without a system call: about 25 ns.
                #[expect(clippy::disallowed_methods, reason = "this is the clock others take")]
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                Instant(BOOT + time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
            }
            Clock::Manual(manual) => manual.now(),
        }
    }

    pub fn wall(&self) -> WallTime {
        match self {
            Clock::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the clock others take")]
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
                WallTime(time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
            }
            Clock::Manual(manual) => manual.wall(),
        }
    }

    /// Nanoseconds since the Unix epoch, for those who compare what several machines have done.
    pub fn wall_nanos(&self) -> u64 {
        match self {
            Clock::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the clock others take")]
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
                (time.tv_sec * 1_000_000_000 + time.tv_nsec).cast_unsigned()
            }
            Clock::Manual(manual) => (manual.wall().as_millis() * 1_000_000).cast_unsigned(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the sleep others take")]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        match self {
            Clock::System => Sleep(Kind::System(Box::pin(tokio::time::sleep(duration)))),
            Clock::Manual(manual) => {
                Sleep(Kind::Manual(manual.sleep_until(manual.now() + duration)))
            }
        }
    }

    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        self.sleep(deadline.since(self.now()))
    }

    /// Waits for `future`, but no longer than `limit`.
    pub async fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, TimedOut> {
        let mut future = pin!(future);
        let mut sleep = self.sleep(limit);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| Err(TimedOut))
        })
        .await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for TimedOut {}

/// Ends when its time has come by the clock that made it.
#[derive(Debug)]
pub struct Sleep(Kind);

#[derive(Debug)]
enum Kind {
    System(Pin<Box<tokio::time::Sleep>>),
    Manual(ManualSleep),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::System(sleep) => sleep.as_mut().poll(cx),
            Kind::Manual(sleep) => Pin::new(sleep).poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_goes_forward_and_saturates() {
        let clock = Clock::System;
        let first = clock.now();
        assert!(clock.now() >= first);
        assert_eq!(first.since(first + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(Instant::FAR_FUTURE + Duration::from_secs(1), Instant::FAR_FUTURE);
        assert_eq!(Instant::from_nanos(1) - Duration::from_secs(1), Instant::from_nanos(0));
    }

    #[test]
    fn what_is_older_than_the_machine_is_as_old_as_it_is() {
        let (now, decade) = (Clock::System.now(), Duration::from_secs(10 * 365 * 24 * 3600));
        assert_eq!(now.since(now - decade), decade);
    }

    #[tokio::test]
    async fn a_timeout_ends_by_the_clock_it_was_given() {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(0)));
        let clock = Clock::Manual(manual.clone());
        let mut waiting =
            Box::pin(clock.timeout(Duration::from_secs(5), std::future::pending::<()>()));
        assert!(futures_poll(&mut waiting).is_pending());
        manual.advance(Duration::from_secs(4));
        assert!(futures_poll(&mut waiting).is_pending());
        manual.advance(Duration::from_secs(1));
        assert_eq!(futures_poll(&mut waiting), Poll::Ready(Err(TimedOut)));
    }

    fn futures_poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
