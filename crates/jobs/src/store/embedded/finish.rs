//! The end of an attempt, with everything that happens because of it.

use rusqlite::params;
use samovar_memory::Class;

use super::{
    push::{self, Room},
    row::Row,
    sql,
    tx::{Tx, Undone, damaged},
};
use crate::{
    job::{Finish, Finished, NOTHING, NewJob, Outcome, Record},
    policy::Policy,
    state::{State, Step},
};

pub(super) fn finish(tx: &mut Tx<'_>, finishes: &[Finish]) -> Result<Vec<Finished>, Undone> {
    finishes.iter().map(|finish| one(tx, finish)).collect()
}

fn one(tx: &mut Tx<'_>, finish: &Finish) -> Result<Finished, Undone> {
    let Finish { hold, outcome, record, measured } = finish;
    let Some(mut row) = tx.held(*hold)? else { return Ok(Finished::Zombie) };
    let worker = row.worker.clone();
    let now_ms = tx.now_ms;
    if *outcome != Outcome::Released {
        tx.tally(row.lane).measured(measured);
    }
    let moved = match outcome {
        Outcome::Done { result, follow_ups } => {
            let moved = done(tx, &mut row, result.as_deref(), follow_ups)?;
            let is_told_of = moved && !record.is_empty();
            recorded(tx, &row, worker.as_deref(), (is_told_of, Step::Finish), ("", record))?;
            moved
        }
        Outcome::Missing => return missing(tx, row),
        // There is no further attempt for what is to be cancelled.
        Outcome::Retry { .. } if row.cancelling => cancelled(tx, &mut row, worker.as_deref())?,
        Outcome::Retry { after, reason, exception } => {
            let delay_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
            let due_ms = now_ms.saturating_add(delay_ms);
            let moved = tx.step(&mut row, |row| row.retry(due_ms, *exception))?;
            recorded(tx, &row, worker.as_deref(), (moved, Step::Retry), (reason, record))?
        }
        Outcome::Failed { reason } => {
            let moved = tx.step(&mut row, |row| row.fail(now_ms))?;
            recorded(tx, &row, worker.as_deref(), (moved, Step::Fail), (reason, record))?
        }
        Outcome::Released if row.cancelling => cancelled(tx, &mut row, worker.as_deref())?,
        Outcome::Released => {
            let moved = tx.step(&mut row, Row::release)?;
            recorded(tx, &row, worker.as_deref(), (moved, Step::Release), ("given back", record))?
        }
        Outcome::Isolated { .. } if row.cancelling => cancelled(tx, &mut row, worker.as_deref())?,
        Outcome::Isolated { reason, class } => {
            let moved = tx.step(&mut row, Row::climb)?;
            if moved {
                isolate(tx, &row, *class)?;
            }
            recorded(tx, &row, worker.as_deref(), (moved, Step::Climb), (reason, record))?
        }
        Outcome::Killed { reason } => {
            let most = policy(tx, &row)?.max_kills.into();
            let moved =
                row.state == State::Running && tx.step(&mut row, |row| row.kill(now_ms, most))?;
            tx.tally(row.lane).killed += u64::from(moved);
            recorded(tx, &row, worker.as_deref(), (moved, Step::Kill), (reason, record))?
        }
        Outcome::Cancelled => cancelled(tx, &mut row, worker.as_deref())?,
    };
    Ok(if moved { Finished::Now(row.state) } else { Finished::Zombie })
}

/// What it leaves behind is there before it has ended, so that its batch does not end in between.
fn done(
    tx: &mut Tx<'_>,
    row: &mut Row,
    result: Option<&[u8]>,
    follow_ups: &[NewJob],
) -> Result<bool, Undone> {
    if row.state != State::Running {
        return Ok(false);
    }
    for job in follow_ups {
        push::insert(tx, job, Room::Exempt)?;
    }
    if let Some(value) = result {
        tx.connection.prepare_cached(sql::RESULT_PUT)?.execute(params![row.seq, value])?;
    }
    let now_ms = tx.now_ms;
    tx.step(row, |row| row.finish(now_ms))
}

/// Its subject is gone: it is deleted as done, or fails, as its policy says.
fn missing(tx: &mut Tx<'_>, mut row: Row) -> Result<Finished, Undone> {
    let (worker, now_ms) = (row.worker.clone(), tx.now_ms);
    if policy(tx, &row)?.delete_when_missing {
        if !tx.step(&mut row, |row| row.finish(now_ms))? {
            return Ok(Finished::Zombie);
        }
        tx.delete(&row)?;
        return Ok(Finished::Deleted);
    }
    let moved = tx.step(&mut row, |row| row.fail(now_ms))?;
    let reason = "what it was about is gone";
    let moved = recorded(tx, &row, worker.as_deref(), (moved, Step::Fail), (reason, &NOTHING))?;
    Ok(if moved { Finished::Now(row.state) } else { Finished::Zombie })
}

fn cancelled(tx: &mut Tx<'_>, row: &mut Row, worker: Option<&str>) -> Result<bool, Undone> {
    let now_ms = tx.now_ms;
    let moved = tx.step(row, |row| row.cancel(now_ms))?;
    recorded(tx, row, worker, (moved, Step::Cancel), ("cancelled while it ran", &NOTHING))
}

fn recorded(
    tx: &Tx<'_>,
    row: &Row,
    worker: Option<&str>,
    (moved, step): (bool, Step),
    (reason, record): (&str, &Record),
) -> Result<bool, Undone> {
    if moved {
        tx.record(row, worker, step, reason, record)?;
    }
    Ok(moved)
}

/// From now on: its policy says so.
fn isolate(tx: &Tx<'_>, row: &Row, class: Class) -> Result<(), Undone> {
    let isolated = Policy { isolated: true, class, ..policy(tx, row)? };
    let stored = serde_json::to_string(&isolated).map_err(|error| damaged("a policy", error))?;
    tx.connection.prepare_cached(sql::POLICY_PUT)?.execute((row.seq, stored))?;
    Ok(())
}

fn policy(tx: &Tx<'_>, row: &Row) -> Result<Policy, Undone> {
    let mut get = tx.connection.prepare_cached(sql::POLICY_GET)?;
    let policy: String = get.query_row([row.seq], |row| row.get(0))?;
    serde_json::from_str(&policy).map_err(|error| damaged("a policy", error))
}
