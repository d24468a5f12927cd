//! Jobs in Redis: alone, behind Sentinel, or a Cluster.
//!
//! All of a queue is in one slot, and an operation on it is one script there (law 11). What concerns
//! several queues asks each of them. Connections and topology are `samovar_store`'s.

mod breakers;
mod claim;
mod durability;
mod finish;
mod held;
mod keys;
mod list;
mod open;
mod outbox;
mod pack;
mod people;
mod push;
mod queues;
mod reply;
mod schedules;
mod scripts;
mod show;
mod tallies;
#[cfg(test)]
mod tests;
mod upkeep;
mod workers;

use std::sync::Arc;

use samovar_clock::{Clock, Instant, Random};
use samovar_store::redis::{Call, Link, Lost, Options, QueryError, Redis, Repeat, Script, Value};

use self::{durability::Gate, keys::Names, queues::Queues, reply::Answer};
use super::{StoreError, embedded::outage::Outage};
use crate::name::{JobId, QueueName};

pub use durability::Durability;
pub use open::RedisOpenError;

/// Of everything that is stored. A queue that was written with a newer one is refused.
#[cfg(test)]
const FORMAT: u32 = 1;

#[derive(Debug)]
pub struct RedisStore {
    redis: Redis,
    names: Names,
    gate: Gate,
    queues: Queues,
    /// As this process sees it; the queues' own clocks notice the longer ones.
    outage: Outage,
    clock: Clock,
    began: Instant,
    random: Random,
    options: Box<Options>,
}

impl RedisStore {
    fn call<'s>(&self, script: &'s Script, queue: &QueueName) -> Call<'s> {
        script.call(&[self.names.queue(queue)])
    }

    /// A question that changes nothing.
    async fn ask(&self, queue: &QueueName, call: &Call<'_>) -> Result<Option<Answer>, StoreError> {
        match self.redis.run(call, Repeat::Safe).await {
            Ok((value, _)) => reply::read(value, queue),
            Err(error) => Err(reply::error(&error)),
        }
    }

    /// A change, acknowledged as durable as was asked for. `again`: doing it twice changes nothing
    /// more, so that it is sent once more when a broken connection took the answer.
    async fn write(
        &self,
        queue: &QueueName,
        call: &Call<'_>,
        again: bool,
    ) -> Result<Option<Answer>, StoreError> {
        reply::read(self.execute(call, again).await?, queue)
    }

    async fn execute(&self, call: &Call<'_>, again: bool) -> Result<Value, StoreError> {
        let done = self.execute_once(call).await;
        let done = match done {
            Err(Fault::Broken(_)) if again => self.execute_once(call).await,
            done => done,
        };
        let done = done.map_err(|fault| match fault {
            Fault::Broken(error) => reply::error(&error),
            Fault::Other(error) => error,
        });
        match &done {
            Err(StoreError::Unavailable(_)) => self.outage.began(),
            _ => self.outage.over(self.elapsed_ms()),
        }
        done
    }

    async fn execute_once(&self, call: &Call<'_>) -> Result<Value, Fault> {
        let link = self.redis.link(call.key()).await.map_err(QueryError::from)?;
        self.gate.check(&link).await.map_err(Fault::Other)?;
        let (value, link): (Value, Arc<Link>) = self.redis.run(call, Repeat::OnlyIfUnsent).await?;
        // It may have gone over another one than the first.
        self.gate.check(&link).await.map_err(Fault::Other)?;
        self.gate.confirm(&link).await.map_err(Fault::Other)?;
        Ok(value)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.gate.durability()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.clock.now().since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) async fn close(&self) {
        self.redis.shutdown().await;
    }
}

enum Fault {
    /// The connection, with the answer.
    Broken(QueryError),
    Other(StoreError),
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unanswered { reason: Lost::Connection, .. } => Fault::Broken(error),
            error => Fault::Other(reply::error(&error)),
        }
    }
}

fn id_bytes(id: JobId) -> [u8; 8] {
    id.as_u64().to_be_bytes()
}
