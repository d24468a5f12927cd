//! What runs on the writer thread, one operation at a time.

use rusqlite::Connection;

use super::{
    Expired,
    asked::Asked,
    millis,
    reads::{Captured, commit_of, living, read_version},
    room::{self, Removed},
    sql,
};
use crate::{
    entry,
    key::EntryKey,
    shared::{Begin, Commit, Invalidate},
    version::{Change, Ids, Version, VersionKey},
};

/// Captures the versions of a begin, making those that are missing and lengthening the others.
pub(super) fn capture(
    connection: &Connection,
    begin: &Begin,
    now_ms: u64,
) -> rusqlite::Result<Captured> {
    if !begin.force && commit_of(connection, &begin.at.entry, now_ms)? != begin.seen {
        return Ok(Captured::Changed);
    }
    let keep_ms = millis(begin.keep);
    let mut put = connection.prepare_cached(sql::VERSION_PUT)?;
    let mut versions = Vec::with_capacity(begin.at.versions.len());
    for (key, ids) in begin.at.versions.iter().zip(&begin.fresh) {
        let version = match lengthened(connection, key, keep_ms, now_ms)? {
            Some(version) => version,
            None => {
                let version = Version::new(*ids);
                let until_ms = lengthen_to(keep_ms, now_ms);
                put.execute((key.as_str(), until_ms, version.encode()))?;
                version
            }
        };
        versions.push(version);
    }
    Ok(Captured::Complete { versions, now_ms })
}

/// A version that has not expired, and from now on does not for at least `keep_ms`.
fn lengthened(
    connection: &Connection,
    key: &VersionKey,
    keep_ms: u64,
    now_ms: u64,
) -> rusqlite::Result<Option<Version>> {
    let mut get = connection.prepare_cached(sql::VERSION_GET)?;
    let found = read_version(&mut get, key)?;
    let Some((expires_ms, version)) = found else { return Ok(None) };
    let version = living((expires_ms, version), now_ms).flatten();
    if version.is_some() && expires_ms < now_ms.saturating_add(keep_ms) {
        let until_ms = lengthen_to(keep_ms, now_ms);
        connection.prepare_cached(sql::VERSION_KEEP)?.execute((key.as_str(), until_ms))?;
    }
    Ok(version)
}

/// A quarter longer than asked for, so that the next one who asks finds enough and need not write.
fn lengthen_to(keep_ms: u64, now_ms: u64) -> i64 {
    stored_ms(now_ms.saturating_add(keep_ms).saturating_add(keep_ms / 4))
}

fn stored_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Why a value was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLanded {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("no room, not even alone with the versions")]
    NoRoom,
}

/// What a commit did.
#[derive(Debug)]
pub(super) struct Landed {
    /// As they are now.
    pub(super) versions: Vec<Option<Version>>,
    pub(super) removed: Removed,
}

/// Writes the entry within the limit. Whose lease it is has been checked.
pub(super) fn land(
    connection: &Connection,
    commit: &Commit,
    (limit_bytes, page_bytes): (u64, u64),
    asked: &Asked,
    now_ms: u64,
) -> Result<Landed, NotLanded> {
    let key = commit.at.entry.as_str();
    // First, so that its pages count as room, and so that it is not evicted for its successor.
    connection.prepare_cached(sql::ENTRY_DROP)?.execute([key])?;
    let needed = room::needed_bytes(entry_bytes(commit), page_bytes);
    let removed = room::make_room(connection, needed, limit_bytes, asked, now_ms)?;
    let removed = removed.ok_or(NotLanded::NoRoom)?;

    let expires_ms = stored_ms(now_ms.saturating_add(millis(commit.life)));
    let commit_id = entry::commit_of(&commit.value).map(|commit| commit as i64);
    let mut put = connection.prepare_cached(sql::ENTRY_PUT)?;
    put.execute((key, expires_ms, commit_id, &*commit.value))?;

    let keep_ms = millis(commit.keep);
    let versions = commit.at.versions.iter();
    let versions = versions.map(|key| lengthened(connection, key, keep_ms, now_ms));
    Ok(Landed { versions: versions.collect::<rusqlite::Result<_>>()?, removed })
}

/// The key, the value, and what the row and its places in two indexes add.
pub(super) fn entry_bytes(commit: &Commit) -> u64 {
    const ROW: usize = 64;
    (commit.at.entry.as_str().len() * 2 + commit.value.len() + ROW) as u64
}

/// Replaces ids of versions that exist. Where nothing is stored there is nothing to replace: what
/// was stamped with a missing version is stale already.
pub(super) fn invalidate(
    connection: &Connection,
    invalidate: &Invalidate,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let mut get = connection.prepare_cached(sql::VERSION_GET)?;
    let mut change = connection.prepare_cached(sql::VERSION_CHANGE)?;
    for new in &invalidate.changes {
        let found = read_version(&mut get, &new.key)?;
        let living = found.and_then(|found| living(found, now_ms)).flatten();
        let Some(old) = living else { continue };
        let last = Change {
            replaced: old.ids.change,
            at_ms: now_ms,
            spread_ms: millis(invalidate.spread),
            cause: invalidate.cause.clone(),
        };
        let ids = Ids { change: new.change, clear: new.clear.unwrap_or(old.ids.clear) };
        let version = Version { ids, last: Some(last) };
        change.execute((new.key.as_str(), version.encode()))?;
    }
    Ok(())
}

pub(super) fn drop_entry(connection: &Connection, key: &EntryKey) -> rusqlite::Result<()> {
    connection.prepare_cached(sql::ENTRY_DROP)?.execute([key.as_str()])?;
    Ok(())
}

pub(super) fn evict(connection: &Connection, entries: &[(EntryKey, u64)]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql::ENTRY_EVICT)?;
    for (key, commit) in entries {
        statement.execute((key.as_str(), *commit as i64))?;
    }
    Ok(())
}

pub(super) fn remove(connection: &Connection, expired: &[Expired]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql::ENTRY_REMOVE)?;
    for entry in expired {
        statement.execute([entry.row])?;
    }
    Ok(())
}
