//! What people do with failed jobs, and with queues.

use std::time::Duration;

use super::{
    RedisStore, reply,
    scripts::{FORGET, PRUNE, REVIVE, SET},
};
use crate::{
    limits,
    name::{JobId, QueueName},
    store::{Forgotten, Revived, StoreError},
};

impl RedisStore {
    pub(crate) async fn revive(&self, jobs: Vec<JobId>) -> Result<Vec<Revived>, StoreError> {
        let told = self.each(&REVIVE, &jobs, 2).await?;
        Ok(told.into_iter().map(revived).collect())
    }

    pub(crate) async fn forget(&self, jobs: Vec<JobId>) -> Result<Vec<bool>, StoreError> {
        let told = self.each(&FORGET, &jobs, 0).await?;
        Ok(told.into_iter().map(|gone| gone == 1).collect())
    }

    pub(crate) async fn prune(&self, older_than: Duration) -> Result<Forgotten, StoreError> {
        // Older than any clock, and still a number that Lua counts exactly.
        let age_ms = super::claim::millis(older_than).min(1 << 48);
        let queues = self.known().await?;
        let mut all = Forgotten::default();
        for queue in &queues {
            let call = self.call(&PRUNE, queue).arg(age_ms).arg(limits::CHUNK);
            let mut answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
            let jobs = answer.size()? as usize;
            all.jobs += jobs;
            all.more |= jobs == limits::CHUNK;
        }
        Ok(all)
    }

    pub(crate) async fn set_paused(
        &self,
        queue: QueueName,
        paused: bool,
    ) -> Result<(), StoreError> {
        self.set(&queue, "paused", u64::from(paused)).await
    }

    pub(crate) async fn limit_queue(&self, queue: QueueName, most: u64) -> Result<(), StoreError> {
        self.set(&queue, "most", most).await
    }

    async fn set(&self, queue: &QueueName, what: &str, value: u64) -> Result<(), StoreError> {
        self.know(queue).await?;
        let call = self.call(&SET, queue).arg(what).arg(value);
        self.write(queue, &call, true).await.map(drop)
    }
}

fn revived(told: i64) -> Revived {
    match told {
        0 => Revived::Waiting,
        1 => Revived::KeyTaken,
        _ => Revived::NotFailed,
    }
}
