//! The atomics of one account. Generic over them, so that loom can model the very same code.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// What a ledger needs of its atomics; loom's own stand in for the standard library's in its model.
pub(crate) trait Atomics {
    type Signed: Cell<i64>;
    type Count: Cell<u64>;
    type Flags: Cell<u32>;
}

pub(crate) trait Cell<T> {
    fn load(&self, order: Ordering) -> T;
    fn store(&self, value: T, order: Ordering);
    fn add(&self, value: T, order: Ordering) -> T;
    fn max(&self, value: T, order: Ordering) -> T;
    fn or(&self, value: T, order: Ordering) -> T;
}

macro_rules! cell {
    ($($atomic:ty => $value:ty),+) => {$(
        impl Cell<$value> for $atomic {
            #[inline]
            fn load(&self, order: Ordering) -> $value {
                self.load(order)
            }

            #[inline]
            fn store(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }

            #[inline]
            fn add(&self, value: $value, order: Ordering) -> $value {
                self.fetch_add(value, order)
            }

            #[inline]
            fn max(&self, value: $value, order: Ordering) -> $value {
                self.fetch_max(value, order)
            }

            #[inline]
            fn or(&self, value: $value, order: Ordering) -> $value {
                self.fetch_or(value, order)
            }
        }
    )+};
}

cell!(AtomicI64 => i64, AtomicU64 => u64, AtomicU32 => u32);

#[derive(Debug)]
pub(crate) struct Std;

impl Atomics for Std {
    type Signed = AtomicI64;
    type Count = AtomicU64;
    type Flags = AtomicU32;
}

const WARNED: u32 = 1;
const EXCEEDED: u32 = 2;

/// No limit.
pub(crate) const UNLIMITED: i64 = i64::MAX;

/// Bytes held on behalf of one account. Lives for ever: headers of its allocations point to it.
///
/// Two cache lines, so that the counters of two accounts never share one (adjacent lines are
/// fetched together), and so that its address makes a good hash.
#[repr(align(128))]
pub(crate) struct Ledger<A: Atomics = Std> {
    /// Below zero for moments: a thread's debits may arrive before another's charges.
    current: A::Signed,
    peak: A::Signed,
    limit: A::Signed,
    warn_at: A::Signed,
    flags: A::Flags,
    /// How often a thread began, and ended, to keep a batch for this ledger.
    claims: A::Count,
    releases: A::Count,
}

impl Ledger<Std> {
    pub(crate) const fn new() -> Self {
        Self {
            current: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            limit: AtomicI64::new(UNLIMITED),
            warn_at: AtomicI64::new(UNLIMITED),
            flags: AtomicU32::new(0),
            claims: AtomicU64::new(0),
            releases: AtomicU64::new(0),
        }
    }
}

impl<A: Atomics> Ledger<A> {
    /// Adds a thread's batch.
    pub(crate) fn flush(&self, delta: i64) {
        let now = self.current.add(delta, Ordering::AcqRel) + delta;
        if delta <= 0 {
            return;
        }
        self.peak.max(now, Ordering::AcqRel);
        if now > self.warn_at.load(Ordering::Relaxed) {
            let over = now > self.limit.load(Ordering::Relaxed);
            let flags = if over { WARNED | EXCEEDED } else { WARNED };
            self.flags.or(flags, Ordering::AcqRel);
        }
    }

    /// A thread begins to keep a batch.
    pub(crate) fn claim(&self) {
        self.claims.add(1, Ordering::SeqCst);
    }

    /// A thread ends to keep a batch: it has flushed it.
    pub(crate) fn release(&self) {
        self.releases.add(1, Ordering::SeqCst);
    }

    /// Whether nothing points here any more, asked when no account does.
    ///
    /// Without an account only the owner of a live allocation can make a claim. Equal counts, the
    /// releases read first, mean that no batch was open in between; what is held in between is
    /// then exact, and zero of it leaves nobody to claim again.
    pub(crate) fn is_quiet(&self) -> bool {
        let releases = self.releases.load(Ordering::SeqCst);
        let held = self.current.load(Ordering::SeqCst);
        held == 0 && releases == self.claims.load(Ordering::SeqCst)
    }

    /// For a new account; only while [`Ledger::is_quiet`] and without one.
    pub(crate) fn open(&self, limit: i64, warn_at: i64) {
        self.peak.store(0, Ordering::Release);
        self.flags.store(0, Ordering::Release);
        self.set_limit(limit, warn_at);
    }

    /// What is over a lower limit already shows with the next charge, or with a look.
    pub(crate) fn set_limit(&self, limit: i64, warn_at: i64) {
        self.limit.store(limit, Ordering::Release);
        self.warn_at.store(warn_at.min(limit), Ordering::Release);
    }

    pub(crate) fn current(&self) -> i64 {
        self.current.load(Ordering::Acquire)
    }

    pub(crate) fn peak(&self) -> i64 {
        self.peak.load(Ordering::Acquire)
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        match self.limit.load(Ordering::Acquire) {
            UNLIMITED => None,
            limit => Some(limit.unsigned_abs()),
        }
    }

    pub(crate) fn is_warned(&self) -> bool {
        self.flags.load(Ordering::Acquire) & WARNED != 0
            || self.current() > self.warn_at.load(Ordering::Acquire)
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.flags.load(Ordering::Acquire) & EXCEEDED != 0
            || self.current() > self.limit.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("current", &self.current())
            .field("peak", &self.peak())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stay_when_the_bytes_are_gone() {
        let ledger = Ledger::new();
        ledger.open(100, 80);
        ledger.flush(80);
        assert!(!ledger.is_warned());
        ledger.flush(1);
        assert!(ledger.is_warned() && !ledger.is_exceeded());
        ledger.flush(20);
        ledger.flush(-101);
        assert!(ledger.is_exceeded());
        assert_eq!((ledger.current(), ledger.peak()), (0, 101));
        ledger.open(100, 80);
        assert!(!ledger.is_warned() && !ledger.is_exceeded() && ledger.peak() == 0);
    }

    #[test]
    fn a_limit_lowered_under_what_is_held_shows_at_once() {
        let ledger = Ledger::new();
        ledger.flush(100);
        ledger.set_limit(50, 40);
        assert!(ledger.is_warned() && ledger.is_exceeded());
    }

    #[test]
    fn an_open_batch_is_not_quiet() {
        let ledger = Ledger::new();
        assert!(ledger.is_quiet());
        ledger.claim();
        assert!(!ledger.is_quiet());
        ledger.flush(1);
        ledger.release();
        assert!(!ledger.is_quiet());
        ledger.flush(-1);
        assert!(ledger.is_quiet());
    }
}

/// Loom runs every order of the steps of a few threads. `cargo test` does it in well under a
/// second; there is no build of its own.
#[cfg(all(test, not(miri)))]
mod model {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicI64, AtomicU32, AtomicU64},
        },
        thread,
    };

    use super::*;

    cell!(AtomicI64 => i64, AtomicU64 => u64, AtomicU32 => u32);

    struct Loom;

    impl Atomics for Loom {
        type Signed = AtomicI64;
        type Count = AtomicU64;
        type Flags = AtomicU32;
    }

    fn ledger() -> Arc<Ledger<Loom>> {
        Arc::new(Ledger {
            current: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            limit: AtomicI64::new(100),
            warn_at: AtomicI64::new(80),
            flags: AtomicU32::new(0),
            claims: AtomicU64::new(0),
            releases: AtomicU64::new(0),
        })
    }

    #[test]
    fn what_two_threads_hold_together_trips_the_flag_whoever_is_first() {
        loom::model(|| {
            let ledger = ledger();
            let other = ledger.clone();
            let thread = thread::spawn(move || other.flush(60));
            ledger.flush(60);
            thread.join().expect("it ends");
            assert_eq!((ledger.current(), ledger.peak()), (120, 120));
            ledger.flush(-120);
            assert!(ledger.is_exceeded());
        });
    }

    #[test]
    fn a_ledger_is_quiet_only_after_its_last_block_is_freed_and_told() {
        loom::model(|| {
            let ledger = ledger();
            // The first thread allocated 10; it hands the block over before it flushes.
            ledger.claim();
            let freed = Arc::new(AtomicU32::new(0));
            let (there, told) = (ledger.clone(), freed.clone());
            let freeing = thread::spawn(move || {
                there.claim();
                there.flush(-10);
                told.store(1, Ordering::SeqCst);
                there.release();
            });
            let there = ledger.clone();
            let sweeping = thread::spawn(move || there.is_quiet());
            ledger.flush(10);
            ledger.release();
            let quiet = sweeping.join().expect("it ends");
            assert!(!quiet || freed.load(Ordering::SeqCst) == 1, "a block is still out there");
            freeing.join().expect("it ends");
            assert!(ledger.is_quiet());
        });
    }
}
