//! One operation in its transaction: what it moved, to be counted once at its end.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use super::{batches::BatchRow, push::Room, row::Row, sql};
use crate::{
    job::{Record, cut},
    limits,
    name::{BatchId, QueueName},
    state::{State, Step},
    store::{Refusal, StoreError},
    tally::Tally,
};

/// Why an operation is undone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undone {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for Undone {
    fn from(refusal: Refusal) -> Self {
        Undone::Store(refusal.into())
    }
}

pub(super) fn damaged(what: &str, error: impl std::fmt::Display) -> Undone {
    Undone::Store(StoreError::Damaged(format!("{what}: {error}")))
}

#[derive(Debug)]
pub(super) struct Tx<'c> {
    pub(super) connection: &'c Connection,
    pub(super) now_ms: i64,
    /// By lane and state.
    moved: BTreeMap<i64, [i64; State::ALL.len()]>,
    pub(super) batches: BTreeMap<BatchId, BatchRow>,
    lanes: HashMap<Lane, i64>,
    /// By lane.
    pub(super) tallies: BTreeMap<i64, Tally>,
    /// Under what the lanes that were moved are counted.
    tallied_of: BTreeMap<i64, i64>,
}

/// What a lane is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) queue: i64,
    pub(super) kind: String,
    pub(super) version: u32,
    pub(super) suspect: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) id: i64,
    pub(super) most: u64,
}

impl<'c> Tx<'c> {
    pub(super) fn new(connection: &'c Connection, now_ms: u64) -> Self {
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let (moved, batches, lanes, tallies, tallied_of) = Default::default();
        Self { connection, now_ms, moved, batches, lanes, tallies, tallied_of }
    }

    /// Writes what was counted. Batches first: what they call for is counted as well. Gives what
    /// is to be added to the tallies.
    pub(super) fn end(mut self) -> Result<Vec<(i64, Tally)>, Undone> {
        self.end_batches()?;
        self.write_counts()?;
        let tallied = |(lane, tally)| self.tallied_of.get(&lane).map(|id| (*id, tally));
        Ok(self.tallies.into_iter().filter_map(tallied).collect())
    }

    /// Brings the lanes' counts up to what was moved so far.
    pub(super) fn write_counts(&mut self) -> Result<(), Undone> {
        let mut statement = self.connection.prepare_cached(sql::LANE_MOVE)?;
        for (lane, by) in std::mem::take(&mut self.moved) {
            let [scheduled, waiting, claimed, running, done, failed, cancelled] = by;
            let by = (lane, scheduled, waiting, claimed, running, done, failed, cancelled);
            let tallied = statement.query_row(by, |row| row.get(0))?;
            self.tallied_of.insert(lane, tallied);
        }
        Ok(())
    }

    pub(super) fn count(&mut self, lane: i64, state: State, by: i64) {
        self.moved.entry(lane).or_default()[state as usize] += by;
    }

    /// Takes the step, and with it everything that hangs on it. False: it may not happen.
    pub(super) fn step(
        &mut self,
        row: &mut Row,
        step: impl FnOnce(&mut Row) -> bool,
    ) -> Result<bool, Undone> {
        let (state, lane, was_suspect) = (row.state, row.lane, row.is_suspect());
        if !step(row) {
            return Ok(false);
        }
        if row.is_suspect() != was_suspect {
            row.lane = self.lane_beside(lane, row.is_suspect())?;
        }
        row.save(self.connection)?;
        self.count(lane, state, -1);
        self.count(row.lane, row.state, 1);
        self.tally_step(row.lane, state, row.state);
        match row.batch {
            Some(batch) if row.state.has_ended() => self.batch_job_ended(batch, row.state)?,
            Some(batch) if state.has_ended() => self.batch_job_revived(batch, state)?,
            _ => {}
        }
        Ok(true)
    }

    /// Keeps how the attempt of the last claim ended.
    pub(super) fn record(
        &self,
        row: &Row,
        worker: Option<&str>,
        step: Step,
        reason: &str,
        record: &Record,
    ) -> Result<(), Undone> {
        let reason = cut(reason.to_owned(), limits::REASON_BYTES);
        let token = row.token.0 as i64;
        let worker = worker.unwrap_or_default();
        self.connection.prepare_cached(sql::ATTEMPT_PUT)?.execute(params![
            row.seq,
            token,
            worker,
            self.now_ms,
            step.name(),
            reason,
            record.stored()
        ])?;
        if row.token.0 > limits::HISTORY as u64 {
            let kept = limits::HISTORY as i64;
            self.connection.prepare_cached(sql::ATTEMPT_TRIM)?.execute((row.seq, kept))?;
        }
        Ok(())
    }

    /// Everything of the job goes.
    pub(super) fn delete(&mut self, row: &Row) -> Result<(), Undone> {
        for statement in [
            sql::JOB_DELETE,
            sql::BODY_DELETE,
            sql::PROGRESS_DELETE,
            sql::RESULT_DELETE,
            sql::ONCE_DELETE,
            sql::ATTEMPT_DELETE,
        ] {
            self.connection.prepare_cached(statement)?.execute([row.seq])?;
        }
        self.count(row.lane, row.state, -1);
        Ok(())
    }

    pub(super) fn rows(
        &self,
        statement: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Row>, Undone> {
        let mut statement = self.connection.prepare_cached(statement)?;
        let rows = statement.query_map(parameters, Row::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Makes it when it is new.
    pub(super) fn queue(&self, name: &QueueName) -> Result<Queue, Undone> {
        let mut get = self.connection.prepare_cached(sql::QUEUE_GET)?;
        let found = get.query_row([name.as_str()], |row| {
            Ok(Queue { id: row.get(0)?, most: row.get::<_, i64>(1)? as u64 })
        });
        if let Some(queue) = found.optional()? {
            return Ok(queue);
        }
        let known: i64 = self.connection.query_row(sql::QUEUE_COUNT, [], |row| row.get(0))?;
        if known >= limits::QUEUES as i64 {
            let (queue, limit) = (name.clone(), limits::QUEUES);
            return Err(Refusal::TooManyQueues { queue, limit }.into());
        }
        self.connection.execute(sql::QUEUE_PUT, (name.as_str(), limits::QUEUE_JOBS as i64))?;
        Ok(Queue { id: self.connection.last_insert_rowid(), most: limits::QUEUE_JOBS })
    }

    /// Makes it when it is new; nothing when the queue has too many.
    pub(super) fn lane(&mut self, lane: Lane, room: Room) -> Result<Option<i64>, Undone> {
        if let Some(id) = self.lanes.get(&lane) {
            return Ok(Some(*id));
        }
        let key = params![lane.queue, lane.kind, lane.version, lane.suspect];
        let mut get = self.connection.prepare_cached(sql::LANE_GET)?;
        let id = match get.query_row(key, |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
                let known = self.connection.query_row(sql::LANE_COUNT, [lane.queue], count)?;
                if known >= limits::LANES_PER_QUEUE && room == Room::Limited {
                    return Ok(None);
                }
                let tallied = self.tallied(lane.queue, &lane.kind)?;
                let Lane { queue, kind, version, suspect } = &lane;
                self.connection
                    .execute(sql::LANE_PUT, params![queue, kind, version, suspect, tallied])?;
                self.connection.last_insert_rowid()
            }
        };
        self.lanes.insert(lane, id);
        Ok(Some(id))
    }

    /// The lane of the same jobs as suspects, or as innocent ones.
    fn lane_beside(&mut self, lane: i64, suspect: bool) -> Result<i64, Undone> {
        let mut show = self.connection.prepare_cached(sql::LANE_SHOW)?;
        let beside = show.query_row([lane], |row| {
            Ok(Lane { queue: row.get(0)?, kind: row.get(1)?, version: row.get(2)?, suspect })
        })?;
        drop(show);
        Ok(self.lane(beside, Room::Exempt)?.unwrap_or(lane))
    }
}
