//! What a failure of the file means for the cache.

use std::fmt::Display;

use samovar_store::embedded::{Fault, FaultKind, ReadError, WriteError};

use super::writes::NotLanded;
use crate::shared::StoreError;

pub(super) fn write(error: WriteError<rusqlite::Error>) -> StoreError {
    unapplied(error, |own| fault(&Fault::from(&own)))
}

pub(super) fn landing(
    error: WriteError<NotLanded>,
    entry_bytes: u64,
    limit_bytes: u64,
) -> StoreError {
    unapplied(error, |own| match own {
        NotLanded::Sqlite(own) => fault(&Fault::from(&own)),
        NotLanded::NoRoom => too_large(entry_bytes, limit_bytes),
    })
}

pub(super) fn too_large(entry_bytes: u64, limit_bytes: u64) -> StoreError {
    StoreError::Refused(format!(
        "an entry of {entry_bytes} bytes finds no room within the disk limit of {limit_bytes} \
         bytes: raise the limit (`[cache] disk`)"
    ))
}

pub(super) fn read(error: &ReadError<rusqlite::Error>) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Nothing is ever half done: SQLite undoes what it does not commit.
fn unapplied<E: Display>(error: WriteError<E>, own: impl FnOnce(E) -> StoreError) -> StoreError {
    match error {
        WriteError::Operation(error) => own(error),
        WriteError::NotCommitted(not_committed) => fault(&not_committed),
        WriteError::Panicked(_) => StoreError::Refused(error.to_string()),
        WriteError::Busy | WriteError::Closed => StoreError::Unavailable(error.to_string()),
        WriteError::Lost => StoreError::Unanswered(error.to_string()),
    }
}

fn fault(fault: &Fault) -> StoreError {
    match fault.kind {
        FaultKind::Io | FaultKind::Corrupt | FaultKind::Locked => {
            StoreError::Unavailable(fault.to_string())
        }
        FaultKind::Full | FaultKind::RolledBack | FaultKind::Other => {
            StoreError::Refused(fault.to_string())
        }
    }
}
