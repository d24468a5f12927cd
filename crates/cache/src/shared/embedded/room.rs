//! The disk limit: what is thrown away so that something new finds room.
//!
//! First goes what has expired, then what nobody has asked for, and versions when no entry is left.
//!
//! The limit is one of pages in use, not of values, so that it is a limit of the file: SQLite
//! fills freed pages before it takes new ones. The log beside it has a limit of its own.

use rusqlite::{Connection, Row};
use samovar_store::embedded::Size;

use super::{
    asked::{Asked, START},
    limits, sql,
};

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
    asked: &Asked,
    now_ms: u64,
) -> rusqlite::Result<Option<Removed>> {
    let mut removed = Removed::default();
    let (mut count, mut spared) = (1, 0);
    while Size::used_bytes(connection)?.saturating_add(needed_bytes) > limit_bytes {
        match evict(connection, count, asked, &mut spared, now_ms)? {
            Some(gone) => removed += gone,
            None if evict_versions(connection, limit_bytes)? => {}
            None => return Ok(None),
        }
        count = (count * 2).min(limits::EVICTED_AT_ONCE);
    }
    Ok(Some(removed))
}

/// When nothing else is left: those of data that nobody has asked for lately. Whoever depends on one
/// of them is stale. False when there is none either.
fn evict_versions(connection: &Connection, limit_bytes: u64) -> rusqlite::Result<bool> {
    // About an eighth of the file, so that it is not filled by what is next to expire again.
    let count = (limit_bytes >> 10).clamp(1, limits::EVICTED_VERSIONS);
    Ok(connection.prepare_cached(sql::VERSION_EVICT)?.execute([count as i64])? > 0)
}

/// One step towards a limit that was lowered since the file was last open; nothing when it is kept.
pub(super) fn trim(
    connection: &Connection,
    limit_bytes: u64,
    asked: &Asked,
    now_ms: u64,
) -> rusqlite::Result<Removed> {
    if Size::used_bytes(connection)? <= limit_bytes {
        return Ok(Removed::default());
    }
    // Nobody has asked for anything yet, so that something goes with each step.
    let mut spared = limits::SPARED;
    let gone = evict(connection, limits::EVICTED_AT_ONCE, asked, &mut spared, now_ms)?;
    Ok(gone.unwrap_or_default())
}

/// `None` when there is nothing left. Nothing may go where all that was seen is spared, or where the
/// hand begins anew.
fn evict(
    connection: &Connection,
    count: usize,
    asked: &Asked,
    spared: &mut usize,
    now_ms: u64,
) -> rusqlite::Result<Option<Removed>> {
    let expired = remove_expired(connection, now_ms, count)?;
    if expired > 0 {
        return Ok(Some(Removed { expired, evicted: 0 }));
    }
    let mut hand = asked.hand();
    let mut evicted = 0;
    let mut next = connection.prepare_cached(sql::ENTRY_NEXT)?;
    let mut remove = connection.prepare_cached(sql::ENTRY_REMOVE)?;
    let read = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get::<_, String>(2)?));
    let seen = next.query_map((hand.0, hand.1, limits::EVICTED_AT_ONCE as i64), read)?;
    let seen: Vec<_> = seen.collect::<rusqlite::Result<_>>()?;
    if seen.is_empty() && hand == START {
        return Ok(None);
    }
    let is_last = seen.len() < limits::EVICTED_AT_ONCE;
    for (place, key) in seen {
        if evicted == count as u64 {
            asked.move_hand(hand);
            return Ok(Some(Removed { expired: 0, evicted }));
        }
        hand = place;
        if *spared < limits::SPARED && asked.take(&key) {
            *spared += 1;
        } else {
            remove.execute([place.1])?;
            evicted += 1;
        }
    }
    asked.move_hand(if is_last { START } else { hand });
    Ok(Some(Removed { expired: 0, evicted }))
}

/// Removes some of what has expired.
pub(super) fn sweep(connection: &Connection, now_ms: u64) -> rusqlite::Result<Removed> {
    let expired = remove_expired(connection, now_ms, limits::SWEPT_ENTRIES)?;
    let mut versions = connection.prepare_cached(sql::VERSION_SWEEP)?;
    versions.execute((now_ms as i64, limits::SWEPT_VERSIONS as i64))?;
    Ok(Removed { expired, evicted: 0 })
}

fn remove_expired(connection: &Connection, now_ms: u64, most: usize) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql::ENTRY_SWEEP)?;
    Ok(statement.execute((now_ms as i64, most as i64))? as u64)
}
