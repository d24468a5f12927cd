//! Where this process keeps its state: the cache and the jobs, opened together and closed together.

use std::sync::Arc;

use samovar_cache::{Cache, Folder};
use samovar_clock::{Clock, Random};
use samovar_engine::{Catalogue, Engine};
use samovar_jobs::store::{EmbeddedStore, RedisStore};
use samovar_store::embedded::limits::OWNER_WAIT;

use crate::{
    accounts,
    config::{Config, Store},
    failure::Failure,
};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) cache: Cache,
    pub(crate) jobs: Arc<samovar_jobs::Store>,
}

impl State {
    /// In one folder, which is owned once for both, or on Redis.
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        let builder = Cache::builder().settings(config.cache.clone());
        let builder = builder.keeper(accounts::keeper()).spawner(accounts::spawner());
        let cache_failed = |error| Failure::failed("opening the store", error);
        match &config.store {
            Store::Embedded { folder } => {
                let owned = Folder::own_within(folder, OWNER_WAIT, &Clock::System).await;
                let folder = owned.map_err(|error| Failure::failed("opening the store", error))?;
                let cache = builder.open_in(folder.clone()).await.map_err(cache_failed)?;
                let jobs = EmbeddedStore::open(folder, Clock::System, Random::System).await;
                Self::beside(cache, jobs.map(samovar_jobs::Store::Embedded)).await
            }
            Store::Redis { url, durability } => {
                let of_cache = config.cache_url.as_ref().unwrap_or(url);
                let cache = builder.connect(of_cache.exposed()).await.map_err(cache_failed)?;
                let (url, random) = (url.exposed(), Random::System);
                let jobs = RedisStore::connect(url, *durability, Clock::System, random).await;
                Self::beside(cache, jobs.map(samovar_jobs::Store::Redis)).await
            }
        }
    }

    async fn beside<E: std::error::Error + Send + Sync + 'static>(
        cache: Cache,
        jobs: Result<samovar_jobs::Store, E>,
    ) -> Result<Self, Failure> {
        match jobs {
            Ok(jobs) => Ok(Self { cache, jobs: Arc::new(jobs) }),
            Err(error) => {
                cache.close().await;
                Err(Failure::failed("opening the store of jobs", error))
            }
        }
    }

    pub(crate) fn engine(&self, config: &Config, catalogue: Catalogue) -> Result<Engine, Failure> {
        let (cache, jobs) = (self.cache.clone(), Some(self.jobs.clone()));
        Engine::start(cache, &config.cache, catalogue, config.observe, jobs)
            .map_err(|error| Failure::failed("declaring the widgets", error))
    }

    /// In good order: what is closed vouches for what it holds when it is opened again.
    pub(crate) async fn close(self) {
        self.cache.close().await;
        self.jobs.close().await;
    }
}
