//! The disk limit: what is thrown away so that something new finds room.
//!
//! The limit is one of pages in use, not of values, so that it is a limit of the file: SQLite
//! fills freed pages before it takes new ones. The log beside it has a limit of its own.

use rusqlite::Connection;
use samovar_store::embedded::Size;

use super::{limits, sql};

/// How many entries went, by the reason.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) expired: u64,
    /// Before their time.
    pub(super) evicted: u64,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.expired += other.expired;
        self.evicted += other.evicted;
    }
}

/// The most that an entry of so many bytes may take: the pages that hold it, and those that a
/// split of the table and its two indexes may add.
pub(super) fn needed_bytes(entry_bytes: u64, page_bytes: u64) -> u64 {
    const SPLITS: u64 = 6;
    // Each page of a long value gives four bytes to the link to the next one.
    (entry_bytes.div_ceil(page_bytes - 4) + SPLITS) * page_bytes
}

/// Evicts until `needed_bytes` more stay within the limit. `None` when that cannot be: what has
/// been removed is for the caller to undo.
pub(super) fn make_room(
    connection: &Connection,
    needed_bytes: u64,
    limit_bytes: u64,
    now_ms: u64,
) -> rusqlite::Result<Option<Removed>> {
    let mut removed = Removed::default();
    let mut count = 1;
    while Size::used_bytes(connection)?.saturating_add(needed_bytes) > limit_bytes {
        let gone = evict(connection, count, now_ms)?;
        if gone == Removed::default() {
            return Ok(None);
        }
        removed += gone;
        count = (count * 2).min(limits::EVICTED_AT_ONCE);
    }
    Ok(Some(removed))
}

/// One step towards a limit that was lowered since the file was last open; nothing when it is kept.
pub(super) fn trim(
    connection: &Connection,
    limit_bytes: u64,
    now_ms: u64,
) -> rusqlite::Result<Removed> {
    if Size::used_bytes(connection)? <= limit_bytes {
        return Ok(Removed::default());
    }
    evict(connection, limits::EVICTED_AT_ONCE, now_ms)
}

fn evict(connection: &Connection, count: usize, now_ms: u64) -> rusqlite::Result<Removed> {
    let mut statement = connection.prepare_cached(sql::ENTRY_EVICT)?;
    let mut removed = Removed::default();
    let mut rows = statement.query([count as i64])?;
    while let Some(row) = rows.next()? {
        match row.get::<_, i64>(0)? <= now_ms as i64 {
            true => removed.expired += 1,
            false => removed.evicted += 1,
        }
    }
    Ok(removed)
}

/// Removes some of what has expired.
pub(super) fn sweep(connection: &Connection, now_ms: u64) -> rusqlite::Result<Removed> {
    let swept =
        |sql, limit: usize| connection.prepare_cached(sql)?.execute((now_ms as i64, limit as i64));
    let expired = swept(sql::ENTRY_SWEEP, limits::SWEPT_ENTRIES)?;
    swept(sql::VERSION_SWEEP, limits::SWEPT_VERSIONS)?;
    Ok(Removed { expired: expired as u64, evicted: 0 })
}
