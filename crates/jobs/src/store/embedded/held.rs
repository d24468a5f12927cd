//! What a worker says of a job it holds: it runs, it lives, how far it is.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    row::Row,
    sql,
    tx::{Tx, Undone},
};
use crate::{
    job::{Held, Progress, cut},
    limits,
    name::{Hold, JobId},
    state::State,
    store::{Refusal, Renew},
};

impl Tx<'_> {
    /// The job of this hold, unless it is somebody else's by now or nobody's.
    pub(super) fn held(&self, hold: Hold) -> Result<Option<Row>, Undone> {
        let row = Row::by_id(self.connection, hold.id)?;
        Ok(row.filter(|row| row.state.is_held() && row.token == hold.token))
    }
}

pub(super) fn start(tx: &mut Tx<'_>, holds: &[Hold]) -> Result<Vec<Held>, Undone> {
    let now_ms = tx.now_ms;
    let mut start = |hold: &Hold| {
        let Some(mut row) = tx.held(*hold)? else { return Ok(Held::Lost) };
        if row.cancelling && row.state == State::Claimed {
            tx.step(&mut row, |row| row.cancel(now_ms))?;
            return Ok(Held::Lost);
        }
        // One that runs already was started by a call whose answer got lost.
        if row.state == State::Claimed {
            tx.step(&mut row, Row::start)?;
        }
        Ok(told(row.cancelling))
    };
    holds.iter().map(&mut start).collect()
}

pub(super) fn renew(tx: &Tx<'_>, renew: &Renew) -> Result<Vec<Held>, Undone> {
    let lease_ms = i64::try_from(renew.lease.as_millis()).unwrap_or(i64::MAX);
    let lease_end_ms = tx.now_ms.saturating_add(lease_ms);
    let mut statement = tx.connection.prepare_cached(sql::JOB_RENEW)?;
    let mut one = |hold: &Hold| {
        let key = params![hold.id.as_u64() as i64, hold.token.0 as i64, lease_end_ms];
        let cancelling = statement.query_row(key, |row| row.get(0)).optional()?;
        Ok(cancelling.map_or(Held::Lost, told))
    };
    renew.holds.iter().map(&mut one).collect()
}

pub(super) fn progress(tx: &Tx<'_>, hold: Hold, progress: &Progress) -> Result<Held, Undone> {
    let Some(row) = tx.held(hold)? else { return Ok(Held::Lost) };
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let note = cut(progress.note.clone(), limits::REASON_BYTES);
    let mut put = tx.connection.prepare_cached(sql::PROGRESS_PUT)?;
    put.execute(params![row.seq, count(progress.done), count(progress.of), note])?;
    Ok(told(row.cancelling))
}

pub(super) fn checkpoint(tx: &Tx<'_>, hold: Hold, value: &[u8]) -> Result<Held, Undone> {
    let Some(row) = tx.held(hold)? else { return Ok(Held::Lost) };
    tx.connection.prepare_cached(sql::CHECKPOINT_PUT)?.execute((row.seq, value))?;
    Ok(told(row.cancelling))
}

pub(super) fn record_once(
    tx: &Tx<'_>,
    hold: Hold,
    key: &str,
    value: &[u8],
) -> Result<Held, Undone> {
    let Some(row) = tx.held(hold)? else { return Ok(Held::Lost) };
    let count = |row: &rusqlite::Row<'_>| row.get(0);
    let recorded: i64 = tx.connection.query_row(sql::ONCE_COUNT, [row.seq], count)?;
    if recorded >= limits::ONCE_PER_JOB {
        return Err(Refusal::TooManyResults { recorded }.into());
    }
    tx.connection.prepare_cached(sql::ONCE_PUT)?.execute((row.seq, key, value))?;
    Ok(told(row.cancelling))
}

pub(super) fn once(
    connection: &Connection,
    id: JobId,
    key: &str,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut get = connection.prepare_cached(sql::ONCE_GET)?;
    get.query_row((id.as_u64() as i64, key), |row| row.get(0)).optional()
}

fn told(cancelling: bool) -> Held {
    if cancelling { Held::Cancelled } else { Held::Yes }
}
