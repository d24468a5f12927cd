//! Opening the file of jobs, and taking back what its last owner held.

use std::thread;

use samovar_clock::{Clock, Random};
use samovar_store::embedded::{self as store, Database, Folder, M, Migrations, Options};
use tokio::sync::oneshot;

use super::{EmbeddedStore, sql, upkeep};
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
        let store = Self::new(open_aside(folder, clock, random).await?);
        while store.write(upkeep::void_leases).await.map_err(OpenError::TakeBack)?.more {}
        Ok(store)
    }
}

/// Opening waits for the disk, so it has a thread of its own.
async fn open_aside(
    folder: Folder,
    clock: Clock,
    random: Random,
) -> Result<Database, store::OpenError> {
    let path = folder.path().join(FILE);
    let (opened, answer) = oneshot::channel();
    let open = move || {
        // The folder itself goes: it stays owned until the file is closed.
        let _ = opened.send(Database::open(&folder, options(), clock, random));
    };
    let thread = thread::Builder::new().name(format!("{FILE} open")).spawn(open);
    let failed = |source| store::OpenError::Thread { path: path.clone(), source };
    thread.map_err(failed)?;
    answer.await.unwrap_or_else(|_| Err(failed(std::io::Error::other("it panicked"))))
}

/// Synchronous FULL, the default: what was acknowledged survives the loss of power.
fn options() -> Options {
    let mut options = Options::new(FILE, Migrations::new(vec![M::up(sql::SCHEMA)]));
    options.cache_bytes = CACHE_BYTES;
    options.readers = READERS;
    options
}
