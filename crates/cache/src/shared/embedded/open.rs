//! Opening the file, and bringing it within its limit.

use samovar_clock::{Clock, Random};
use samovar_store::embedded::{Database, Durability, Folder, M, Migrations, Options};

use super::{
    EmbeddedTier, limits,
    room::{self, Removed},
    sql,
};
use crate::cache::OpenError;

const FILE: &str = "cache.db";

impl EmbeddedTier {
    pub(crate) async fn open(
        folder: Folder,
        limit_bytes: u64,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OpenError> {
        let max_bytes = limit_bytes.saturating_add(limits::VERSIONS_BYTES);
        Self::open_within(folder, limit_bytes, max_bytes, clock, random).await
    }

    /// `max_bytes` is where SQLite itself finds the disk full.
    pub(super) async fn open_within(
        folder: Folder,
        limit_bytes: u64,
        max_bytes: u64,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OpenError> {
        let mut options = options();
        options.max_bytes = Some(max_bytes);
        let page_bytes = u64::from(options.page_bytes);
        let database = Database::open_aside(folder, options, clock.clone(), random).await?;
        let tier = Self::new(database, clock, limit_bytes, page_bytes);
        tier.trim().await;
        Ok(tier)
    }

    /// Where the limit was lowered since the file was last open, makes it hold again.
    async fn trim(&self) {
        loop {
            let (database, asked) = (self.database.clone(), self.asked.clone());
            let limit_bytes = self.limit_bytes;
            let trimmed = self
                .write(move |connection| {
                    room::trim(connection, limit_bytes, &asked, database.now_ms())
                })
                .await;
            match trimmed {
                Ok(removed) if removed == Removed::default() => return,
                Ok(removed) => self.count(removed),
                Err(error) => {
                    tracing::warn!(%error, "the cache's file exceeds its limit");
                    return;
                }
            }
        }
    }
}

/// What is lost with the power is stale anyway: the boot is another one then.
///
/// Pages of 4 KB, the default: larger ones read values of 150 KB a fifth faster, but double what an
/// invalidation writes. Mapping the file instead of caching pages gained nothing that was measured.
fn options() -> Options {
    let mut options = Options::new(FILE, Migrations::new(vec![M::up(sql::SCHEMA)]));
    options.durability = Durability::Normal;
    options
}
