//! New jobs.

use futures_util::future::try_join_all;

use super::{
    RedisStore, pack, reply,
    scripts::{CANCEL_BATCH, PUSH, PUSH_BATCH, SHOW_BATCH},
};
use crate::{
    batch::{BatchView, NewBatch},
    job::{NewJob, Pushed},
    name::{BatchId, BatchName, JobId, QueueName, Tenant},
    store::{Refusal, StoreError},
};

impl RedisStore {
    pub(crate) async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, StoreError> {
        let Some(queue) = jobs.first().map(|job| job.queue.clone()) else { return Ok(Vec::new()) };
        let mut call = self.call(&PUSH, &queue).arg(1);
        for job in &jobs {
            call = call.arg(pack::job(job)).arg(pack::body(job));
        }
        match self.bring(&queue, &call).await {
            Ok(answer) => pushed(&jobs, answer.ok_or_else(reply::unexpected)?),
            Err(error) => Err(self.elsewhere(error, &queue).await?),
        }
    }

    pub(crate) async fn push_batch(&self, batch: NewBatch) -> Result<Vec<Pushed>, StoreError> {
        let whole = |job: &Option<NewJob>| job.as_ref().map(pack::whole).unwrap_or_default();
        let mut call = self
            .call(&PUSH_BATCH, &batch.queue)
            .arg(&batch.id.as_u64().to_be_bytes()[..])
            .arg(batch.name.as_str())
            .arg(u8::from(batch.allow_failures))
            .arg(whole(&batch.callbacks.then))
            .arg(whole(&batch.callbacks.catch))
            .arg(whole(&batch.callbacks.finally))
            .arg(batch.tenant.as_str());
        for job in &batch.jobs {
            call = call.arg(pack::job(job)).arg(pack::body(job));
        }
        match self.bring(&batch.queue, &call).await? {
            Some(answer) => pushed(&batch.jobs, answer),
            None => Ok(batch.jobs.iter().map(|job| Pushed::AlreadyThere(job.id)).collect()),
        }
    }

    /// A queue does not know the batches of others: whoever names one there is told where it is.
    pub(super) async fn elsewhere(
        &self,
        error: StoreError,
        queue: &QueueName,
    ) -> Result<StoreError, StoreError> {
        let StoreError::Refused(Refusal::NoBatch { batch }) = error else { return Ok(error) };
        let found = self.show_batch(batch).await?;
        Ok(found.map_or(error, |_| Refusal::BatchElsewhere { batch, queue: queue.clone() }.into()))
    }

    pub(crate) async fn cancel_batch(&self, id: BatchId) -> Result<Option<BatchView>, StoreError> {
        let Some(view) = self.show_batch(id).await? else { return Ok(None) };
        let call = self.call(&CANCEL_BATCH, &view.queue).arg(&id.as_u64().to_be_bytes()[..]);
        self.write(&view.queue, &call, true).await?;
        self.batch_on(&view.queue, id).await
    }

    pub(crate) async fn show_batch(&self, id: BatchId) -> Result<Option<BatchView>, StoreError> {
        let queues = self.known().await?;
        let found = try_join_all(queues.iter().map(|queue| self.batch_on(queue, id))).await?;
        Ok(found.into_iter().flatten().next())
    }

    async fn batch_on(
        &self,
        queue: &QueueName,
        id: BatchId,
    ) -> Result<Option<BatchView>, StoreError> {
        let call = self.call(&SHOW_BATCH, queue).arg(&id.as_u64().to_be_bytes()[..]);
        let Some(answer) = self.ask(queue, &call).await? else { return Ok(None) };
        read_batch(queue, id, answer).map(Some)
    }
}

/// What `show_batch` shows.
pub(super) fn read_batch(
    queue: &QueueName,
    id: BatchId,
    mut answer: reply::Answer,
) -> Result<BatchView, StoreError> {
    let name = BatchName::new(answer.text()?);
    let counts = [answer.size()?, answer.size()?, answer.size()?, answer.size()?];
    let [total, pending, failed, cancelled] = counts;
    let is_cancelled = answer.integer()? == 1;
    let created_ms = answer.size()?;
    // A release that did not keep it pushed nobody's.
    let tenant = match answer.maybe()? {
        Some(name) => String::from_utf8(name).map_err(|_| reply::unexpected())?,
        None => Tenant::system().into(),
    };
    let finished_ms = answer.maybe()?.map(|ms| {
        let ms = String::from_utf8(ms).ok().and_then(|ms| ms.parse().ok());
        ms.ok_or_else(reply::unexpected)
    });
    Ok(BatchView {
        id,
        name: name.map_err(|error| reply::damaged("a batch", error))?,
        queue: queue.clone(),
        tenant: Tenant::new(tenant).map_err(|error| reply::damaged("a batch", error))?,
        total,
        pending,
        failed,
        cancelled,
        is_cancelled,
        created_ms,
        finished_ms: finished_ms.transpose()?,
    })
}

pub(super) fn pushed(
    jobs: &[NewJob],
    mut answer: reply::Answer,
) -> Result<Vec<Pushed>, StoreError> {
    let mut there = answer.list()?;
    let mut one = |job: &NewJob| {
        let holder = there.bytes()?;
        if holder.is_empty() {
            return Ok(Pushed::New(job.id));
        }
        let id = holder.try_into().map_err(|_| reply::unexpected())?;
        Ok(Pushed::AlreadyThere(JobId::from_u64(u64::from_be_bytes(id))))
    };
    jobs.iter().map(&mut one).collect()
}
