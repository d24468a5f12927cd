//! How a file is opened.

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;
use rusqlite_migration::Migrations;

use super::limits;

/// What an acknowledged write survives. Both survive the death of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power too: one sync per transaction.
    Full,
    /// Loss of power may take the last transactions, in order; the file stays sound.
    Normal,
}

/// Counts are brought into the bounds of [`limits`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The file's name in the folder.
    pub file: &'static str,
    pub migrations: Migrations<'static>,
    pub durability: Durability,
    /// Threads that read, each with its own connection.
    pub readers: usize,
    /// Operations that may wait, for writes and reads each.
    pub queue: usize,
    /// How long a caller waits for a place in a full queue before he gets `Busy`.
    pub patience: Duration,
    /// Operations that share one commit, at most.
    pub batch: usize,
    /// A transaction that has been open for this long commits before it takes a further operation.
    pub window: Duration,
    /// Prepared statements kept per connection.
    pub statements: usize,
    /// Page size, decided when the file is made: a power of two, 512 to 65,536.
    pub page_bytes: u32,
    /// Page cache of the writer, and once more that of all readers together.
    pub cache_bytes: u64,
    /// How much of the file is mapped instead of read. Mapped pages count as memory of the process.
    pub mmap_bytes: u64,
    /// How large the file may grow, the log apart. An operation that needs more fails as on a full
    /// disk.
    pub max_bytes: Option<u64>,
    /// Writes what operations left to be written once for all of a transaction.
    pub shared: Option<Arc<dyn Shared>>,
}

/// What the operations of one transaction write together: they keep it somewhere, each at its
/// successful end, and it is written before the commit.
pub trait Shared: std::fmt::Debug + Send + Sync {
    /// A transaction begins: what is kept from one that did not commit is dropped.
    fn begun(&self);

    /// An error undoes the whole transaction.
    fn commits(&self, connection: &Connection) -> rusqlite::Result<()>;
}

impl Options {
    pub fn new(file: &'static str, migrations: Migrations<'static>) -> Self {
        Self {
            file,
            migrations,
            durability: Durability::Full,
            readers: 4,
            queue: 4096,
            patience: Duration::from_secs(10),
            batch: 1024,
            window: Duration::from_millis(50),
            statements: 128,
            page_bytes: 4096,
            cache_bytes: 8 << 20,
            mmap_bytes: 0,
            max_bytes: None,
            shared: None,
        }
    }

    pub(super) fn bounded(mut self) -> Self {
        self.readers = self.readers.clamp(1, limits::READERS_MAX);
        self.queue = self.queue.clamp(1, limits::QUEUE_MAX);
        self.batch = self.batch.clamp(1, limits::BATCH_MAX);
        self.statements = self.statements.clamp(16, limits::STATEMENTS_MAX);
        self
    }
}
