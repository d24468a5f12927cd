//! How much disk a file takes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pages that hold something. What is deleted leaves free pages behind, which are used again.
    pub used_bytes: u64,
    pub file_bytes: u64,
    pub wal_bytes: u64,
}

impl Size {
    pub(super) fn of(connection: &Connection, path: &Path) -> rusqlite::Result<Self> {
        let used_bytes = Self::used_bytes(connection)?;
        Ok(Self { used_bytes, file_bytes: length(path), wal_bytes: length(&log_path(path)) })
    }

    /// For an operation that wants to know what it is about to add to.
    pub fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
        let number = |sql: &str| -> rusqlite::Result<u64> {
            let number: u32 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(u64::from(number))
        };
        let pages = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?);
        Ok(pages * number("PRAGMA page_size")?)
    }
}

fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
