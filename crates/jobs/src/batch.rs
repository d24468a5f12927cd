//! Jobs that end together, and the jobs that follow then.

use crate::{
    job::{InvalidJob, NewJob},
    limits,
    name::{BatchId, BatchName, QueueName, Tenant},
};

/// A batch, its jobs and its callbacks live on one queue (law 11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    pub id: BatchId,
    pub name: BatchName,
    pub queue: QueueName,
    pub tenant: Tenant,
    /// Otherwise the first job that fails cancels the others.
    pub allow_failures: bool,
    pub callbacks: Callbacks,
    /// The first ones; none: the batch is finished as soon as it is pushed.
    pub jobs: Vec<NewJob>,
}

/// Each is created once, in the transaction of the step that calls for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Callbacks {
    /// When all have ended well, or at least ended where failures are allowed.
    pub then: Option<NewJob>,
    /// When the first one fails.
    pub catch: Option<NewJob>,
    /// When all have ended, however.
    pub finally: Option<NewJob>,
}

impl Callbacks {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NewJob> {
        [&self.then, &self.catch, &self.finally].into_iter().flatten()
    }
}

impl NewBatch {
    pub fn check(&self) -> Result<(), InvalidBatch> {
        let invalid = |fault| InvalidBatch { name: self.name.clone(), fault };
        for job in self.jobs.iter().chain(self.callbacks.iter()) {
            job.check().map_err(|error| invalid(BatchFault::Job(error)))?;
            if job.queue != self.queue {
                let (found, queue) = (job.queue.clone(), self.queue.clone());
                return Err(invalid(BatchFault::OtherQueue { found, queue }));
            }
        }
        if self.jobs.iter().any(|job| job.batch != Some(self.id)) {
            return Err(invalid(BatchFault::OtherBatch));
        }
        if self.callbacks.iter().any(|job| job.batch.is_some()) {
            return Err(invalid(BatchFault::CallbackInBatch));
        }
        let jobs = self.jobs.len();
        let fits = jobs <= limits::JOBS_PER_PUSH;
        if fits { Ok(()) } else { Err(invalid(BatchFault::TooMany { jobs })) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the batch {name} cannot be pushed: {fault}")]
pub struct InvalidBatch {
    name: BatchName,
    fault: BatchFault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BatchFault {
    #[error(transparent)]
    Job(InvalidJob),
    #[error("one of its jobs is for the queue {found}: all of them go to {queue}")]
    OtherQueue { found: QueueName, queue: QueueName },
    #[error("one of its jobs names another batch or none: set `batch` to the batch's id")]
    OtherBatch,
    #[error("a callback is in a batch itself: leave its `batch` empty")]
    CallbackInBatch,
    #[error("it has {jobs} jobs, at most {} go at once: add the others", limits::JOBS_PER_PUSH)]
    TooMany { jobs: usize },
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchView {
    pub id: BatchId,
    pub name: BatchName,
    pub queue: QueueName,
    pub tenant: Tenant,
    pub total: u64,
    /// That have not ended.
    pub pending: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Its jobs are being cancelled, or were.
    pub is_cancelled: bool,
    pub created_ms: u64,
    pub finished_ms: Option<u64>,
}
