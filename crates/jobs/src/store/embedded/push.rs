//! New jobs.

use std::collections::BTreeMap;

use rusqlite::{ErrorCode, OptionalExtension, params};

use super::{
    row::Row,
    sql,
    tx::{Lane, Queue, Tx, Undone, damaged},
};
use crate::{
    job::{NewJob, Pushed},
    name::{JobId, QueueName},
    state::State,
    store::Refusal,
};

/// Whether the limits of a queue count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Limited,
    /// What an ended job or batch leaves behind must not get lost for want of room; it is bounded
    /// by the jobs that leave it.
    Exempt,
}

/// All of them, within the limits of their queues.
pub(super) fn all(tx: &mut Tx<'_>, jobs: &[NewJob]) -> Result<Vec<Pushed>, Undone> {
    let mut added = BTreeMap::<&QueueName, u64>::new();
    let mut pushed = Vec::with_capacity(jobs.len());
    for job in jobs {
        let one = insert(tx, job, Room::Limited)?;
        if matches!(one, Pushed::New(_)) {
            *added.entry(&job.queue).or_default() += 1;
        }
        pushed.push(one);
    }
    for (name, added) in added {
        let Queue { id, most } = tx.queue(name)?;
        // What this operation adds is counted at its end.
        let mut load = tx.connection.prepare_cached(sql::QUEUE_LOAD)?;
        let found = load.query_row([id], |row| row.get::<_, i64>(0))? as u64;
        if found + added > most {
            return Err(Refusal::QueueFull { queue: name.clone(), found, limit: most }.into());
        }
    }
    Ok(pushed)
}

pub(super) fn insert(tx: &mut Tx<'_>, job: &NewJob, room: Room) -> Result<Pushed, Undone> {
    let Queue { id: queue, .. } = tx.queue(&job.queue)?;
    if let Some(batch) = job.batch {
        tx.open_batch(batch, (queue, &job.queue))?;
    }
    let kind = job.kind.as_str().to_owned();
    let lane = Lane { queue, kind, version: job.version, suspect: false };
    let Some(lane) = tx.lane(lane, room)? else {
        let (queue, limit) = (job.queue.clone(), crate::limits::LANES_PER_QUEUE);
        return Err(Refusal::TooManyKinds { queue, limit }.into());
    };
    let state = State::new(!job.delay.is_zero());
    let delay_ms = i64::try_from(job.delay.as_millis()).unwrap_or(i64::MAX);
    let at_ms = tx.now_ms.saturating_add(delay_ms);
    let put = tx.connection.prepare_cached(sql::JOB_PUT)?.execute(params![
        job.id.as_u64() as i64,
        lane,
        state.number(),
        at_ms,
        job.batch.map(|batch| batch.as_u64() as i64),
        queue,
        job.unique_key,
    ]);
    match put {
        Ok(_) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return already_there(tx, job, (queue, room), error);
        }
        Err(error) => return Err(error.into()),
    }
    let seq = tx.connection.last_insert_rowid();
    let policy = serde_json::to_string(&job.policy).map_err(|error| damaged("a policy", error))?;
    tx.connection.prepare_cached(sql::BODY_PUT)?.execute(params![
        seq,
        job.tenant.as_str(),
        tx.now_ms,
        policy,
        job.payload
    ])?;
    tx.count(lane, state, 1);
    if let Some(batch) = job.batch {
        tx.open_batch(batch, (queue, &job.queue))?.add();
    }
    Ok(Pushed::New(job.id))
}

/// Only asked when something is in the way, so that nothing is looked up for the others.
fn already_there(
    tx: &Tx<'_>,
    job: &NewJob,
    (queue, room): (i64, Room),
    error: rusqlite::Error,
) -> Result<Pushed, Undone> {
    if Row::by_id(tx.connection, job.id)?.is_some() {
        let mut same = tx.connection.prepare_cached(sql::JOB_SAME)?;
        let (kind, payload) = same.query_row([job.id.as_u64() as i64], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        // An ended job must not fail for a follow-up that cannot be told from a repeated one.
        let is_same = kind == job.kind.as_str() && payload == job.payload;
        return match room {
            Room::Limited if !is_same => Err(Refusal::IdTaken { id: job.id }.into()),
            _ => Ok(Pushed::AlreadyThere(job.id)),
        };
    }
    let mut by_key = tx.connection.prepare_cached(sql::JOB_BY_KEY)?;
    let holder = by_key.query_row(params![queue, job.unique_key], |row| row.get::<_, i64>(0));
    match holder.optional()? {
        Some(id) => Ok(Pushed::AlreadyThere(JobId::from_u64(id as u64))),
        None => Err(error.into()),
    }
}
