//! Jobs and queues as people see them, from one snapshot.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::{
    row::Row,
    sql,
    tx::{Undone, damaged},
};
use crate::{
    job::{EndedAttempt, JobDetails, JobView, Progress, Record},
    name::{BatchId, JobId, Kind, QueueName, Tenant, Token},
    state::State,
    store::QueueFigures,
};

pub(super) fn view(connection: &Connection, seq: i64) -> Result<JobView, Undone> {
    let mut statement = connection.prepare_cached(sql::JOB_VIEW)?;
    let (names, view) = statement.query_row([seq], |row| {
        let number = row.get(4)?;
        let state = State::from_number(number);
        let names = (row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?);
        let view = |queue, kind, tenant| {
            Ok::<_, rusqlite::Error>(JobView {
                id: JobId::from_u64(row.get::<_, i64>(0)? as u64),
                queue,
                kind,
                tenant,
                state: state.ok_or(rusqlite::Error::IntegralValueOutOfRange(4, number))?,
                suspect: row.get(5)?,
                attempt: row.get(6)?,
                exceptions: row.get(7)?,
                kills: row.get(8)?,
                batch: row.get::<_, Option<i64>>(9)?.map(|id| BatchId::from_u64(id as u64)),
                pushed_ms: row.get::<_, i64>(10)? as u64,
                at_ms: row.get::<_, i64>(11)? as u64,
                reason: row.get(12)?,
            })
        };
        let checked = (QueueName::new(names.0), Kind::new(names.1), Tenant::new(names.2));
        Ok(match checked {
            (Ok(queue), Ok(kind), Ok(tenant)) => (Ok(()), Some(view(queue, kind, tenant)?)),
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => (Err(error), None),
        })
    })?;
    names.map_err(|error| damaged("a job", error))?;
    view.ok_or_else(|| damaged("a job", "it has no name"))
}

pub(super) fn details(connection: &Connection, id: JobId) -> Result<Option<JobDetails>, Undone> {
    let Some(Row { seq, .. }) = Row::by_id(connection, id)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(sql::JOB_DETAILS)?;
    let (payload, policy, result) = statement
        .query_row([seq], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    let (progress, checkpoint) = progress(connection, seq)?;
    Ok(Some(JobDetails {
        job: view(connection, seq)?,
        payload,
        policy: serde_json::from_str(&policy).map_err(|error| damaged("a policy", error))?,
        progress,
        checkpoint,
        result,
        history: history(connection, seq)?,
    }))
}

/// A checkpoint alone says nothing about progress.
fn progress(
    connection: &Connection,
    seq: i64,
) -> rusqlite::Result<(Option<Progress>, Option<Vec<u8>>)> {
    let mut statement = connection.prepare_cached(sql::PROGRESS_GET)?;
    let found = statement.query_row([seq], |row| {
        let (done, of) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64);
        Ok((Progress { done, of, note: row.get(2)? }, row.get(3)?))
    });
    let Some((progress, checkpoint)) = found.optional()? else { return Ok((None, None)) };
    Ok((Some(progress).filter(|it| *it != Progress::default()), checkpoint))
}

fn history(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<EndedAttempt>> {
    let mut statement = connection.prepare_cached(sql::ATTEMPT_LIST)?;
    let attempts = statement.query_map([seq], |row| {
        Ok(EndedAttempt {
            token: Token(row.get::<_, i64>(0)? as u64),
            worker: row.get(1)?,
            ended_ms: row.get::<_, i64>(2)? as u64,
            step: row.get(3)?,
            reason: row.get(4)?,
            record: record(row.get::<_, Option<String>>(5)?.as_deref()),
        })
    })?;
    attempts.collect()
}

/// What cannot be read is not worth to hide the rest.
fn record(stored: Option<&str>) -> Record {
    stored.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default()
}

pub(super) fn figures(connection: &Connection, now_ms: u64) -> Result<Vec<QueueFigures>, Undone> {
    let mut statement = connection.prepare_cached(sql::QUEUE_FIGURES)?;
    let mut rows = statement.query([])?;
    let mut figures = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let count = |index| row.get::<_, i64>(index).map(|count| count as u64);
        let waited = |since_ms: i64| now_ms.saturating_sub(u64::try_from(since_ms).unwrap_or(0));
        figures.push(QueueFigures {
            queue: QueueName::new(name).map_err(|error| damaged("a queue", error))?,
            paused: row.get(2)?,
            limit: count(3)?,
            scheduled: count(4)?,
            waiting: count(5)?,
            suspects: count(6)?,
            claimed: count(7)?,
            running: count(8)?,
            done: count(9)?,
            failed: count(10)?,
            cancelled: count(11)?,
            oldest_waiting: row.get::<_, Option<i64>>(12)?.map(waited).map(Duration::from_millis),
        });
    }
    Ok(figures)
}
