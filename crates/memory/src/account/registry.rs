//! Where ledgers live: made in slabs, never given back, used again once nothing points to them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::Ledger;
use crate::alloc::local;

const SLAB: usize = 32;
/// How many retired ledgers are looked at for one new account: enough to keep up, little to pay.
const LOOKS: usize = 8;

/// What no account is charged for: pools, statics, whatever runs outside of every scope.
pub(crate) static PROCESS: Ledger = Ledger::new();

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

#[derive(Debug)]
struct Registry {
    slabs: Vec<&'static [Ledger]>,
    free: Vec<&'static Ledger>,
    /// Without an account, but allocations may point to them. The longest retired at the front.
    retired: std::collections::VecDeque<&'static Ledger>,
}

impl Registry {
    const fn new() -> Self {
        Self { slabs: Vec::new(), free: Vec::new(), retired: std::collections::VecDeque::new() }
    }

    fn sweep(&mut self, looks: usize) {
        for _ in 0..looks.min(self.retired.len()) {
            let Some(ledger) = self.retired.pop_front() else { return };
            if ledger.is_quiet() {
                self.free.push(ledger);
            } else {
                self.retired.push_back(ledger);
            }
        }
    }

    fn take(&mut self) -> &'static Ledger {
        self.sweep(LOOKS);
        if let Some(ledger) = self.free.pop() {
            return ledger;
        }
        let slab: &'static [Ledger] = Box::leak((0..SLAB).map(|_| Ledger::new()).collect());
        self.slabs.push(slab);
        self.free.extend(slab);
        self.free.pop().expect("a slab has ledgers")
    }
}

/// What the registry itself allocates is no job's.
fn registry<T>(work: impl FnOnce(&mut Registry) -> T) -> T {
    local::within(&PROCESS, || {
        let mut registry: MutexGuard<'_, _> =
            REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut registry)
    })
}

pub(super) fn open(limit: i64, warn_at: i64) -> &'static Ledger {
    let ledger = registry(Registry::take);
    ledger.open(limit, warn_at);
    ledger
}

/// For a ledger whose last account is gone.
pub(super) fn retire(ledger: &'static Ledger) {
    ledger.set_limit(super::ledger::UNLIMITED, super::ledger::UNLIMITED);
    registry(|registry| registry.retired.push_back(ledger));
}

/// What all accounts hold, that of the process and those that ended included.
pub(crate) fn total() -> i64 {
    local::flush_all();
    let slabs = registry(|registry| registry.slabs.clone());
    let ledgers = slabs.iter().copied().flatten();
    PROCESS.current() + ledgers.map(Ledger::current).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use crate::Account;

    use super::*;

    #[test]
    fn a_ledger_is_used_again_when_its_account_is_gone_and_owes_nothing() {
        let kept = Account::unlimited("owes");
        kept.scope(|| local::charge_current(100));
        let ledger = kept.ledger();
        drop(kept);
        let count = || registry(|registry| registry.slabs.len());
        let slabs = count();
        for _ in 0..SLAB * 20 {
            let account = Account::unlimited("comes and goes");
            assert!(!std::ptr::eq(account.ledger(), ledger));
            account.scope(|| local::charge_current(100));
            account.scope(|| local::charge_current(-100));
        }
        // Others of this binary's tests hold accounts as well.
        assert!(count() <= slabs + 2, "{} slabs", count());
        ledger.flush(-100);
        assert!(ledger.is_quiet());
    }
}
