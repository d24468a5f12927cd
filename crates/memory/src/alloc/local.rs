//! What a thread knows: the account it works for, and the charges it has not told the ledgers yet.
//!
//! The thread-local value has no destructor of its own, so that allocating is possible to the very
//! end of a thread; a second one, touched once per thread, flushes when the thread ends.

use std::cell::Cell;

use crate::account::{Ledger, PROCESS};

/// A thread keeps at most this much per ledger to itself.
pub const BATCH_BYTES: i64 = 64 * 1024;

/// Ledgers a thread keeps batches for at a time. More than a few means that work moves between
/// accounts, and then the oldest batch of the same hash gives way.
const SLOTS: usize = 8;

struct Slot {
    ledger: Cell<Option<&'static Ledger>>,
    delta: Cell<i64>,
}

impl Slot {
    /// The ledger is told and no longer kept.
    fn release(&self) {
        if let Some(ledger) = self.ledger.take() {
            self.flush(ledger);
            ledger.release();
        }
    }

    fn flush(&self, ledger: &'static Ledger) {
        let delta = self.delta.take();
        if delta != 0 {
            ledger.flush(delta);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    New,
    Flushing,
    Ended,
}

struct Local {
    current: Cell<&'static Ledger>,
    /// Untold charges of the current ledger, which needs no claim: its account is borrowed. Or
    /// [`WATCHED`].
    home: Cell<i64>,
    /// Untold charges of others.
    slots: [Slot; SLOTS],
    stage: Cell<Stage>,
    /// Calls of the allocator that went the slow way.
    slow_calls: Cell<u64>,
}

/// No charge is kept, and the next goes the slow way: it is beyond every batch.
const WATCHED: i64 = i64::MIN / 4;

thread_local! {
    static LOCAL: Local = const {
        Local {
            current: Cell::new(&PROCESS),
            home: Cell::new(WATCHED),
            slots: [const { Slot { ledger: Cell::new(None), delta: Cell::new(0) } }; SLOTS],
            stage: Cell::new(Stage::New),
            slow_calls: Cell::new(0),
        }
    };
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            local.stage.set(Stage::Ended);
            local.flush_home();
            local.home.set(WATCHED);
            local.slots.iter().for_each(Slot::release);
        });
    }
}

/// Adds `delta` to what is held for `ledger`.
#[inline]
pub(crate) fn charge(ledger: &'static Ledger, delta: i64) {
    LOCAL.with(|local| {
        if std::ptr::eq(ledger, local.current.get()) {
            local.charge_home(delta);
        } else {
            local.charge_other(ledger, delta);
        }
    });
}

/// Charges the account the thread works for, and returns its ledger for the block's header.
#[inline]
pub(crate) fn charge_current(delta: i64) -> &'static Ledger {
    LOCAL.with(|local| {
        local.charge_home(delta);
        local.current.get()
    })
}

impl Local {
    #[inline]
    fn charge_home(&self, delta: i64) {
        let sum = self.home.get() + delta;
        // One comparison for both ends: what is below the lower one wraps around.
        if ((sum + BATCH_BYTES) as u64) < 2 * BATCH_BYTES as u64 {
            self.home.set(sum);
        } else {
            self.charge_home_slowly(delta);
        }
    }

    #[cold]
    #[inline(never)]
    fn charge_home_slowly(&self, delta: i64) {
        let ledger = self.current.get();
        if self.begin(ledger, delta) == Stage::Ended {
            return;
        }
        let kept = if self.home.get() == WATCHED { 0 } else { self.home.get() };
        self.home.set(kept + delta);
        if self.home.get().unsigned_abs() >= BATCH_BYTES.unsigned_abs() {
            self.flush_home();
        }
    }

    #[inline(never)]
    fn charge_other(&self, ledger: &'static Ledger, delta: i64) {
        if self.stage.get() != Stage::Flushing && self.begin(ledger, delta) == Stage::Ended {
            return;
        }
        let slot = self.slot(ledger);
        if !slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, ledger)) {
            slot.release();
            ledger.claim();
            slot.ledger.set(Some(ledger));
        }
        let sum = slot.delta.get() + delta;
        slot.delta.set(sum);
        if sum.unsigned_abs() >= BATCH_BYTES.unsigned_abs() {
            slot.flush(ledger);
        }
    }

    /// Sees to it that the thread's end is watched. After the end, charges at once.
    fn begin(&self, ledger: &'static Ledger, delta: i64) -> Stage {
        self.slow_calls.set(self.slow_calls.get() + 1);
        match self.stage.get() {
            Stage::Ended => {
                // Claimed, so that the ledger cannot be taken for quiet between two frees.
                ledger.claim();
                ledger.flush(delta);
                ledger.release();
            }
            Stage::New => {
                // Before the destructor is registered, which may come back here.
                self.stage.set(Stage::Flushing);
                END.with(|_| ());
            }
            Stage::Flushing => {}
        }
        self.stage.get()
    }

    fn slot(&self, ledger: &'static Ledger) -> &Slot {
        let line = std::ptr::from_ref(ledger).addr() / align_of::<Ledger>();
        &self.slots[line % SLOTS]
    }

    fn flush_home(&self) {
        let kept = self.home.get();
        if kept != WATCHED && kept != 0 {
            self.home.set(0);
            self.current.get().flush(kept);
        }
    }

    /// What was kept for the former ledger waits in a slot: it is the process's as a rule, and
    /// telling that from every thread at every scope would be a fight over one cache line.
    fn enter(&self, ledger: &'static Ledger) -> &'static Ledger {
        let former = self.current.get();
        let kept = self.home.get();
        if kept != WATCHED && kept != 0 && !std::ptr::eq(former, ledger) {
            self.home.set(0);
            self.charge_other(former, kept);
        }
        self.current.replace(ledger)
    }

    fn leave(&self, to: &'static Ledger) {
        let left = self.current.get();
        if std::ptr::eq(left, to) {
            return;
        }
        self.flush_home();
        self.current.set(to);
        if !std::ptr::eq(left, &raw const PROCESS) {
            let slot = self.slot(left);
            if slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, left)) {
                slot.release();
            }
        }
    }
}

/// Runs `work` for the account of `ledger`; what it was charged is told when it ends.
pub(crate) fn within<T>(ledger: &'static Ledger, work: impl FnOnce() -> T) -> T {
    struct Back(&'static Ledger);
    impl Drop for Back {
        fn drop(&mut self) {
            LOCAL.with(|local| local.leave(self.0));
        }
    }
    let _back = Back(LOCAL.with(|local| local.enter(ledger)));
    work()
}

/// The ledger the thread works for.
pub(crate) fn current() -> &'static Ledger {
    LOCAL.with(|local| local.current.get())
}

/// Tells one ledger what this thread kept for it.
pub(crate) fn flush(ledger: &'static Ledger) {
    LOCAL.with(|local| {
        if std::ptr::eq(ledger, local.current.get()) {
            local.flush_home();
        }
        let slot = local.slot(ledger);
        if slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, ledger)) {
            slot.flush(ledger);
        }
    });
}

/// Tells all ledgers what this thread kept for them.
pub(crate) fn flush_all() {
    LOCAL.with(|local| {
        local.flush_home();
        local.slots.iter().for_each(Slot::release);
    });
}

/// Whether `work` made a call of the metering allocator on this thread.
pub(crate) fn sees_allocator_in(work: impl FnOnce()) -> bool {
    LOCAL.with(|local| {
        let calls = local.slow_calls.get();
        local.flush_home();
        local.home.set(WATCHED);
        work();
        local.slow_calls.get() != calls
    })
}
