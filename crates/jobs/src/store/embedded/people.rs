//! What people do with failed jobs, and with queues.

use rusqlite::ErrorCode;

use super::{
    row::Row,
    sql, tallies,
    tx::{Tx, Undone},
};
use crate::{
    limits,
    name::JobId,
    state::State,
    store::{Forgotten, Revived},
};

pub(super) fn revive(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<Vec<Revived>, Undone> {
    let now_ms = tx.now_ms;
    let mut one = |id: &JobId| {
        let Some(mut row) = Row::by_id(tx.connection, *id)? else {
            return Ok(Revived::NotFailed);
        };
        match tx.step(&mut row, |row| row.revive(now_ms)) {
            Ok(true) => Ok(Revived::Waiting),
            Ok(false) => Ok(Revived::NotFailed),
            Err(Undone::Sqlite(error)) if is_constraint(&error) => Ok(Revived::KeyTaken),
            Err(error) => Err(error),
        }
    };
    jobs.iter().map(&mut one).collect()
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Which of them had failed.
pub(super) fn forget(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<Vec<bool>, Undone> {
    let mut one = |id: &JobId| {
        let row = Row::by_id(tx.connection, *id)?.filter(|row| row.state == State::Failed);
        let Some(row) = row else { return Ok(false) };
        tx.delete(&row)?;
        Ok(true)
    };
    jobs.iter().map(&mut one).collect()
}

pub(super) fn prune(tx: &mut Tx<'_>, before_ms: i64) -> Result<Forgotten, Undone> {
    let rows = tx.rows(sql::NEXT_ENDED, (before_ms, limits::CHUNK as i64))?;
    for row in &rows {
        tx.delete(row)?;
    }
    tx.write_counts()?;
    tx.connection.execute(sql::BATCHES_PRUNE, (before_ms, limits::CHUNK as i64))?;
    tx.connection.execute(sql::LANES_SWEEP, [])?;
    tx.connection.execute(sql::RATES_SWEEP, [tx.now_ms])?;
    tallies::sweep(tx)?;
    Ok(Forgotten { jobs: rows.len(), more: rows.len() == limits::CHUNK })
}

pub(super) fn set_paused(tx: &Tx<'_>, queue: i64, paused: bool) -> Result<(), Undone> {
    tx.connection.execute(sql::QUEUE_PAUSE, (queue, paused))?;
    Ok(())
}

pub(super) fn limit_queue(tx: &Tx<'_>, queue: i64, most: u64) -> Result<(), Undone> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.connection.execute(sql::QUEUE_LIMIT, (queue, most))?;
    Ok(())
}
