//! Batches move in the transaction of their jobs' last steps (law 11).

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{
    push::{self, Room},
    sql,
    tx::{Tx, Undone, damaged},
};
use crate::{
    batch::{BatchView, Callbacks, NewBatch},
    job::{NewJob, Pushed},
    name::{BatchId, BatchName, QueueName, Tenant},
    state::State,
    store::Refusal,
};

#[derive(Debug, Clone)]
pub(super) struct BatchRow {
    pub(super) queue: i64,
    allow_failures: bool,
    total: u64,
    pending: u64,
    failed: u64,
    cancelled: u64,
    caught: bool,
    pub(super) is_cancelled: bool,
    pub(super) finished_ms: Option<i64>,
    callbacks: String,
    /// The first failure came in this operation.
    catch_now: bool,
    /// By this operation.
    changed: bool,
}

/// As stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    then: Option<NewJob>,
    catch: Option<NewJob>,
    finally: Option<NewJob>,
}

impl BatchRow {
    /// One job more.
    pub(super) fn add(&mut self) {
        self.changed = true;
        self.total += 1;
        self.pending += 1;
    }

    fn ended(&mut self, state: State) {
        self.changed = true;
        self.pending = self.pending.saturating_sub(1);
        match state {
            State::Failed => {
                self.failed += 1;
                self.catch_now |= !self.caught;
                self.caught = true;
                self.is_cancelled |= !self.allow_failures;
            }
            State::Cancelled => self.cancelled += 1,
            _ => {}
        }
    }

    fn revived(&mut self, state: State) {
        self.changed = true;
        self.pending += 1;
        match state {
            State::Failed => self.failed = self.failed.saturating_sub(1),
            State::Cancelled => self.cancelled = self.cancelled.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether what ended now ended well.
    fn went_well(&self) -> bool {
        let all_well = self.failed == 0 && self.cancelled == 0;
        (all_well || self.allow_failures) && !self.is_cancelled
    }
}

pub(super) fn push(tx: &mut Tx<'_>, batch: &NewBatch) -> Result<Vec<Pushed>, Undone> {
    if tx.batch(batch.id)?.is_some() {
        return Ok(batch.jobs.iter().map(|job| Pushed::AlreadyThere(job.id)).collect());
    }
    let queue = tx.queue(&batch.queue)?;
    let Callbacks { then, catch, finally } = batch.callbacks.clone();
    let callbacks = serde_json::to_string(&Stored { then, catch, finally })
        .map_err(|error| damaged("callbacks of a batch", error))?;
    tx.connection.prepare_cached(sql::BATCH_PUT)?.execute(params![
        batch.id.as_u64() as i64,
        batch.name.as_str(),
        queue.id,
        batch.allow_failures,
        tx.now_ms,
        callbacks,
        batch.tenant.as_str()
    ])?;
    if let Some(batch) = tx.batch(batch.id)? {
        // Without a job it finishes with this operation.
        batch.changed = true;
    }
    push::all(tx, &batch.jobs)
}

/// Tells who runs its jobs at once; those that wait end chunk by chunk.
pub(super) fn cancel(tx: &mut Tx<'_>, id: BatchId) -> Result<bool, Undone> {
    let Some(batch) = tx.batch(id)? else { return Ok(false) };
    if batch.finished_ms.is_none() {
        (batch.is_cancelled, batch.changed) = (true, true);
    }
    Ok(true)
}

impl Tx<'_> {
    /// As this operation has left it so far.
    pub(super) fn batch(&mut self, id: BatchId) -> Result<Option<&mut BatchRow>, Undone> {
        if !self.batches.contains_key(&id) {
            let mut get = self.connection.prepare_cached(sql::BATCH_GET)?;
            let found = get.query_row([id.as_u64() as i64], |row| {
                Ok(BatchRow {
                    queue: row.get(0)?,
                    allow_failures: row.get(1)?,
                    total: row.get::<_, i64>(2)? as u64,
                    pending: row.get::<_, i64>(3)? as u64,
                    failed: row.get::<_, i64>(4)? as u64,
                    cancelled: row.get::<_, i64>(5)? as u64,
                    caught: row.get(6)?,
                    is_cancelled: row.get(7)?,
                    finished_ms: row.get(8)?,
                    callbacks: row.get(9)?,
                    catch_now: false,
                    changed: false,
                })
            });
            let Some(found) = found.optional()? else { return Ok(None) };
            self.batches.insert(id, found);
        }
        Ok(self.batches.get_mut(&id))
    }

    /// Where a job may still be added.
    pub(super) fn open_batch(
        &mut self,
        id: BatchId,
        (queue, name): (i64, &QueueName),
    ) -> Result<&mut BatchRow, Undone> {
        let Some(batch) = self.batch(id)? else {
            return Err(Refusal::NoBatch { batch: id }.into());
        };
        if batch.finished_ms.is_some() {
            return Err(Refusal::BatchFinished { batch: id }.into());
        }
        if batch.queue != queue {
            return Err(Refusal::BatchElsewhere { batch: id, queue: name.clone() }.into());
        }
        Ok(batch)
    }

    /// A batch that was finished, or is gone, counts nothing any more.
    pub(super) fn batch_job_ended(&mut self, id: BatchId, state: State) -> Result<(), Undone> {
        if let Some(batch) = self.batch(id)?.filter(|batch| batch.finished_ms.is_none()) {
            batch.ended(state);
        }
        Ok(())
    }

    pub(super) fn batch_job_revived(&mut self, id: BatchId, was: State) -> Result<(), Undone> {
        if let Some(batch) = self.batch(id)?.filter(|batch| batch.finished_ms.is_none()) {
            batch.revived(was);
        }
        Ok(())
    }

    /// Creates the jobs that the batches call for, and writes the batches.
    pub(super) fn end_batches(&mut self) -> Result<(), Undone> {
        let changed = std::mem::take(&mut self.batches).into_iter();
        for (id, mut batch) in changed.filter(|(_, batch)| batch.changed) {
            let finishes = batch.pending == 0 && batch.finished_ms.is_none();
            if batch.catch_now || finishes {
                let stored: Stored = serde_json::from_str(&batch.callbacks)
                    .map_err(|error| damaged("callbacks of a batch", error))?;
                let catch = stored.catch.filter(|_| batch.catch_now);
                let then = stored.then.filter(|_| finishes && batch.went_well());
                let finally = stored.finally.filter(|_| finishes);
                for job in [catch, then, finally].iter().flatten() {
                    push::insert(self, job, Room::Exempt)?;
                }
            }
            if finishes {
                batch.finished_ms = Some(self.now_ms);
            }
            if batch.is_cancelled {
                self.tell_batch(id)?;
            }
            self.connection.prepare_cached(sql::BATCH_SAVE)?.execute(params![
                id.as_u64() as i64,
                batch.total as i64,
                batch.pending as i64,
                batch.failed as i64,
                batch.cancelled as i64,
                batch.caught,
                batch.is_cancelled,
                batch.finished_ms,
            ])?;
        }
        Ok(())
    }

    /// What runs in a cancelled batch is to stop.
    fn tell_batch(&self, id: BatchId) -> Result<(), Undone> {
        for mut row in self.rows(sql::HELD_IN_BATCH, [id.as_u64() as i64])? {
            if !row.cancelling {
                row.cancelling = true;
                row.save(self.connection)?;
            }
        }
        Ok(())
    }
}

pub(super) fn view(
    connection: &rusqlite::Connection,
    id: BatchId,
) -> Result<Option<BatchView>, Undone> {
    let mut view = connection.prepare_cached(sql::BATCH_VIEW)?;
    let mut rows = view.query([id.as_u64() as i64])?;
    rows.next()?.map(|row| read(row, id)).transpose()
}

/// A row of `batch_view`.
pub(super) fn read(row: &rusqlite::Row<'_>, id: BatchId) -> Result<BatchView, Undone> {
    let count = |index| row.get::<_, i64>(index).map(|count| count as u64);
    let damaged = |error| damaged("a batch", error);
    Ok(BatchView {
        id,
        name: BatchName::new(row.get::<_, String>(0)?).map_err(damaged)?,
        queue: QueueName::new(row.get::<_, String>(1)?).map_err(damaged)?,
        tenant: Tenant::new(row.get::<_, String>(9)?).map_err(damaged)?,
        total: count(2)?,
        pending: count(3)?,
        failed: count(4)?,
        cancelled: count(5)?,
        is_cancelled: row.get(6)?,
        created_ms: count(7)?,
        finished_ms: row.get::<_, Option<i64>>(8)?.map(|ms| ms as u64),
    })
}
