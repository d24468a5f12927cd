//! What a failure of the file means for jobs.

use samovar_store::embedded::{ReadError, WriteError};

use super::tx::Undone;
use crate::store::StoreError;

pub(super) fn write(error: WriteError<Undone>) -> StoreError {
    match error {
        WriteError::Operation(undone) => undone_by(undone),
        other => StoreError::Unavailable(other.to_string()),
    }
}

pub(super) fn read(error: ReadError<Undone>) -> StoreError {
    match error {
        ReadError::Operation(undone) => undone_by(undone),
        other => StoreError::Unavailable(other.to_string()),
    }
}

fn undone_by(undone: Undone) -> StoreError {
    match undone {
        Undone::Store(error) => error,
        Undone::Sqlite(error) => match error.sqlite_error_code() {
            // A row that no code of ours can have written, or a statement that does not fit it.
            None | Some(rusqlite::ErrorCode::ConstraintViolation) => {
                StoreError::Damaged(error.to_string())
            }
            Some(_) => StoreError::Unavailable(error.to_string()),
        },
    }
}
