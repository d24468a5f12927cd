//! Opening the file of jobs, and taking back what its last owner held.

use std::sync::Arc;

use samovar_clock::{Clock, Random};
use samovar_store::embedded::{self as store, Database, Folder, M, Migrations, Options};

use super::{EmbeddedStore, sql, tallies::Pending, upkeep};
use crate::store::StoreError;

const FILE: &str = "jobs.db";
/// Of each connection. Claims walk along the end of one index, pushes along that of another.
const CACHE_BYTES: u64 = 32 << 20;
const READERS: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    File(#[from] store::OpenError),
    #[error("the jobs of the last owner could not be taken back: {0}")]
    TakeBack(StoreError),
}

impl EmbeddedStore {
    /// Whatever was held when the last owner ended is taken back: nobody else can hold anything.
    pub async fn open(folder: Folder, clock: Clock, random: Random) -> Result<Self, OpenError> {
        let pending = Arc::new(Pending::default());
        let options = options(pending.clone());
        let database = Database::open_aside(folder, options, clock.clone(), random).await?;
        let store = Self::new(database, pending, clock);
        while store.write(upkeep::void_leases).await.map_err(OpenError::TakeBack)?.more {}
        Ok(store)
    }
}

/// Synchronous FULL, the default: what was acknowledged survives the loss of power.
fn options(pending: Arc<Pending>) -> Options {
    let schema = vec![M::up(sql::SCHEMA), M::up(sql::BATCH_TENANT), M::up(sql::BATCH_OPEN)];
    let mut options = Options::new(FILE, Migrations::new(schema));
    options.cache_bytes = CACHE_BYTES;
    options.readers = READERS;
    options.shared = Some(pending);
    options
}
