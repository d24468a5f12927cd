//! Accounts: the bytes one job holds, wherever they were allocated and whoever frees them.

mod ledger;
mod moved;
mod registry;
mod scope;
mod task;

use std::{fmt, sync::Arc};

pub(crate) use ledger::Ledger;
pub(crate) use registry::{PROCESS, total};

pub use moved::Adopt;
pub use scope::{Inherited, inherit, process_scope, step};
pub use task::{InAccount, inherit_future, spawn, spawn_blocking, spawn_thread};

use crate::{
    alloc::{Metering, local, metering},
    limit::{Exceeded, Limit},
};

/// The bytes that one job holds: now, at most, and, once it has ended, still.
///
/// A clone is the same account. When the last one is dropped, what is still out there stays
/// charged until somebody frees it.
#[derive(Clone)]
pub struct Account(Arc<Inner>);

struct Inner {
    ledger: &'static Ledger,
    job: Box<str>,
    limit: Option<Limit>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        local::flush(self.ledger);
        registry::retire(self.ledger);
    }
}

/// What an account shows. Exact but for what running threads have not told yet: at most
/// [`BATCH_BYTES`](crate::BATCH_BYTES) each; work that is not inside of the account tells nothing
/// but what it frees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    pub current_bytes: u64,
    pub peak_bytes: u64,
    pub limit_bytes: Option<u64>,
}

impl Usage {
    /// Of the limit, in percent.
    pub fn percentage(&self) -> Option<f64> {
        self.limit_bytes.map(|limit| self.current_bytes as f64 * 100.0 / limit.max(1) as f64)
    }
}

impl Account {
    pub fn new(job: &str, limit: impl Into<Limit>) -> Self {
        let limit = limit.into();
        Self::open(job, Some(limit))
    }

    /// For what is counted and not limited, as a cache that limits itself.
    pub fn unlimited(job: &str) -> Self {
        Self::open(job, None)
    }

    fn open(job: &str, limit: Option<Limit>) -> Self {
        let (bytes, warn_at) = match limit {
            Some(limit) => (bytes_of(limit.bytes()), bytes_of(limit.warn_at_bytes())),
            None => (ledger::UNLIMITED, ledger::UNLIMITED),
        };
        let ledger = registry::open(bytes, warn_at);
        process_scope(|| Self(Arc::new(Inner { ledger, job: job.into(), limit })))
    }

    pub fn job(&self) -> &str {
        &self.0.job
    }

    pub fn limit(&self) -> Option<Limit> {
        self.0.limit
    }

    /// Nothing where metering is off: unknown is not zero.
    pub fn usage(&self) -> Option<Usage> {
        local::flush(self.0.ledger);
        (metering() == Metering::On).then(|| Usage {
            current_bytes: self.0.ledger.current().max(0).unsigned_abs(),
            peak_bytes: self.0.ledger.peak().max(0).unsigned_abs(),
            limit_bytes: self.0.ledger.limit(),
        })
    }

    /// Between two steps of a job: fails once more than the limit was held at a time.
    pub fn check(&self) -> Result<(), Exceeded> {
        local::flush(self.0.ledger);
        match self.0.limit {
            Some(limit) if self.0.ledger.is_exceeded() => Err(Exceeded {
                job: self.job().to_owned(),
                limit,
                current_bytes: self.0.ledger.current().max(0).unsigned_abs(),
                peak_bytes: self.0.ledger.peak().max(0).unsigned_abs(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether more than 80 % of the limit was held at a time.
    pub fn is_warned(&self) -> bool {
        local::flush(self.0.ledger);
        self.0.ledger.is_warned()
    }

    pub(crate) fn ledger(&self) -> &'static Ledger {
        self.0.ledger
    }
}

fn bytes_of(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("job", &self.0.job).field("usage", &self.usage()).finish()
    }
}

/// What is held by nobody's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unattributed {
    /// Outside of every scope, or inside of [`process_scope`].
    pub process_bytes: u64,
    /// Handed out by jemalloc to C code, or not told yet by running threads.
    pub untold_bytes: u64,
    /// Handed out by the C library's allocator.
    pub c_library_bytes: u64,
}

/// Nothing where metering is off.
pub fn unattributed() -> Option<Unattributed> {
    if metering() == Metering::Off {
        return None;
    }
    let accounts = total();
    let figures = crate::alloc::AllocatorFigures::read();
    Some(Unattributed {
        process_bytes: PROCESS.current().max(0).unsigned_abs(),
        untold_bytes: figures.allocated_bytes.saturating_sub(accounts.max(0).unsigned_abs()),
        c_library_bytes: figures.c_library_bytes,
    })
}
