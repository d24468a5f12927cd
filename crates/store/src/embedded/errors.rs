//! What can go wrong with a folder, a file and an operation.

use std::{any::Any, io, path::PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::{limits, queue::Refused};

#[derive(Debug, Error)]
pub enum OpenError {
    #[error(
        "the data folder {} is owned by {}; an embedded store belongs to one process: stop that \
         one, or set `[store] kind = \"redis\"` to run several",
        folder.display(),
        describe_owner(*pid)
    )]
    Owned { folder: PathBuf, pid: Option<u32> },
    #[error("cannot use the data folder {}: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{file:?} is not the name of a file that a data folder may hold")]
    Name { file: &'static str },
    #[error("{} is open in this process already", path.display())]
    AlreadyOpen { path: PathBuf },
    #[error(
        "{} was written by a newer Samovar (version {found}, this one knows {known}); use that \
         one, or another data folder",
        path.display()
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{} is a database of another program; choose another data folder", path.display())]
    Foreign { path: PathBuf },
    #[error(
        "{} is damaged ({fault}); restore a backup, or move it away together with its -wal and \
         -shm files to start with an empty one",
        path.display()
    )]
    Corrupt { path: PathBuf, fault: Fault },
    #[error("cannot bring {} up to date: {source}", path.display())]
    Migration { path: PathBuf, source: rusqlite_migration::Error },
    #[error("cannot open {}: {fault}", path.display())]
    Failed { path: PathBuf, fault: Fault },
    #[error("cannot start a thread for {}: {source}", path.display())]
    Thread { path: PathBuf, source: io::Error },
}

fn describe_owner(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}

/// Why a write was not applied, `Lost` apart.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError<E> {
    /// The operation's own error. Its changes were undone, those of its neighbours were not.
    #[error(transparent)]
    Operation(E),
    #[error("the operation panicked: {0}")]
    Panicked(String),
    /// The operation may have run, but its transaction did not commit; it can be tried again.
    /// After a failed sync ([`FaultKind::Io`]) a crash at that very moment may still apply it.
    #[error("not committed: {0}")]
    NotCommitted(Fault),
    #[error("the queue of writes stayed full")]
    Busy,
    #[error("the database is closed")]
    Closed,
    #[error("the writer ended without an answer; the operation may have been applied")]
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError<E> {
    #[error(transparent)]
    Operation(E),
    #[error("the operation panicked: {0}")]
    Panicked(String),
    #[error("no snapshot to read from: {0}")]
    Failed(Fault),
    #[error("the queue of reads stayed full")]
    Busy,
    #[error("the database is closed")]
    Closed,
    #[error("the reader ended without an answer")]
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    #[error("{0}")]
    Failed(Fault),
    #[error("the queue of writes stayed full")]
    Busy,
    #[error("the database is closed")]
    Closed,
}

/// Nothing that was acknowledged is lost by these; the next open gives a new generation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseError {
    #[error("closed, but not marked as clean: {0}")]
    NotClean(Fault),
    #[error("the writer ended before its time")]
    Lost,
}

/// What SQLite reported, in a form that can be handed to everybody it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The disk is full, or the file has reached `max_bytes`.
    Full,
    /// Reading, writing or syncing failed.
    Io,
    Corrupt,
    /// Another process held the file for too long.
    Locked,
    /// One operation made SQLite give up the whole transaction, mostly for want of disk.
    RolledBack,
    /// A constraint that is checked at commit was violated, or anything else.
    Other,
}

impl Fault {
    pub(super) fn rolled_back() -> Self {
        Self {
            kind: FaultKind::RolledBack,
            message: "an operation in the same transaction made SQLite roll all of it back".into(),
        }
    }

    /// After this nobody knows what reached the disk.
    pub(super) fn casts_doubt(&self) -> bool {
        matches!(self.kind, FaultKind::Io | FaultKind::Corrupt)
    }
}

impl From<&rusqlite::Error> for Fault {
    fn from(error: &rusqlite::Error) -> Self {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => FaultKind::Full,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
            ) => FaultKind::Io,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => FaultKind::Corrupt,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => FaultKind::Locked,
            _ => FaultKind::Other,
        };
        Self { kind, message: cut(error.to_string()) }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(&error)
    }
}

impl<E> From<Refused> for WriteError<E> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => WriteError::Busy,
            Refused::Closed => WriteError::Closed,
        }
    }
}

impl<E> From<Refused> for ReadError<E> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => ReadError::Busy,
            Refused::Closed => ReadError::Closed,
        }
    }
}

impl From<Refused> for CheckpointError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => CheckpointError::Busy,
            Refused::Closed => CheckpointError::Closed,
        }
    }
}

/// The message of a panic, as far as it has one.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    cut(message.to_owned())
}

fn cut(mut message: String) -> String {
    if let Some((at, _)) = message.char_indices().nth(limits::MESSAGE_CHARS_MAX) {
        message.truncate(at);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let cut = cut("é".repeat(limits::MESSAGE_CHARS_MAX + 1));
        assert_eq!(cut.chars().count(), limits::MESSAGE_CHARS_MAX);
    }

    #[test]
    fn errors_of_operations_are_errors_and_say_what_the_operation_said() {
        fn said(error: impl std::error::Error) -> String {
            error.to_string()
        }
        let own = || rusqlite::Error::InvalidQuery;
        assert_eq!(said(WriteError::Operation(own())), own().to_string());
        assert_eq!(said(ReadError::Operation(own())), own().to_string());
    }

    #[test]
    fn an_owner_is_named_when_his_number_is_known() {
        let owned = |pid| OpenError::Owned { folder: "data".into(), pid }.to_string();
        assert!(owned(Some(17)).contains("data is owned by process 17"));
        assert!(owned(None).contains("owned by another process"));
        assert!(owned(None).contains("redis"));
    }
}
