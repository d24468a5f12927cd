//! Which account a thread works for: scopes, and closures that carry theirs to another thread.

#![expect(unsafe_code, reason = "the running account is lent to the thread by its scope")]

use std::{cell::Cell, ptr};

use super::{Account, PROCESS};
use crate::{alloc::local, limit::Exceeded};

thread_local! {
    /// Lent by the innermost scope of an account for as long as that runs; null outside.
    static RUNNING: Cell<*const Account> = const { Cell::new(ptr::null()) };
}

/// Puts the former account back, when work unwinds as well.
struct Lent(*const Account);

impl Drop for Lent {
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

impl Account {
    /// Runs `work` for this account: what it allocates is charged here.
    #[inline]
    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let _lent = Lent(RUNNING.replace(self));
        local::within(self.ledger(), work)
    }

    /// The account this thread works for.
    pub fn running() -> Option<Account> {
        let account = RUNNING.get();
        // SAFETY: not null only while the scope runs that borrows the account.
        unsafe { account.as_ref() }.cloned()
    }
}

/// Runs `work` for no job: for pools, statics, and whatever outlives the job that made it.
pub fn process_scope<T>(work: impl FnOnce() -> T) -> T {
    let _lent = Lent(RUNNING.replace(ptr::null()));
    local::within(&PROCESS, work)
}

/// [`Account::check`] of the account this thread works for; fine where there is none.
pub fn step() -> Result<(), Exceeded> {
    let ledger = local::current();
    local::flush(ledger);
    if ledger.is_exceeded() {
        return Account::running().map_or(Ok(()), |account| account.check());
    }
    Ok(())
}

/// The account that was running when it was made, for work that runs elsewhere.
#[derive(Debug, Clone)]
pub struct Inherited(pub(super) Option<Account>);

impl Inherited {
    pub fn here() -> Self {
        Self(Account::running())
    }

    pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(account) => account.scope(work),
            None => process_scope(work),
        }
    }
}

/// A closure for another thread that works for the account of this one: for thread pools, rayon,
/// `std::thread::scope`.
pub fn inherit<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let inherited = Inherited::here();
    move || inherited.scope(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Option<String> {
        Account::running().map(|account| account.job().to_owned())
    }

    #[test]
    fn scopes_nest_and_end_when_work_panics() {
        let (outer, inner) = (Account::unlimited("outer"), Account::unlimited("inner"));
        assert_eq!(running(), None);
        outer.scope(|| {
            let panicked = std::panic::catch_unwind(|| inner.scope(|| panic!("on purpose")));
            assert!(panicked.is_err());
            assert_eq!(running().as_deref(), Some("outer"));
            process_scope(|| assert_eq!(running(), None));
            inner.scope(|| assert_eq!(running().as_deref(), Some("inner")));
        });
        assert_eq!(running(), None);
    }

    #[test]
    fn a_closure_takes_its_account_to_another_thread() {
        let account = Account::unlimited("travels");
        let work = account.scope(|| inherit(running));
        assert_eq!(std::thread::spawn(work).join().expect("thread").as_deref(), Some("travels"));
        let work = inherit(running);
        assert_eq!(account.scope(work), None);
    }
}
