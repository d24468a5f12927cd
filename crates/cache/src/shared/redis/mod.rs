//! The shared tier on Redis: alone, behind Sentinel, or a Cluster.
//!
//! What is atomic is a script at the tenant's master; what all tenants share lives at a master of
//! its own and is asked at the same time. Connections, topology and trust are `samovar_store`'s.
//! Every key has a TTL.

mod change;
mod clean_up;
mod keys;
mod lease;
mod look;
mod reply;
mod scripts;
mod state;

use std::sync::Arc;

use futures_util::FutureExt;
use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{Call, Link, OnMessage, Options, QueryError, Redis, Repeat, Value};

use self::keys::{GLOBAL, Namespace};
use super::{Origins, StoreError};
use crate::{cache::OpenError, key::EntryKey, node::Node};

#[derive(Debug)]
pub(crate) struct RedisTier {
    redis: Redis,
    names: Namespace,
}

/// What a script said, and over which link.
type Said = Result<(Value, Arc<Link>), StoreError>;

impl RedisTier {
    /// Connects in the background; [`RedisTier::connected`] waits for it.
    pub(crate) fn start(
        url: &str,
        node: &Arc<Node>,
        clock: Clock,
        random: Random,
        spawner: Spawner,
    ) -> Result<Self, OpenError> {
        let options = Options::parse(url).map_err(|error| OpenError::Redis(error.to_string()))?;
        let options = Options { node: node.id, ..options };
        let node = node.clone();
        let hear: OnMessage = Arc::new(move |payload| node.hear(payload));
        Ok(Self::listening(options, hear, clock, random, spawner))
    }

    pub(super) fn listening(
        options: Options,
        hear: OnMessage,
        clock: Clock,
        random: Random,
        spawner: Spawner,
    ) -> Self {
        let names = Namespace::new(&options.prefix);
        Self { redis: Redis::start(options, clock, random, spawner, hear), names }
    }

    pub(crate) async fn connected(&self) -> Result<(), OpenError> {
        self.redis.connected().await.map_err(|error| OpenError::Redis(error.to_string()))
    }

    pub(crate) fn origins(&self, entry: &EntryKey) -> Option<Origins> {
        // A link that is up is there at once; waiting for one is not asked for.
        let origin = |key: &str| {
            let link = self.redis.link(key.as_bytes()).now_or_never()?.ok()?;
            Some(reply::origin(&link))
        };
        let tenant = origin(entry.as_str())?;
        let global = match self.redis.options().is_cluster() {
            true => origin(GLOBAL)?,
            false => tenant.clone(),
        };
        Some(Origins { tenant, global })
    }

    pub(crate) async fn close(&self) {
        self.redis.shutdown().await;
    }

    async fn run(&self, call: &Call<'_>, repeat: Repeat) -> Said {
        self.redis.run(call, repeat).await.map_err(|error| reply::error(&error))
    }

    /// Runs two scripts at the same time, the first at the tenant's master and the second where
    /// the global versions are: in one pipeline where both are one master.
    async fn run_both(&self, first: &Call<'_>, second: &Call<'_>, repeat: Repeat) -> (Said, Said) {
        if self.redis.options().is_cluster() {
            return futures_util::join!(self.run(first, repeat), self.run(second, repeat));
        }
        let mut values = match self.redis.run_all(&[first.clone(), second.clone()], repeat).await {
            Ok((values, link)) => values.into_iter().map(move |value| Ok((value, link.clone()))),
            Err(error) => return lost_both(&error),
        };
        let mut next = || values.next().unwrap_or_else(|| Err(reply::unexpected("two scripts")));
        (next(), next())
    }
}

fn lost_both(error: &QueryError) -> (Said, Said) {
    (Err(reply::error_of_first(error)), Err(reply::error(error)))
}
