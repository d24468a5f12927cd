//! Jobs in a file of this machine, for the one process that owns its folder.
//!
//! A job is a narrow row that its steps read and write, and wide ones that they leave alone. Every
//! operation is one closure on the writer thread, which commits for all who wait and answers then.

mod batches;
mod breakers;
mod claim;
#[cfg(test)]
mod crash;
mod errors;
mod finish;
mod held;
mod list;
mod open;
pub(in crate::store) mod outage;
mod people;
mod push;
mod row;
mod rules;
mod schedules;
mod show;
mod sql;
mod tallies;
#[cfg(test)]
mod tests;
mod tx;
mod upkeep;
mod workers;

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;
use samovar_clock::Clock;
use samovar_store::embedded::{Database, FaultKind, WriteError};

use self::{
    outage::Outage,
    tallies::Pending,
    tx::{Tx, Undone},
    workers::Workers,
};
use super::{
    BatchFilter, BatchPage, BreakerView, Claim, Count, Cursor, Filter, Fire, Fired, Forgotten,
    Given, List, Mark, Order, Page, Period, Presence, QueueFigures, Reap, Reaped, Renew, Report,
    Revived, StoreError, Tallies, Tended, WorkerView,
};
use crate::{
    batch::{BatchView, NewBatch},
    job::{Cancelled, Finish, Finished, Held, JobDetails, NewJob, Progress, Pushed},
    name::{BatchId, Hold, JobId, QueueName, RemoteName, ScheduleName, WorkerName},
};

pub use open::OpenError;

/// How often an operation is tried whose transaction a neighbour spoiled.
const TRIES: u32 = 3;

#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
    outage: Outage,
    pending: Arc<Pending>,
    workers: Workers,
}

impl EmbeddedStore {
    fn new(database: Database, pending: Arc<Pending>, clock: Clock) -> Self {
        let workers = Workers::new(clock);
        Self { database, outage: Outage::default(), pending, workers }
    }

    pub(crate) async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, StoreError> {
        let jobs = Arc::new(jobs);
        self.write(move |tx| push::all(tx, &jobs)).await
    }

    pub(crate) async fn push_batch(&self, batch: NewBatch) -> Result<Vec<Pushed>, StoreError> {
        let batch = Arc::new(batch);
        self.write(move |tx| batches::push(tx, &batch)).await
    }

    pub(crate) async fn cancel(&self, jobs: Vec<JobId>) -> Result<Vec<Cancelled>, StoreError> {
        let jobs = Arc::new(jobs);
        self.write(move |tx| upkeep::cancel(tx, &jobs)).await
    }

    pub(crate) async fn cancel_batch(&self, id: BatchId) -> Result<Option<BatchView>, StoreError> {
        self.write(move |tx| batches::cancel(tx, id)).await?;
        self.show_batch(id).await
    }

    pub(crate) async fn claim(&self, claim: Claim) -> Result<Given, StoreError> {
        self.outage.leased(claim.lease);
        let claim = Arc::new(claim);
        self.write(move |tx| claim::claim(tx, &claim)).await
    }

    pub(crate) async fn start(&self, holds: Vec<Hold>) -> Result<Vec<Held>, StoreError> {
        let holds = Arc::new(holds);
        self.write(move |tx| held::start(tx, &holds)).await
    }

    pub(crate) async fn renew(&self, renew: Renew) -> Result<Vec<Held>, StoreError> {
        self.outage.leased(renew.lease);
        let renew = Arc::new(renew);
        self.write(move |tx| held::renew(tx, &renew)).await
    }

    pub(crate) async fn progress(
        &self,
        hold: Hold,
        progress: Progress,
    ) -> Result<Held, StoreError> {
        let progress = Arc::new(progress);
        self.write(move |tx| held::progress(tx, hold, &progress)).await
    }

    pub(crate) async fn checkpoint(&self, hold: Hold, value: Vec<u8>) -> Result<Held, StoreError> {
        let value = Arc::new(value);
        self.write(move |tx| held::checkpoint(tx, hold, &value)).await
    }

    pub(crate) async fn once(&self, id: JobId, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |connection| Ok(held::once(connection, id, &key)?)).await
    }

    pub(crate) async fn record_once(
        &self,
        hold: Hold,
        key: String,
        value: Vec<u8>,
    ) -> Result<Held, StoreError> {
        let record = Arc::new((key, value));
        self.write(move |tx| held::record_once(tx, hold, &record.0, &record.1)).await
    }

    pub(crate) async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<Finished>, StoreError> {
        let finishes = Arc::new(finishes);
        self.write(move |tx| finish::finish(tx, &finishes)).await
    }

    pub(crate) async fn reap(&self, reap: Reap) -> Result<Reaped, StoreError> {
        if reap == Reap::Lapsed && self.outage.holds_back(self.database.now_ms()) {
            return Ok(Reaped { held_back: true, ..Reaped::default() });
        }
        self.write(move |tx| upkeep::reap(tx, &reap)).await
    }

    pub(crate) async fn report(&self, report: Report) -> Result<Option<Duration>, StoreError> {
        let report = Arc::new(report);
        self.write(move |tx| breakers::report(tx, &report)).await
    }

    pub(crate) async fn breakers(&self) -> Result<Vec<BreakerView>, StoreError> {
        let now_ms = self.database.now_ms();
        self.read(move |connection| breakers::list(connection, now_ms)).await
    }

    pub(crate) async fn close_breaker(
        &self,
        queue: QueueName,
        remote: RemoteName,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| breakers::close(tx, &queue, &remote)).await
    }

    pub(crate) async fn present(&self, presence: Presence) -> Result<Option<Order>, StoreError> {
        Ok(self.workers.present(presence)?)
    }

    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        Ok(self.workers.list())
    }

    pub(crate) async fn order(&self, worker: WorkerName, order: Order) -> Result<bool, StoreError> {
        Ok(self.workers.order(&worker, order))
    }

    pub(crate) async fn leave(&self, worker: WorkerName) -> Result<bool, StoreError> {
        Ok(self.workers.leave(&worker))
    }

    pub(crate) async fn fire(&self, fire: Fire) -> Result<Fired, StoreError> {
        let fire = Arc::new(fire);
        self.write(move |tx| schedules::fire(tx, &fire)).await
    }

    pub(crate) async fn marks(&self, queue: QueueName) -> Result<Vec<Mark>, StoreError> {
        self.read(move |connection| schedules::marks(connection, &queue)).await
    }

    pub(crate) async fn forget_schedule(
        &self,
        queue: QueueName,
        schedule: ScheduleName,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| schedules::forget(tx, &queue, &schedule)).await
    }

    pub(crate) async fn tend(&self) -> Result<Tended, StoreError> {
        self.write(upkeep::tend).await
    }

    pub(crate) async fn show(&self, id: JobId) -> Result<Option<JobDetails>, StoreError> {
        self.read(move |connection| show::details(connection, id)).await
    }

    pub(crate) async fn show_batch(&self, id: BatchId) -> Result<Option<BatchView>, StoreError> {
        self.read(move |connection| batches::view(connection, id)).await
    }

    pub(crate) async fn figures(&self) -> Result<Vec<QueueFigures>, StoreError> {
        let now_ms = self.database.now_ms();
        self.read(move |connection| show::figures(connection, now_ms)).await
    }

    pub(crate) async fn tallies(&self, period: Period) -> Result<Tallies, StoreError> {
        let now_ms = self.database.now_ms();
        self.read(move |connection| tallies::read(connection, &period, now_ms)).await
    }

    pub(crate) async fn set_paused(
        &self,
        queue: QueueName,
        paused: bool,
    ) -> Result<(), StoreError> {
        self.write(move |tx| people::set_paused(tx, tx.queue(&queue)?.id, paused)).await
    }

    pub(crate) async fn limit_queue(&self, queue: QueueName, most: u64) -> Result<(), StoreError> {
        self.write(move |tx| people::limit_queue(tx, tx.queue(&queue)?.id, most)).await
    }

    pub(crate) async fn list(
        &self,
        list: List,
        filter: Filter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<Page, StoreError> {
        self.read(move |connection| list::page(connection, list, &filter, after, rows)).await
    }

    pub(crate) async fn batches(
        &self,
        filter: BatchFilter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<BatchPage, StoreError> {
        self.read(move |connection| list::batches(connection, &filter, after, rows)).await
    }

    pub(crate) async fn count_failed(&self, filter: Filter) -> Result<Count, StoreError> {
        self.read(move |connection| list::count_failed(connection, &filter)).await
    }

    pub(crate) async fn revive(&self, jobs: Vec<JobId>) -> Result<Vec<Revived>, StoreError> {
        let jobs = Arc::new(jobs);
        self.write(move |tx| people::revive(tx, &jobs)).await
    }

    pub(crate) async fn forget(&self, jobs: Vec<JobId>) -> Result<Vec<bool>, StoreError> {
        let jobs = Arc::new(jobs);
        self.write(move |tx| people::forget(tx, &jobs)).await
    }

    pub(crate) async fn prune(&self, older_than: Duration) -> Result<Forgotten, StoreError> {
        let age_ms = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        self.write(move |tx| people::prune(tx, tx.now_ms.saturating_sub(age_ms))).await
    }

    pub(crate) async fn close(&self) {
        if let Err(error) = self.database.close().await {
            tracing::warn!(%error, "the file of jobs will count as interrupted");
        }
    }

    #[cfg(test)]
    pub(super) fn now_ms(&self) -> u64 {
        self.database.now_ms()
    }

    /// One transaction, all of it or nothing, answered after its commit. What a neighbour spoiled
    /// is tried again: it did not happen.
    async fn write<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, Undone> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut tries = 1;
        loop {
            let work = self.in_transaction(operation.clone());
            match self.database.write(work).await {
                Err(WriteError::NotCommitted(fault))
                    if fault.kind == FaultKind::RolledBack && tries < TRIES =>
                {
                    tries += 1;
                }
                done => return self.noted(done),
            }
        }
    }

    fn in_transaction<T, F>(
        &self,
        operation: F,
    ) -> impl FnOnce(&Connection) -> Result<T, Undone> + Send + 'static
    where
        F: Fn(&mut Tx<'_>) -> Result<T, Undone> + Send + 'static,
    {
        let (database, pending) = (self.database.clone(), self.pending.clone());
        move |connection| {
            let mut tx = Tx::new(connection, database.now_ms());
            let answer = operation(&mut tx)?;
            let now_ms = tx.now_ms;
            pending.add(now_ms, tx.end()?);
            Ok(answer)
        }
    }

    fn noted<T>(&self, done: Result<T, WriteError<Undone>>) -> Result<T, StoreError> {
        let done = done.map_err(errors::write);
        match &done {
            Err(StoreError::Unavailable(_)) => self.outage.began(),
            _ => self.outage.over(self.database.now_ms()),
        }
        done
    }

    async fn read<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, Undone> + Send + 'static,
        T: Send + 'static,
    {
        self.database.read(operation).await.map_err(errors::read)
    }
}
