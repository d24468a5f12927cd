//! Where this process keeps its state: the cache, the jobs and who may do what, opened together and
//! closed together.

use std::sync::Arc;

use samovar_access::{self as access, Access};
use samovar_cache::{Cache, Folder};
use samovar_clock::{Clock, Random};
use samovar_engine::{Catalogue, Engine};
use samovar_jobs::store::{Durability, EmbeddedStore, RedisStore};
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
    pub(crate) access: Access,
}

impl State {
    /// In one folder, which is owned once for all, or on Redis.
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        let builder = Cache::builder().settings(config.cache.clone());
        let builder = builder.keeper(accounts::keeper()).spawner(accounts::spawner());
        let cache_failed = |error| Failure::failed("opening the store", error);
        match &config.store {
            Store::Embedded { folder } => {
                let owned = Folder::own_within(folder, OWNER_WAIT, &Clock::System).await;
                let folder = owned.map_err(|error| Failure::failed("opening the store", error))?;
                let cache = builder.open_in(folder.clone()).await.map_err(cache_failed)?;
                let jobs = EmbeddedStore::open(folder.clone(), Clock::System, Random::System).await;
                let (cache, jobs) = beside(cache, jobs.map(samovar_jobs::Store::Embedded)).await?;
                let access = access::EmbeddedStore::open(folder, Clock::System, Random::System);
                let access = access.await.map(access::Store::Embedded);
                Self::with(cache, jobs, access, &config.access).await
            }
            Store::Redis { url, durability } => {
                let of_cache = config.cache_url.as_ref().unwrap_or(url);
                let cache = builder.connect(of_cache.exposed()).await.map_err(cache_failed)?;
                let (url, random) = (url.exposed(), Random::System);
                let jobs = RedisStore::connect(url, *durability, Clock::System, random).await;
                let (cache, jobs) = beside(cache, jobs.map(samovar_jobs::Store::Redis)).await?;
                let replicated = *durability == Durability::Replicated;
                let (clock, random) = (Clock::System, Random::System);
                let access = access::RedisStore::connect(url, replicated, clock, random).await;
                Self::with(cache, jobs, access.map(access::Store::Redis), &config.access).await
            }
        }
    }

    async fn with<E: std::error::Error + Send + Sync + 'static>(
        cache: Cache,
        jobs: samovar_jobs::Store,
        access: Result<access::Store, E>,
        settings: &access::Settings,
    ) -> Result<Self, Failure> {
        match access {
            Ok(store) => {
                let settings = settings.clone();
                let access = Access::new(store, settings, Clock::System, Random::System);
                Ok(Self { cache, jobs: Arc::new(jobs), access })
            }
            Err(error) => {
                cache.close().await;
                jobs.close().await;
                Err(Failure::failed("opening the store of access", error))
            }
        }
    }

    pub(crate) fn engine(&self, config: &Config, catalogue: Catalogue) -> Result<Engine, Failure> {
        let rules = config.jobs.rules(&config.workers);
        let rules =
            rules.map_err(|error| Failure::failed("reading what jobs may post to", error))?;
        let catalogue = catalogue.with_jobs(rules);
        let (cache, jobs) = (self.cache.clone(), Some(self.jobs.clone()));
        Engine::start(cache, &config.cache, catalogue, config.observe, jobs)
            .map_err(|error| Failure::failed("declaring the widgets", error))
    }

    /// In good order: what is closed vouches for what it holds when it is opened again.
    pub(crate) async fn close(self) {
        self.cache.close().await;
        self.jobs.close().await;
        self.access.close().await;
    }
}

async fn beside<E: std::error::Error + Send + Sync + 'static>(
    cache: Cache,
    jobs: Result<samovar_jobs::Store, E>,
) -> Result<(Cache, samovar_jobs::Store), Failure> {
    match jobs {
        Ok(jobs) => Ok((cache, jobs)),
        Err(error) => {
            cache.close().await;
            Err(Failure::failed("opening the store of jobs", error))
        }
    }
}
