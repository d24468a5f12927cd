//! What nobody asked for and has to happen: jobs fall due, workers fall silent, batches are swept.

use std::time::Duration;

use rusqlite::OptionalExtension;

use super::{
    row::Row,
    sql, tallies,
    tx::{Tx, Undone},
};
use crate::{
    job::{Cancelled, NOTHING},
    limits,
    name::JobId,
    state::{State, Step},
    store::{Reap, Reaped, Tended},
};

/// Cancelled batches one call looks at.
const BATCHES: usize = 1000;

pub(super) fn promote(tx: &mut Tx<'_>, most: usize) -> Result<usize, Undone> {
    let due = tx.rows(sql::NEXT_DUE, (tx.now_ms, most as i64))?;
    let promoted = due.len();
    for mut row in due {
        tx.step(&mut row, Row::promote)?;
    }
    Ok(promoted)
}

pub(super) fn tend(tx: &mut Tx<'_>) -> Result<Tended, Undone> {
    let promoted = promote(tx, limits::CHUNK)?;
    let cancelled = sweep_batches(tx)?;
    let more_tallies = tallies::tend(tx)?;
    let mut first = tx.connection.prepare_cached(sql::FIRST_DUE)?;
    let first_ms: Option<i64> = first.query_row([], |row| row.get(0)).optional()?;
    let left_ms = |due_ms: i64| u64::try_from(due_ms.saturating_sub(tx.now_ms)).unwrap_or(0);
    Ok(Tended {
        promoted,
        cancelled,
        more: promoted == limits::CHUNK || cancelled == limits::CHUNK || more_tallies,
        next_due: first_ms.map(|due_ms| Duration::from_millis(left_ms(due_ms))),
    })
}

/// Cancels what waits in cancelled batches.
fn sweep_batches(tx: &mut Tx<'_>) -> Result<usize, Undone> {
    let mut list = tx.connection.prepare_cached(sql::BATCHES_CANCELLED)?;
    let ids = list.query_map((i64::MIN, BATCHES as i64), |row| row.get::<_, i64>(0))?;
    let ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
    let now_ms = tx.now_ms;
    let mut cancelled = 0;
    for id in ids {
        let left = limits::CHUNK - cancelled;
        if left == 0 {
            break;
        }
        for mut row in tx.rows(sql::NEXT_IN_BATCH, (id, left as i64))? {
            tx.step(&mut row, |row| row.cancel(now_ms))?;
            cancelled += 1;
        }
    }
    Ok(cancelled)
}

pub(super) fn reap(tx: &mut Tx<'_>, reap: &Reap) -> Result<Reaped, Undone> {
    let most = limits::CHUNK as i64;
    let rows = match reap {
        Reap::Lapsed => tx.rows(sql::NEXT_LAPSED, (tx.now_ms, most))?,
        Reap::Dead(worker) => tx.rows(sql::NEXT_OF_WORKER, (worker.as_str(), most))?,
    };
    take_back(tx, rows, "its worker fell silent or died")
}

/// Whoever held jobs before this process owned the file is gone.
pub(super) fn void_leases(tx: &mut Tx<'_>) -> Result<Reaped, Undone> {
    let rows = tx.rows(sql::NEXT_LAPSED, (i64::MAX, limits::CHUNK as i64))?;
    take_back(tx, rows, "its process ended")
}

fn take_back(tx: &mut Tx<'_>, rows: Vec<Row>, reason: &str) -> Result<Reaped, Undone> {
    let mut reaped = Reaped { more: rows.len() == limits::CHUNK, ..Reaped::default() };
    let now_ms = tx.now_ms;
    for mut row in rows {
        let (was, worker) = (row.state, row.worker.clone());
        if row.cancelling {
            tx.step(&mut row, |row| row.cancel(now_ms))?;
            tx.record(&row, worker.as_deref(), Step::Cancel, reason, &NOTHING)?;
            reaped.ended += 1;
            continue;
        }
        tx.step(&mut row, |row| row.lapse(now_ms, limits::LAPSES))?;
        match row.state {
            State::Failed => {
                let reason = format!("{reason}, for the {}th time in a row", row.lapses);
                tx.record(&row, worker.as_deref(), Step::Fail, &reason, &NOTHING)?;
                reaped.ended += 1;
            }
            _ => {
                tx.record(&row, worker.as_deref(), Step::Lapse, reason, &NOTHING)?;
                let count = match was {
                    State::Claimed => &mut reaped.unstarted,
                    _ => &mut reaped.suspects,
                };
                *count += 1;
            }
        }
    }
    Ok(reaped)
}

pub(super) fn cancel(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<Vec<Cancelled>, Undone> {
    let now_ms = tx.now_ms;
    let mut one = |id: &JobId| {
        let Some(mut row) = Row::by_id(tx.connection, *id)? else {
            return Ok(Cancelled::Unknown);
        };
        if row.state.has_ended() {
            return Ok(Cancelled::Ended(row.state));
        }
        if row.state == State::Running {
            row.cancelling = true;
            row.save(tx.connection)?;
            return Ok(Cancelled::Told);
        }
        tx.step(&mut row, |row| row.cancel(now_ms))?;
        Ok(Cancelled::AtOnce)
    };
    jobs.iter().map(&mut one).collect()
}
