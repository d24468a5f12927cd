//! Jobs that an ended job leaves to other queues: kept with it until they are pushed there (law 11).
//!
//! They are pushed before they are removed, so a crash in between pushes them again, which changes
//! nothing: their ids are known there.

use std::collections::BTreeMap;

use super::{
    RedisStore, pack, reply,
    scripts::{OUT, PUSH},
};
use crate::{name::QueueName, store::StoreError};

/// Jobs delivered at once.
const CHUNK: usize = 100;
/// Chunks that one call delivers at most. The rest: the next [`RedisStore::tend`].
const CHUNKS: usize = 20;

impl RedisStore {
    /// What cannot be delivered now stays where it is, and [`RedisStore::tend`] tries again.
    pub(super) async fn deliver_or_say(&self, queue: &QueueName) {
        if let Err(error) = self.deliver(queue).await {
            tracing::warn!(%queue, %error, "jobs for other queues wait for the next tending");
        }
    }

    /// Whether there may be more.
    pub(super) async fn deliver(&self, queue: &QueueName) -> Result<bool, StoreError> {
        let mut delivered = Vec::new();
        for _ in 0..CHUNKS {
            let packed = self.take_out(queue, CHUNK, &delivered).await?;
            if packed.is_empty() {
                return Ok(false);
            }
            delivered = self.deliver_some(&packed).await?;
        }
        self.take_out(queue, 0, &delivered).await?;
        Ok(true)
    }

    /// Removes what was delivered and gives what is next.
    async fn take_out(
        &self,
        queue: &QueueName,
        most: usize,
        delivered: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut call = self.call(&OUT, queue).arg(most);
        for id in delivered {
            call = call.arg(&id[..]);
        }
        let answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        answer.map(|value| reply::bytes(value).ok_or_else(reply::unexpected)).collect()
    }

    /// Gives their ids.
    async fn deliver_some(&self, packed: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut by_queue = BTreeMap::<QueueName, Vec<(&[u8], &[u8])>>::new();
        let mut ids = Vec::with_capacity(packed.len());
        for bytes in packed {
            let read = pack::read_addressed(bytes);
            let (queue, job, body) = read.map_err(|error| reply::damaged("an outbox", error))?;
            ids.push(job.get(..8).unwrap_or_default().to_vec());
            by_queue.entry(queue).or_default().push((job, body));
        }
        for (queue, jobs) in by_queue {
            self.know(&queue).await?;
            // Not refused for want of room.
            let mut call = self.call(&PUSH, &queue).arg(0);
            for (job, body) in jobs {
                call = call.arg(job).arg(body);
            }
            self.write(&queue, &call, true).await?;
        }
        Ok(ids)
    }
}
