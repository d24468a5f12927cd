//! What is read from one snapshot: entries and versions, as of one moment of the store's time.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Statement};

use super::{Expired, millis, sql};
use crate::{
    key::EntryKey,
    shared::{Begin, Look, LookUp, Origins},
    version::{Version, VersionKey},
};

pub(super) fn look(
    connection: &Connection,
    at: &[LookUp],
    origins: &Origins,
    now_ms: impl Fn() -> u64,
) -> rusqlite::Result<Vec<Look>> {
    let mut entry = connection.prepare_cached(sql::ENTRY_GET)?;
    let mut version = connection.prepare_cached(sql::VERSION_GET)?;
    let mut found = Vec::with_capacity(at.len());
    for look_up in at {
        let value = entry.query_row([look_up.entry.as_str()], |row| {
            Ok((read_ms(row.get(0)?), Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?)))
        });
        let versions: rusqlite::Result<Vec<_>> =
            look_up.versions.iter().map(|key| read_version(&mut version, key)).collect();
        found.push((value.optional()?, versions?));
    }
    // Taken last, so that nothing that was read is younger.
    let now_ms = now_ms();
    let looks = found.into_iter().map(|(value, versions)| Look {
        entry: value.and_then(|found| living(found, now_ms)),
        versions: versions
            .into_iter()
            .map(|found| found.and_then(|found| living(found, now_ms)).flatten())
            .collect(),
        origins: origins.clone(),
        now_ms,
    });
    Ok(looks.collect())
}

/// What a begin finds once it has the lease.
#[derive(Debug)]
pub(super) enum Captured {
    /// The entry is not the one that was decided upon.
    Changed,
    /// Some versions are missing, or may not live long enough.
    Incomplete,
    Complete {
        versions: Vec<Version>,
        now_ms: u64,
    },
}

/// `now_ms` comes before everything that is read, so that the capture is not older than it says.
pub(super) fn capture(
    connection: &Connection,
    begin: &Begin,
    now_ms: u64,
) -> rusqlite::Result<Captured> {
    if !begin.force && commit_of(connection, &begin.at.entry, now_ms)? != begin.seen {
        return Ok(Captured::Changed);
    }
    let until_ms = now_ms.saturating_add(millis(begin.keep));
    let mut statement = connection.prepare_cached(sql::VERSION_GET)?;
    let mut versions = Vec::with_capacity(begin.at.versions.len());
    for key in begin.at.versions.iter() {
        match read_version(&mut statement, key)? {
            Some((expires_ms, Some(version))) if expires_ms >= until_ms => versions.push(version),
            _ => return Ok(Captured::Incomplete),
        }
    }
    Ok(Captured::Complete { versions, now_ms })
}

/// The commit of an entry that has not expired.
pub(super) fn commit_of(
    connection: &Connection,
    key: &EntryKey,
    now_ms: u64,
) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(sql::ENTRY_COMMIT)?;
    let found = statement.query_row([key.as_str()], |row| {
        Ok((read_ms(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(|commit| commit as u64)))
    });
    Ok(found.optional()?.and_then(|found| living(found, now_ms)).flatten())
}

/// With its end, expired or not; a version that cannot be decoded is none.
pub(super) fn read_version(
    statement: &mut Statement<'_>,
    key: &VersionKey,
) -> rusqlite::Result<Option<(u64, Option<Version>)>> {
    let found = statement.query_row([key.as_str()], |row| {
        Ok((read_ms(row.get(0)?), Version::decode(row.get_ref(1)?.as_blob()?)))
    });
    found.optional()
}

/// What has expired counts as missing from that moment on, whenever it is swept.
pub(super) fn living<T>((expires_ms, found): (u64, T), now_ms: u64) -> Option<T> {
    (now_ms < expires_ms).then_some(found)
}

/// Expired entries in the order in which they expired, from after `last` on.
pub(super) fn expired(
    connection: &Connection,
    last: Option<&Expired>,
    now_ms: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Expired>> {
    let (after_ms, after_row) =
        last.map_or((i64::MIN, i64::MIN), |last| (last.expires_ms, last.row));
    let mut statement = connection.prepare_cached(sql::ENTRY_EXPIRED)?;
    let rows = statement.query_map((now_ms as i64, after_ms, after_row, limit as i64), |row| {
        let bytes = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        Ok(Expired { expires_ms: row.get(0)?, row: row.get(1)?, key: row.get(2)?, bytes })
    })?;
    rows.collect()
}

fn read_ms(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
