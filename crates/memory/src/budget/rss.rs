//! The process's RSS, as admission looks at it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Instant};

use crate::system::ProcessMemory;

/// How long a sample stands: reading one takes longer than a small job. Pages that were taken meanwhile
/// are noticed so much later; what is promised to jobs is known without them.
const STANDS: Duration = Duration::from_millis(10);

/// Where the process's RSS comes from.
#[derive(Debug, Clone, Default)]
pub enum Rss {
    #[default]
    System,
    /// What a test says.
    Told(Arc<AtomicU64>),
}

impl Rss {
    pub(super) fn read(&self) -> u64 {
        match self {
            Rss::System => ProcessMemory::own().map_or(0, |memory| memory.rss_bytes),
            Rss::Told(bytes) => bytes.load(Ordering::Relaxed),
        }
    }
}

/// What was read, and when.
pub(super) struct Sampled {
    rss: Rss,
    last: Mutex<Option<(Instant, u64)>>,
}

impl Sampled {
    pub(super) fn new(rss: Rss) -> Self {
        Self { rss, last: Mutex::default() }
    }

    pub(super) fn bytes(&self, clock: &Clock) -> u64 {
        if let Rss::Told(_) = self.rss {
            return self.rss.read();
        }
        let (now, mut last) = (clock.now(), self.last());
        if let Some((_, bytes)) = last.filter(|(at, _)| now.since(*at) < STANDS) {
            return bytes;
        }
        let bytes = self.rss.read();
        *last = Some((now, bytes));
        bytes
    }

    /// The next one is read anew.
    pub(super) fn forget(&self) {
        *self.last() = None;
    }

    fn last(&self) -> MutexGuard<'_, Option<(Instant, u64)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
