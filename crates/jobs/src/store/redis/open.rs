//! Connecting to the Redis that keeps the jobs, and refusing one that cannot.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{ConnectError, Options, OptionsError, Redis};

use super::{Durability, Gate, Names, Queues, RedisStore};
use crate::store::{StoreError, embedded::outage::Outage};

#[derive(Debug, thiserror::Error)]
pub enum RedisOpenError {
    #[error("the address of the Redis for jobs: {0}")]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(StoreError),
}

impl RedisStore {
    /// Has to be called within a Tokio runtime.
    pub async fn connect(
        url: &str,
        durability: Durability,
        clock: Clock,
        random: Random,
    ) -> Result<Self, RedisOpenError> {
        Self::connect_with(Options::parse(url)?, durability, clock, random).await
    }

    /// Refuses a Redis that cannot keep what `durability` promises, and says what to do.
    pub async fn connect_with(
        options: Options,
        durability: Durability,
        clock: Clock,
        random: Random,
    ) -> Result<Self, RedisOpenError> {
        // Nobody's trust hangs on these heartbeats, and a connection that waits for replicas
        // answers them late.
        let options = Options {
            beat_every: Duration::from_secs(1),
            trust_bound: Duration::from_secs(2),
            ..options
        };
        let (names, again) = (Names::new(&options.prefix), Box::new(options.clone()));
        let deaf = Arc::new(|_: &[u8]| {});
        let spawner = Spawner::current();
        let redis = Redis::connect(options, clock.clone(), random.clone(), spawner, deaf).await?;
        let gate = Gate::new(durability);
        for link in redis.links() {
            if let Err(error) = gate.check(&link).await {
                redis.shutdown().await;
                return Err(RedisOpenError::Store(error));
            }
        }
        let (queues, outage, began) = (Queues::default(), Outage::default(), clock.now());
        Ok(Self { redis, names, gate, queues, outage, clock, began, random, options: again })
    }

    /// The same once more, over connections of the runtime in which this is called.
    pub(crate) async fn again(&self) -> Result<Self, RedisOpenError> {
        let (options, durability) = ((*self.options).clone(), self.durability());
        Self::connect_with(options, durability, self.clock.clone(), self.random.clone()).await
    }
}
