//! Marks of schedules: they move with the push of what was due, so that each instant fires once.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    push, sql,
    tx::{Tx, Undone, damaged},
};
use crate::{
    limits,
    name::{QueueName, ScheduleName},
    store::{Fire, Fired, Mark, Refusal},
};

pub(super) fn fire(tx: &mut Tx<'_>, fire: &Fire) -> Result<Fired, Undone> {
    let queue = tx.queue(&fire.queue)?.id;
    let key = (queue, fire.schedule.as_str());
    let mut get = tx.connection.prepare_cached(sql::SCHEDULE_GET)?;
    let kept: Option<i64> = get.query_row(key, |row| row.get(0)).optional()?;
    drop(get);
    let mark_ms = kept.map(|mark_ms| mark_ms as u64);
    if mark_ms != fire.expected_ms {
        return Ok(Fired::Moved { mark_ms });
    }
    if mark_ms.is_none() {
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let known = tx.connection.query_row(sql::SCHEDULE_COUNT, [queue], count)?;
        if known >= limits::SCHEDULES_PER_QUEUE as i64 {
            let (queue, limit) = (fire.queue.clone(), limits::SCHEDULES_PER_QUEUE);
            return Err(Refusal::TooManySchedules { queue, limit }.into());
        }
    }
    let pushed = push::all(tx, &fire.jobs)?;
    let mark_ms = i64::try_from(fire.mark_ms).unwrap_or(i64::MAX);
    let fired_ms = (!fire.jobs.is_empty()).then_some(mark_ms);
    let mut put = tx.connection.prepare_cached(sql::SCHEDULE_PUT)?;
    put.execute(params![queue, fire.schedule.as_str(), mark_ms, fired_ms])?;
    Ok(Fired::Now(pushed))
}

pub(super) fn marks(connection: &Connection, queue: &QueueName) -> Result<Vec<Mark>, Undone> {
    let mut list = connection.prepare_cached(sql::SCHEDULES_OF)?;
    let marks = list.query_and_then([queue.as_str()], |row| {
        let name: String = row.get(0)?;
        Ok(Mark {
            schedule: ScheduleName::new(name).map_err(|error| damaged("a schedule", error))?,
            mark_ms: row.get::<_, i64>(1)? as u64,
            fired_ms: row.get::<_, Option<i64>>(2)?.map(|fired_ms| fired_ms as u64),
        })
    })?;
    marks.collect()
}

pub(super) fn forget(
    tx: &Tx<'_>,
    queue: &QueueName,
    schedule: &ScheduleName,
) -> Result<bool, Undone> {
    let key = (queue.as_str(), schedule.as_str());
    Ok(tx.connection.execute(sql::SCHEDULE_DELETE, key)? > 0)
}
