//! Jobs that an ended job leaves to other queues: kept with it until they are pushed there (law 11).
//!
//! They are pushed before they are removed, so a crash in between pushes them again, which changes
//! nothing: their ids are known there.

use std::{collections::BTreeMap, time::Duration};

use super::{
    RedisStore, pack, reply,
    scripts::{OUT, PUSH},
};
use crate::{name::QueueName, store::StoreError};

/// Jobs delivered at once.
const CHUNK: usize = 100;
/// Chunks that one call delivers at most. The rest: the next [`RedisStore::tend`].
const CHUNKS: usize = 20;
/// How long who ends jobs waits for what they leave to be delivered; the next tending goes on.
const PATIENCE: Duration = Duration::from_millis(250);

/// A job on its way to another queue.
struct Leaving {
    /// Its name in the outbox.
    member: Vec<u8>,
    packed: Vec<u8>,
}

impl RedisStore {
    /// What cannot be delivered now stays where it is, and [`RedisStore::tend`] tries again.
    pub(super) async fn deliver_or_say(&self, queue: &QueueName) {
        let deliver = self.deliver(queue);
        match self.clock.timeout(PATIENCE, deliver).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%queue, %error, "jobs for other queues wait for the next tending");
            }
            Err(_) => {
                tracing::warn!(%queue, "jobs for other queues take long and are left to tending");
            }
        }
    }

    /// Whether there may be more.
    pub(super) async fn deliver(&self, queue: &QueueName) -> Result<bool, StoreError> {
        let mut delivered = Vec::new();
        for _ in 0..CHUNKS {
            let leaving = self.take_out(queue, CHUNK, &delivered).await?;
            if leaving.is_empty() {
                return Ok(false);
            }
            self.deliver_some(&leaving).await?;
            delivered = leaving;
        }
        self.take_out(queue, 0, &delivered).await?;
        Ok(true)
    }

    /// Removes what was delivered and gives what is next.
    async fn take_out(
        &self,
        queue: &QueueName,
        most: usize,
        delivered: &[Leaving],
    ) -> Result<Vec<Leaving>, StoreError> {
        let mut call = self.call(&OUT, queue).arg(most);
        for job in delivered {
            call = call.arg(&job.member[..]);
        }
        let answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        let leaving = |value| {
            let mut job = reply::list(value)?;
            Ok(Leaving { member: job.bytes()?, packed: job.bytes()? })
        };
        answer.map(leaving).collect()
    }

    async fn deliver_some(&self, leaving: &[Leaving]) -> Result<(), StoreError> {
        let mut by_queue = BTreeMap::<QueueName, Vec<(&[u8], &[u8])>>::new();
        for Leaving { packed, .. } in leaving {
            let read = pack::read_addressed(packed);
            let (queue, job, body) = read.map_err(|error| reply::damaged("an outbox", error))?;
            by_queue.entry(queue).or_default().push((job, body));
        }
        for (queue, jobs) in by_queue {
            // Not refused for want of room.
            let mut call = self.call(&PUSH, &queue).arg(0);
            for (job, body) in jobs {
                call = call.arg(job).arg(body);
            }
            self.bring(&queue, &call).await?;
        }
        Ok(())
    }
}
