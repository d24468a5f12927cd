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
    slots: [Slot; SLOTS],
    /// Zero sends each charge the slow way: before the thread's end is watched, and after it came.
    batch: Cell<u64>,
    stage: Cell<Stage>,
    /// Calls of the allocator that went the slow way.
    slow_calls: Cell<u64>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            current: Cell::new(&PROCESS),
            slots: [const { Slot { ledger: Cell::new(None), delta: Cell::new(0) } }; SLOTS],
            batch: Cell::new(0),
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
            local.batch.set(0);
            local.stage.set(Stage::Ended);
            local.slots.iter().for_each(Slot::release);
        });
    }
}

/// Adds `delta` to what is held for `ledger`.
#[inline]
pub(crate) fn charge(ledger: &'static Ledger, delta: i64) {
    LOCAL.with(|local| local.charge(ledger, delta));
}

/// Charges the account the thread works for, and returns its ledger for the block's header.
#[inline]
pub(crate) fn charge_current(delta: i64) -> &'static Ledger {
    LOCAL.with(|local| {
        let ledger = local.current.get();
        local.charge(ledger, delta);
        ledger
    })
}

impl Local {
    #[inline]
    fn slot(&self, ledger: &'static Ledger) -> &Slot {
        let line = std::ptr::from_ref(ledger).addr() / align_of::<Ledger>();
        &self.slots[line % SLOTS]
    }

    #[inline]
    fn charge(&self, ledger: &'static Ledger, delta: i64) {
        let slot = self.slot(ledger);
        if slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, ledger)) {
            let sum = slot.delta.get() + delta;
            if sum.unsigned_abs() < self.batch.get() {
                slot.delta.set(sum);
                return;
            }
        }
        self.charge_slowly(ledger, delta);
    }

    #[cold]
    #[inline(never)]
    fn charge_slowly(&self, ledger: &'static Ledger, delta: i64) {
        self.slow_calls.set(self.slow_calls.get() + 1);
        match self.stage.get() {
            Stage::Ended => {
                // Claimed, so that the ledger cannot be taken for quiet between two frees.
                ledger.claim();
                ledger.flush(delta);
                ledger.release();
                return;
            }
            Stage::New => {
                // Before the destructor is registered, which may come back here.
                self.stage.set(Stage::Flushing);
                self.batch.set(BATCH_BYTES.unsigned_abs());
                END.with(|_| ());
            }
            Stage::Flushing => {}
        }
        let slot = self.slot(ledger);
        if !slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, ledger)) {
            slot.release();
            ledger.claim();
            slot.ledger.set(Some(ledger));
        }
        let sum = slot.delta.get() + delta;
        slot.delta.set(sum);
        if sum.unsigned_abs() >= self.batch.get() {
            slot.flush(ledger);
        }
    }
}

/// Runs `work` for the account of `ledger`; what it was charged is told when it ends.
pub(crate) fn within<T>(ledger: &'static Ledger, work: impl FnOnce() -> T) -> T {
    struct Back(&'static Ledger);
    impl Drop for Back {
        fn drop(&mut self) {
            LOCAL.with(|local| {
                let left = local.current.replace(self.0);
                if !std::ptr::eq(left, self.0) && !std::ptr::eq(left, &raw const PROCESS) {
                    local.forget(left);
                }
            });
        }
    }
    let _back = Back(LOCAL.with(|local| local.current.replace(ledger)));
    work()
}

impl Local {
    /// Tells the ledger what this thread kept for it, and keeps nothing more.
    fn forget(&self, ledger: &'static Ledger) {
        let slot = self.slot(ledger);
        if slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, ledger)) {
            slot.release();
        }
    }
}

/// The ledger the thread works for.
pub(crate) fn current() -> &'static Ledger {
    LOCAL.with(|local| local.current.get())
}

/// Tells one ledger what this thread kept for it.
pub(crate) fn flush(ledger: &'static Ledger) {
    LOCAL.with(|local| {
        let slot = local.slot(ledger);
        if slot.ledger.get().is_some_and(|kept| std::ptr::eq(kept, ledger)) {
            slot.flush(ledger);
        }
    });
}

/// Tells all ledgers what this thread kept for them.
pub(crate) fn flush_all() {
    LOCAL.with(|local| local.slots.iter().for_each(Slot::release));
}

/// Whether `work` made a call of the metering allocator on this thread.
pub(crate) fn sees_allocator_in(work: impl FnOnce()) -> bool {
    LOCAL.with(|local| {
        let (batch, calls) = (local.batch.get(), local.slow_calls.get());
        // Calls take the slow way meanwhile, where they are counted.
        local.batch.set(0);
        work();
        let seen = local.slow_calls.get() != calls;
        if local.stage.get() != Stage::Flushing || batch != 0 {
            local.batch.set(batch);
        }
        seen
    })
}
