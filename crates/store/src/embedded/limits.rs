//! Every limit of an embedded store, and what happens at it.

use std::time::Duration;

/// Threads that read one file. More are not started.
pub const READERS_MAX: usize = 64;

/// Operations that may wait, for writes and reads each. Who comes later waits for a place, and
/// gets `Busy` when his patience ends.
pub const QUEUE_MAX: usize = 65_536;

/// Operations in one transaction. The rest of the queue goes into the next.
pub const BATCH_MAX: usize = 10_000;

/// Prepared statements kept per connection. The one unused for longest goes.
pub const STATEMENTS_MAX: usize = 1024;

/// How far the log grows before the writer copies it into the file, between two transactions.
pub const WAL_CHECKPOINT_BYTES: u64 = 8 << 20;

/// From here on the writer also waits for the readers that pin the log, for up to
/// [`WAL_READERS_WAIT`] per [`WAL_CHECKPOINT_BYTES`] of growth. Writes then go on, and it is
/// logged: a reader that never ends costs disk, not answers.
pub const WAL_LIMIT_BYTES: u64 = 64 << 20;

pub const WAL_READERS_WAIT: Duration = Duration::from_millis(250);

/// How long SQLite itself waits for another process that looks at the file; then `Locked`.
pub const FILE_LOCK_WAIT: Duration = Duration::from_secs(5);

/// The store's time is recorded with the first commit after this much of it has passed.
pub const TIME_RECORD_MS: u64 = 1000;

/// How long whoever starts waits for an owner that is about to leave: a command that owns the folder
/// for one operation, a server that is being replaced. Then it is refused.
pub const OWNER_WAIT: Duration = Duration::from_secs(5);

/// How often [`super::Folder::own_within`] looks whether the folder is free.
pub const OWN_RETRY: Duration = Duration::from_millis(20);

/// Characters kept of a message that SQLite or a panic made. The rest is cut off.
pub const MESSAGE_CHARS_MAX: usize = 500;
