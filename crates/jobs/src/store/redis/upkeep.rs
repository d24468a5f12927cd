//! What nobody asked for and has to happen, queue by queue: jobs fall due, workers fall silent,
//! batches are swept, outboxes are emptied.

use std::time::Duration;

use futures_util::future::join_all;

use super::{
    RedisStore, id_bytes, reply,
    scripts::{CANCEL, REAP, TEND},
};
use crate::{
    job::Cancelled,
    limits,
    name::{JobId, QueueName},
    state::State,
    store::{Reap, Reaped, StoreError, Tended},
};

impl RedisStore {
    pub(crate) async fn reap(&self, reap: Reap) -> Result<Reaped, StoreError> {
        if reap == Reap::Lapsed && self.outage.holds_back(self.elapsed_ms()) {
            self.look_after_outage().await;
            return Ok(Reaped { held_back: true, ..Reaped::default() });
        }
        let queues = self.known().await?;
        let mut all = Reaped::default();
        for reaped in all_that_answer(queues.iter().map(|queue| self.reap_on(queue, &reap))).await?
        {
            all.unstarted += reaped.unstarted;
            all.suspects += reaped.suspects;
            all.ended += reaped.ended;
            all.more |= reaped.more;
            all.held_back |= reaped.held_back;
        }
        Ok(all)
    }

    async fn reap_on(&self, queue: &QueueName, reap: &Reap) -> Result<Reaped, StoreError> {
        let worker = match reap {
            Reap::Lapsed => "",
            Reap::Dead(worker) => worker.as_str(),
        };
        let call = self.call(&REAP, queue).arg(worker).arg(limits::CHUNK);
        let mut answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        Ok(Reaped {
            unstarted: answer.size()? as usize,
            suspects: answer.size()? as usize,
            ended: answer.size()? as usize,
            more: answer.integer()? == 1,
            held_back: answer.integer()? == 1,
        })
    }

    pub(crate) async fn tend(&self) -> Result<Tended, StoreError> {
        let queues = self.known().await?;
        let mut all = Tended::default();
        for tended in all_that_answer(queues.iter().map(|queue| self.tend_on(queue))).await? {
            all.promoted += tended.promoted;
            all.cancelled += tended.cancelled;
            all.more |= tended.more;
            all.next_due = match (all.next_due, tended.next_due) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        Ok(all)
    }

    async fn tend_on(&self, queue: &QueueName) -> Result<Tended, StoreError> {
        let call = self.call(&TEND, queue).arg(limits::CHUNK);
        let mut answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        let (promoted, cancelled) = (answer.size()? as usize, answer.size()? as usize);
        let more = answer.integer()? == 1;
        let left_ms = u64::try_from(answer.integer()?).ok();
        let leaving = answer.integer()? == 1;
        let more = more || leaving && self.deliver(queue).await?;
        Ok(Tended { promoted, cancelled, more, next_due: left_ms.map(Duration::from_millis) })
    }

    pub(crate) async fn cancel(&self, jobs: Vec<JobId>) -> Result<Vec<Cancelled>, StoreError> {
        let told = self.each(&CANCEL, &jobs, 2).await?;
        Ok(told.into_iter().map(cancelled).collect())
    }

    /// What one script says of each job, on whichever queue it is; `nowhere` of the others.
    pub(super) async fn each(
        &self,
        script: &samovar_store::redis::Script,
        jobs: &[JobId],
        nowhere: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let mut all = vec![nowhere; jobs.len()];
        for (queue, at) in self.places(jobs).await? {
            let mut call = self.call(script, &queue);
            for index in &at {
                call = call.arg(&id_bytes(jobs[*index])[..]);
            }
            let answer = self.write(&queue, &call, true).await?.ok_or_else(reply::unexpected)?;
            for (index, told) in at.into_iter().zip(answer.integers()?) {
                all[index] = told;
            }
        }
        Ok(all)
    }

    /// A store that nobody else asks anything would seem away for ever.
    async fn look_after_outage(&self) {
        if let Ok(queues) = self.known().await
            && let Some(queue) = queues.first()
        {
            let dead_nobody = self.call(&REAP, queue).arg("").arg(0);
            let _ = self.write(queue, &dead_nobody, true).await;
        }
    }
}

/// What those say that answer; an error only when nobody does.
async fn all_that_answer<T>(
    asked: impl Iterator<Item = impl Future<Output = Result<T, StoreError>>>,
) -> Result<Vec<T>, StoreError> {
    let mut failed = None;
    let mut said = Vec::new();
    for answer in join_all(asked).await {
        match answer {
            Ok(answer) => said.push(answer),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if said.is_empty() => Err(error),
        Some(error) => {
            tracing::warn!(%error, "some of the queues were not looked after");
            Ok(said)
        }
        None => Ok(said),
    }
}

fn cancelled(told: i64) -> Cancelled {
    match told {
        0 => Cancelled::AtOnce,
        1 => Cancelled::Told,
        ended => match State::from_number(ended - 10) {
            Some(state) => Cancelled::Ended(state),
            None => Cancelled::Unknown,
        },
    }
}
