//! What a database has done, and what went wrong last.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::{errors::Fault, time::StoreTime};

/// Counted since the file was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Writes that ran, those that failed by themselves included.
    pub operations: u64,
    /// Transactions that committed for them.
    pub commits: u64,
    pub reads: u64,
    pub waiting_writes: usize,
    pub waiting_reads: usize,
    /// The newest transaction did not commit.
    pub failing: bool,
    pub last_error: Option<LastError>,
}

/// An error of the file, not of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// In the store's time.
    pub at_ms: u64,
    pub fault: Fault,
}

/// Where the threads write it down.
#[derive(Debug)]
pub(super) struct Ledger {
    time: Arc<StoreTime>,
    operations: AtomicU64,
    commits: AtomicU64,
    reads: AtomicU64,
    failing: AtomicBool,
    errors: Mutex<Errors>,
}

#[derive(Debug, Default)]
struct Errors {
    last: Option<LastError>,
    /// The first fault after which nobody knows what reached the disk.
    doubt: Option<Fault>,
}

impl Ledger {
    pub(super) fn new(time: Arc<StoreTime>) -> Self {
        Self {
            time,
            operations: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            errors: Mutex::default(),
        }
    }

    pub(super) fn ran(&self, operations: usize) {
        self.operations.fetch_add(operations as u64, Relaxed);
    }

    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Relaxed);
        self.failing.store(false, Relaxed);
    }

    pub(super) fn not_committed(&self, fault: &Fault) {
        self.failing.store(true, Relaxed);
        self.failed(fault);
    }

    pub(super) fn read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self, fault: &Fault) {
        let mut errors = self.errors();
        if fault.casts_doubt() {
            errors.doubt.get_or_insert_with(|| fault.clone());
        }
        errors.last = Some(LastError { at_ms: self.time.now_ms(), fault: fault.clone() });
    }

    /// The fault because of which the file must not be marked as clean, if there was one.
    pub(super) fn doubt(&self) -> Option<Fault> {
        self.errors().doubt.clone()
    }

    pub(super) fn report(&self, waiting_writes: usize, waiting_reads: usize) -> Health {
        Health {
            operations: self.operations.load(Relaxed),
            commits: self.commits.load(Relaxed),
            reads: self.reads.load(Relaxed),
            waiting_writes,
            waiting_reads,
            failing: self.failing.load(Relaxed),
            last_error: self.errors().last.clone(),
        }
    }

    fn errors(&self) -> MutexGuard<'_, Errors> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use samovar_clock::Clock;

    use super::*;
    use crate::embedded::FaultKind;

    fn fault(kind: FaultKind) -> Fault {
        Fault { kind, message: format!("{kind:?}") }
    }

    #[test]
    fn a_full_disk_leaves_no_doubt_and_a_failed_sync_leaves_it_for_good() {
        let ledger = Ledger::new(Arc::new(StoreTime::start(Clock::System, 0)));
        ledger.not_committed(&fault(FaultKind::Full));
        assert_eq!(ledger.doubt(), None);
        ledger.not_committed(&fault(FaultKind::Io));
        ledger.not_committed(&fault(FaultKind::Locked));
        ledger.committed();
        assert_eq!(ledger.doubt(), Some(fault(FaultKind::Io)));
    }

    #[test]
    fn the_last_error_stays_known_when_commits_succeed_again() {
        let ledger = Ledger::new(Arc::new(StoreTime::start(Clock::System, 0)));
        ledger.not_committed(&fault(FaultKind::Full));
        assert!(ledger.report(0, 0).failing);
        ledger.committed();
        let health = ledger.report(0, 0);
        assert!(!health.failing);
        assert_eq!(health.last_error.map(|last| last.fault.kind), Some(FaultKind::Full));
    }
}
