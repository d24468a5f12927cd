//! Which queues there are, and on which of them a job is.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::try_join_all;
use samovar_store::redis::{Call, Repeat, Value, pipe};

use super::{
    RedisStore, reply,
    scripts::{FIND, KNOW},
};
use crate::{
    limits,
    name::{JobId, QueueName},
    store::{Refusal, StoreError},
};

/// Jobs whose queue is remembered. Beyond that all are forgotten and asked for again.
const PLACES: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Queues {
    known: Mutex<Known>,
    /// Of what this process has claimed. Any other id is looked for on all queues.
    places: Mutex<HashMap<JobId, Arc<QueueName>>>,
}

/// Queues that this process has seen in the set of their names.
#[derive(Debug, Default)]
struct Known {
    /// Of the master that keeps the set: another one may not know what this one did.
    incarnation: u64,
    names: HashSet<QueueName>,
}

impl Queues {
    pub(super) fn claimed(&self, queue: &QueueName, jobs: impl Iterator<Item = JobId>) {
        let queue = Arc::new(queue.clone());
        let mut places = lock(&self.places);
        for job in jobs {
            if places.len() >= PLACES {
                places.clear();
            }
            places.insert(job, queue.clone());
        }
    }

    pub(super) fn ended(&self, jobs: impl Iterator<Item = JobId>) {
        let mut places = lock(&self.places);
        for job in jobs {
            places.remove(&job);
        }
    }
}

/// Questions of one queue: where they stood among those of all.
pub(super) type Places = Vec<(QueueName, Vec<usize>)>;

impl RedisStore {
    /// Before the first job of a queue is pushed, so that no job is on a queue nobody knows.
    pub(super) async fn know(&self, queue: &QueueName) -> Result<(), StoreError> {
        let key = self.names.queues();
        let link = self.redis.link(key.as_bytes()).await;
        let link = link.map_err(|error| reply::error(&error.into()))?;
        {
            let mut known = lock(&self.queues.known);
            if known.incarnation != link.incarnation() {
                *known = Known { incarnation: link.incarnation(), names: HashSet::new() };
            }
            if known.names.contains(queue) {
                return Ok(());
            }
        }
        let call = KNOW.call(&[key]).arg(queue.as_str()).arg(limits::QUEUES);
        let value = self.execute(&call, true).await?;
        if reply::list(value)?.text()? != "ok" {
            let (queue, limit) = (queue.clone(), limits::QUEUES);
            return Err(Refusal::TooManyQueues { queue, limit }.into());
        }
        let mut known = lock(&self.queues.known);
        if known.incarnation == link.incarnation() {
            known.names.insert(queue.clone());
        }
        Ok(())
    }

    /// A change that may bring the first job of a queue. Its name is known before, and still is when
    /// that is acknowledged: a Redis that took the place of another one in between may have forgotten
    /// it, and nobody would find the jobs.
    pub(super) async fn bring(
        &self,
        queue: &QueueName,
        call: &Call<'_>,
    ) -> Result<Option<reply::Answer>, StoreError> {
        self.know(queue).await?;
        let answer = self.write(queue, call, true).await?;
        self.know(queue).await?;
        Ok(answer)
    }

    /// All that are known, by name.
    pub(super) async fn known(&self) -> Result<Vec<QueueName>, StoreError> {
        let key = self.names.queues();
        let mut question = pipe();
        question.cmd("SMEMBERS").arg(&key);
        let (answers, _) = self
            .redis
            .query(key.as_bytes(), &question, Repeat::Safe)
            .await
            .map_err(|error| reply::error(&error))?;
        let Some(Value::Array(names) | Value::Set(names)) = answers.into_iter().next() else {
            return Err(reply::unexpected());
        };
        let name = |value| {
            let name = reply::bytes(value).and_then(|name| String::from_utf8(name).ok());
            let name = QueueName::new(name.unwrap_or_default());
            name.map_err(|error| reply::damaged("the name of a queue", error))
        };
        let mut names: Vec<QueueName> = names.into_iter().map(name).collect::<Result<_, _>>()?;
        names.sort_unstable();
        Ok(names)
    }

    /// Ids by queue; what is nowhere is left out.
    pub(super) async fn places(&self, ids: &[JobId]) -> Result<Places, StoreError> {
        let mut by_queue = HashMap::<Arc<QueueName>, Vec<usize>>::new();
        let mut unknown = Vec::new();
        {
            let places = lock(&self.queues.places);
            for (index, id) in ids.iter().enumerate() {
                match places.get(id) {
                    Some(queue) => by_queue.entry(queue.clone()).or_default().push(index),
                    None => unknown.push(index),
                }
            }
        }
        if !unknown.is_empty() {
            let wanted: Vec<JobId> = unknown.iter().map(|index| ids[*index]).collect();
            let queues = self.known().await?;
            let found = try_join_all(queues.iter().map(|queue| self.find(queue, &wanted))).await?;
            for (nth, index) in unknown.into_iter().enumerate() {
                let at = found.iter().position(|here| here.get(nth) == Some(&1));
                if let Some(at) = at {
                    by_queue.entry(Arc::new(queues[at].clone())).or_default().push(index);
                }
            }
        }
        let owned = |(queue, at): (Arc<QueueName>, _)| (Arc::unwrap_or_clone(queue), at);
        Ok(by_queue.into_iter().map(owned).collect())
    }

    async fn find(&self, queue: &QueueName, ids: &[JobId]) -> Result<Vec<i64>, StoreError> {
        let mut call = FIND.call(&[self.names.queue(queue)]);
        for id in ids {
            call = call.arg(&id.as_u64().to_be_bytes()[..]);
        }
        let answer = self.ask(queue, &call).await?;
        answer.ok_or_else(reply::unexpected)?.integers()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
