//! The seam: what a store of jobs does, each operation atomic and of whole meaning.
//!
//! The stores are a closed set. What is checked here is checked for all of them; what they do with
//! what passes, the conformance suite says.

mod breakers;
#[cfg(test)]
mod conformance;
mod embedded;
mod list;
#[cfg(test)]
mod model;
mod promise;
mod redis;
mod schedules;
mod tallies;
mod work;
mod workers;

use crate::{
    batch::{BatchView, NewBatch},
    job::{
        Cancelled, Finish, Finished, Held, InvalidJob, JobDetails, NewJob, Outcome, Progress,
        Pushed,
    },
    limits,
    name::{BatchId, Hold, JobId, Kind, QueueName, RemoteName, ScheduleName, WorkerName},
    rule::{InvalidRate, Rule},
};

pub(crate) use breakers::open_for;
pub use breakers::{BreakerState, BreakerView, Report, Said};
pub use embedded::{EmbeddedStore, OpenError};
pub use list::{
    BatchFilter, BatchPage, Count, Cursor, Filter, Forgotten, List, Page, Revived, RevivedPage,
};
pub use promise::Promise;
pub use redis::{Durability, RedisOpenError, RedisStore};
pub use schedules::{Fire, Fired, Mark};
pub use tallies::{KindTallies, Period, Point, Tallies};
pub(crate) use tallies::{OTHERS, Sums};
pub use work::{Claim, Given, OpenBreaker, QueueFigures, Reap, Reaped, Renew, Suspects, Tended};
pub use workers::{Order, Presence, WorkerView};

/// Where jobs are kept.
#[derive(Debug)]
pub enum Store {
    Embedded(EmbeddedStore),
    Redis(RedisStore),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed, or nobody knows: repeating is safe.
    #[error("the store of jobs does not answer: {0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("the store of jobs is damaged: {0}")]
    Damaged(String),
    /// Nothing was changed, and repeating changes that as little.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{found} {what} in one call, at most {limit} are taken: split them")]
    TooMany { what: &'static str, found: usize, limit: usize },
    #[error("{what} has {found} bytes, at most {limit} are kept")]
    TooLarge { what: &'static str, found: usize, limit: usize },
    #[error(transparent)]
    Job(#[from] InvalidJob),
    #[error(transparent)]
    Batch(#[from] crate::batch::InvalidBatch),
    #[error(
        "the queue {queue} holds {found} jobs, {limit} are its limit: let workers catch up, or \
         raise the limit of the queue"
    )]
    QueueFull { queue: QueueName, found: u64, limit: u64 },
    #[error("there are {limit} queues already, {queue} would be one more: use one of them")]
    TooManyQueues { queue: QueueName, limit: usize },
    #[error("the queue {queue} knows {limit} kinds of jobs already: use another queue")]
    TooManyKinds { queue: QueueName, limit: i64 },
    #[error("the id {id} belongs to another job: draw a new one")]
    IdTaken { id: JobId },
    #[error(
        "jobs for the queues {first} and {other} in one push, which goes to one queue: push once \
         per queue"
    )]
    ManyQueues { first: QueueName, other: QueueName },
    #[error("there is no batch {batch}")]
    NoBatch { batch: BatchId },
    #[error("the batch {batch} has finished: push a new one")]
    BatchFinished { batch: BatchId },
    #[error("the batch {batch} lives on another queue than {queue}: push the job to that one")]
    BatchElsewhere { batch: BatchId, queue: QueueName },
    #[error("{recorded} results are recorded once for this job, more are not kept")]
    TooManyResults { recorded: i64 },
    #[error("the kind {kind}: {invalid}")]
    Rate { kind: Kind, invalid: InvalidRate },
    #[error("the kind {kind} needs {found} remotes, at most {limit} are taken: name fewer")]
    TooManyNeeds { kind: Kind, found: usize, limit: usize },
    #[error("{limit} breakers of the queue {queue} are not closed, and no more are kept")]
    TooManyBreakers { queue: QueueName, limit: i64 },
    #[error("the queue {queue} knows {limit} schedules already: forget those that are no more")]
    TooManySchedules { queue: QueueName, limit: usize },
    #[error("the schedule {schedule} fires on {queue}, and one of its jobs is for {found}")]
    ScheduleElsewhere { schedule: ScheduleName, queue: QueueName, found: QueueName },
    #[error(
        "{back:?} of the queue {queue} in steps of {step:?}: choose whole minutes, and whole hours \
         behind {:?}; at most {} steps, and {:?} back",
        limits::MINUTES_KEPT,
        limits::POINTS,
        limits::HOURS_KEPT
    )]
    Period { queue: QueueName, back: std::time::Duration, step: std::time::Duration },
    #[error("{limit} workers are known already: this one is not seen, and takes no orders")]
    TooManyWorkers { limit: usize },
    #[error("a lease of {found_ms} ms: choose one from {least_ms} to {most_ms} ms")]
    Lease { found_ms: u128, least_ms: u128, most_ms: u128 },
}

macro_rules! on {
    ($self:ident, $store:ident => $answer:expr) => {
        match $self {
            Store::Embedded($store) => $answer.await,
            Store::Redis($store) => $answer.await,
        }
    };
}

/// For who pushes.
impl Store {
    /// All of them or none, on one queue. A job that is already there is not pushed again.
    pub async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, StoreError> {
        within("jobs", jobs.len(), limits::JOBS_PER_PUSH)?;
        jobs.iter().try_for_each(NewJob::check).map_err(Refusal::Job)?;
        one_queue(&jobs)?;
        on!(self, store => store.push(jobs))
    }

    /// A batch that is already there is not pushed again.
    pub async fn push_batch(&self, batch: NewBatch) -> Result<Vec<Pushed>, StoreError> {
        batch.check().map_err(Refusal::Batch)?;
        on!(self, store => store.push_batch(batch))
    }

    pub async fn cancel(&self, jobs: Vec<JobId>) -> Result<Vec<Cancelled>, StoreError> {
        within("jobs", jobs.len(), limits::JOBS_PER_CALL)?;
        on!(self, store => store.cancel(jobs))
    }

    /// From now on none of its jobs starts; those that wait end with the next [`Store::tend`].
    /// Nothing when there is no such batch.
    pub async fn cancel_batch(&self, batch: BatchId) -> Result<Option<BatchView>, StoreError> {
        on!(self, store => store.cancel_batch(batch))
    }
}

/// For who pushes by the calendar.
impl Store {
    /// All or nothing: whoever comes second with the same mark changes nothing.
    pub async fn fire(&self, fire: Fire) -> Result<Fired, StoreError> {
        within("jobs", fire.jobs.len(), limits::JOBS_PER_CALL)?;
        fire.jobs.iter().try_for_each(NewJob::check).map_err(Refusal::Job)?;
        if let Some(job) = fire.jobs.iter().find(|job| job.queue != fire.queue) {
            let (schedule, queue, found) = (fire.schedule, fire.queue, job.queue.clone());
            return Err(Refusal::ScheduleElsewhere { schedule, queue, found }.into());
        }
        on!(self, store => store.fire(fire))
    }

    /// Of every schedule that is known on this queue, by name.
    pub async fn marks(&self, queue: QueueName) -> Result<Vec<Mark>, StoreError> {
        on!(self, store => store.marks(queue))
    }

    /// Forgets how far it was. Whether it was known.
    pub async fn forget_schedule(
        &self,
        queue: QueueName,
        schedule: ScheduleName,
    ) -> Result<bool, StoreError> {
        on!(self, store => store.forget_schedule(queue, schedule))
    }
}

/// For who runs jobs.
impl Store {
    /// Spends an attempt of each job that is given (law 9), and fences whoever had it before.
    /// What the rules of the claim hold back stays where it is, and costs the claim nothing.
    pub async fn claim(&self, claim: Claim) -> Result<Given, StoreError> {
        check_lease(claim.lease)?;
        within("rules", claim.rules.len(), limits::RULES)?;
        claim.rules.iter().try_for_each(check_rule)?;
        let wanted = claim.queues.iter().fold(0_usize, |sum, (_, most)| sum.saturating_add(*most));
        within("jobs", wanted, limits::JOBS_PER_CALL)?;
        on!(self, store => store.claim(claim))
    }

    /// Puts on record that they run. What is not told `Yes` must not be run.
    pub async fn start(&self, holds: Vec<Hold>) -> Result<Vec<Held>, StoreError> {
        within("jobs", holds.len(), limits::JOBS_PER_CALL)?;
        on!(self, store => store.start(holds))
    }

    /// The heartbeat. A lease that ran out is renewed as long as nobody took the job back.
    pub async fn renew(&self, renew: Renew) -> Result<Vec<Held>, StoreError> {
        check_lease(renew.lease)?;
        within("jobs", renew.holds.len(), limits::JOBS_PER_CALL)?;
        on!(self, store => store.renew(renew))
    }

    pub async fn progress(&self, hold: Hold, progress: Progress) -> Result<Held, StoreError> {
        on!(self, store => store.progress(hold, progress))
    }

    /// The next attempt, if there is one, gets it with its claim.
    pub async fn checkpoint(&self, hold: Hold, value: Vec<u8>) -> Result<Held, StoreError> {
        fits("the checkpoint", value.len(), limits::RESULT_BYTES)?;
        on!(self, store => store.checkpoint(hold, value))
    }

    /// What was recorded for this job under this key, by whichever attempt.
    pub async fn once(&self, id: JobId, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        on!(self, store => store.once(id, key))
    }

    /// The first value stays.
    pub async fn record_once(
        &self,
        hold: Hold,
        key: String,
        value: Vec<u8>,
    ) -> Result<Held, StoreError> {
        fits("the key", key.len(), limits::KEY_BYTES)?;
        fits("the recorded result", value.len(), limits::RESULT_BYTES)?;
        on!(self, store => store.record_once(hold, key, value))
    }

    /// Each by itself: a zombie among them does not touch the others. All of them are refused when
    /// one cannot be stored.
    pub async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<Finished>, StoreError> {
        within("jobs", finishes.len(), limits::JOBS_PER_CALL)?;
        finishes.iter().try_for_each(|finish| check_outcome(&finish.outcome))?;
        on!(self, store => store.finish(finishes))
    }

    /// What became of a remote that jobs of this queue need. Gives for how long its breaker holds
    /// them back from now on.
    pub async fn report(&self, report: Report) -> Result<Option<std::time::Duration>, StoreError> {
        on!(self, store => store.report(report))
    }

    /// Says that a worker is there, and hears what it was told to do.
    pub async fn present(&self, presence: Presence) -> Result<Option<Order>, StoreError> {
        within("queues", presence.queues.len(), limits::QUEUES)?;
        fits("the version of the worker", presence.binary.len(), limits::NAME_BYTES)?;
        on!(self, store => store.present(presence))
    }

    /// A worker has ended. Whether it was known.
    pub async fn leave(&self, worker: WorkerName) -> Result<bool, StoreError> {
        on!(self, store => store.leave(worker))
    }

    /// Takes back what nobody renews, a chunk at a time.
    pub async fn reap(&self, reap: Reap) -> Result<Reaped, StoreError> {
        on!(self, store => store.reap(reap))
    }

    /// Promotes what is due and cancels what waits in cancelled batches, a chunk at a time.
    pub async fn tend(&self) -> Result<Tended, StoreError> {
        on!(self, store => store.tend())
    }
}

/// For people.
impl Store {
    pub async fn show(&self, id: JobId) -> Result<Option<JobDetails>, StoreError> {
        on!(self, store => store.show(id))
    }

    pub async fn show_batch(&self, id: BatchId) -> Result<Option<BatchView>, StoreError> {
        on!(self, store => store.show_batch(id))
    }

    /// Of every queue that is known, by name.
    pub async fn figures(&self) -> Result<Vec<QueueFigures>, StoreError> {
        on!(self, store => store.figures())
    }

    /// What became of the jobs of a queue, by kind, over time. The last minute is not over.
    pub async fn tallies(&self, period: Period) -> Result<Tallies, StoreError> {
        if !period.is_sound() {
            let Period { queue, back, step } = period;
            return Err(Refusal::Period { queue, back, step }.into());
        }
        on!(self, store => store.tallies(period))
    }

    /// All that were seen lately, by name.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        on!(self, store => store.workers())
    }

    /// What a worker is told with its next beat. Whether it is known.
    pub async fn order(&self, worker: WorkerName, order: Order) -> Result<bool, StoreError> {
        on!(self, store => store.order(worker, order))
    }

    /// Nothing more is claimed from it; what runs goes on.
    pub async fn pause(&self, queue: QueueName) -> Result<(), StoreError> {
        on!(self, store => store.set_paused(queue, true))
    }

    pub async fn resume(&self, queue: QueueName) -> Result<(), StoreError> {
        on!(self, store => store.set_paused(queue, false))
    }

    /// How many jobs may wait or be scheduled there. What is there already stays.
    pub async fn limit_queue(&self, queue: QueueName, most: u64) -> Result<(), StoreError> {
        on!(self, store => store.limit_queue(queue, most.min(limits::QUEUE_JOBS)))
    }

    /// All that are not closed, by queue and remote.
    pub async fn breakers(&self) -> Result<Vec<BreakerView>, StoreError> {
        on!(self, store => store.breakers())
    }

    /// Lets all that need it go on at once. Whether it was not closed already.
    pub async fn close_breaker(
        &self,
        queue: QueueName,
        remote: RemoteName,
    ) -> Result<bool, StoreError> {
        on!(self, store => store.close_breaker(queue, remote))
    }

    /// What stands in a list and matches, in its order.
    pub async fn list(
        &self,
        list: List,
        filter: Filter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<Page, StoreError> {
        within("tenants", filter.tenants.len(), limits::TENANTS_IN_A_FILTER)?;
        on!(self, store => store.list(list, filter, after, rows.clamp(1, limits::PAGE)))
    }

    /// Failed jobs, the last that failed first.
    pub async fn failed(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<Page, StoreError> {
        self.list(List::Failed, filter, after, rows).await
    }

    /// The last that was pushed first, or of those that have finished the last of them.
    pub async fn batches(
        &self,
        filter: BatchFilter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<BatchPage, StoreError> {
        within("tenants", filter.tenants.len(), limits::TENANTS_IN_A_FILTER)?;
        on!(self, store => store.batches(filter, after, rows.clamp(1, limits::PAGE)))
    }

    pub async fn count_failed(&self, filter: Filter) -> Result<Count, StoreError> {
        within("tenants", filter.tenants.len(), limits::TENANTS_IN_A_FILTER)?;
        on!(self, store => store.count_failed(filter))
    }

    /// Failed and cancelled ones are tried again, with all their attempts.
    pub async fn revive(&self, jobs: Vec<JobId>) -> Result<Vec<Revived>, StoreError> {
        within("jobs", jobs.len(), limits::JOBS_PER_CALL)?;
        on!(self, store => store.revive(jobs))
    }

    /// [`Store::revive`] for a page of what failed and matches.
    pub async fn revive_failed(
        &self,
        filter: Filter,
        after: Option<Cursor>,
    ) -> Result<RevivedPage, StoreError> {
        let page = self.failed(filter, after, limits::PAGE).await?;
        let revived = self.revive(page.jobs.iter().map(|job| job.id).collect()).await?;
        let count = |wanted| revived.iter().filter(|it| **it == wanted).count();
        let (waiting, key_taken) = (count(Revived::Waiting), count(Revived::KeyTaken));
        Ok(RevivedPage { waiting, key_taken, next: page.next })
    }

    /// Whether there was such a failed job.
    pub async fn forget(&self, id: JobId) -> Result<bool, StoreError> {
        Ok(self.forget_all(vec![id]).await?.first() == Some(&true))
    }

    /// Forgets a page of what failed and matches. Gives how many, and where to go on.
    pub async fn flush(
        &self,
        filter: Filter,
        after: Option<Cursor>,
    ) -> Result<(usize, Option<Cursor>), StoreError> {
        let page = self.failed(filter, after, limits::PAGE).await?;
        let forgotten = self.forget_all(page.jobs.iter().map(|job| job.id).collect()).await?;
        Ok((forgotten.into_iter().filter(|gone| *gone).count(), page.next))
    }

    async fn forget_all(&self, jobs: Vec<JobId>) -> Result<Vec<bool>, StoreError> {
        on!(self, store => store.forget(jobs))
    }

    /// Cancels a page of what stands in a list and matches. Gives how many, and where to go on.
    pub async fn cancel_page(
        &self,
        list: List,
        filter: Filter,
        after: Option<Cursor>,
    ) -> Result<(usize, Option<Cursor>), StoreError> {
        let page = self.list(list, filter, after, limits::PAGE).await?;
        let met = self.cancel(page.jobs.iter().map(|job| job.id).collect()).await?;
        let is_cancelled = |met: &&Cancelled| matches!(met, Cancelled::AtOnce | Cancelled::Told);
        Ok((met.iter().filter(is_cancelled).count(), page.next))
    }

    /// Forgets what ended, however, more than so long ago, a chunk at a time.
    pub async fn prune(&self, older_than: std::time::Duration) -> Result<Forgotten, StoreError> {
        on!(self, store => store.prune(older_than))
    }

    /// This store over connections of the runtime in which this is called; nothing where there are
    /// none.
    pub(crate) async fn on_this_runtime(&self) -> Result<Option<Store>, RedisOpenError> {
        match self {
            Store::Embedded(_) => Ok(None),
            Store::Redis(store) => store.again().await.map(|again| Some(Store::Redis(again))),
        }
    }

    pub async fn close(&self) {
        on!(self, store => store.close());
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), Refusal> {
    if found <= limit { Ok(()) } else { Err(Refusal::TooMany { what, found, limit }) }
}

fn fits(what: &'static str, found: usize, limit: usize) -> Result<(), Refusal> {
    if found <= limit { Ok(()) } else { Err(Refusal::TooLarge { what, found, limit }) }
}

/// Queues may be on several machines, and nothing is atomic over these.
fn one_queue(jobs: &[NewJob]) -> Result<(), Refusal> {
    let Some(first) = jobs.first() else { return Ok(()) };
    match jobs.iter().find(|job| job.queue != first.queue) {
        Some(job) => {
            let (first, other) = (first.queue.clone(), job.queue.clone());
            Err(Refusal::ManyQueues { first, other })
        }
        None => Ok(()),
    }
}

fn check_lease(lease: std::time::Duration) -> Result<(), Refusal> {
    if limits::LEASE.contains(&lease) {
        return Ok(());
    }
    let (least, most) = (limits::LEASE.start(), limits::LEASE.end());
    Err(Refusal::Lease {
        found_ms: lease.as_millis(),
        least_ms: least.as_millis(),
        most_ms: most.as_millis(),
    })
}

fn check_rule(rule: &Rule) -> Result<(), Refusal> {
    let kind = || rule.kind.clone();
    if let Some(Err(invalid)) = rule.rate.map(|rate| rate.check()) {
        return Err(Refusal::Rate { kind: kind(), invalid });
    }
    let (found, limit) = (rule.needs.len(), limits::NEEDS);
    if found <= limit { Ok(()) } else { Err(Refusal::TooManyNeeds { kind: kind(), found, limit }) }
}

fn check_outcome(outcome: &Outcome) -> Result<(), Refusal> {
    let Outcome::Done { result, follow_ups } = outcome else { return Ok(()) };
    fits("the result", result.as_ref().map_or(0, Vec::len), limits::RESULT_BYTES)?;
    within("follow-up jobs", follow_ups.len(), limits::FOLLOW_UPS)?;
    follow_ups.iter().try_for_each(NewJob::check).map_err(Refusal::Job)
}
