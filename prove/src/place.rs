//! Where jobs are kept, and how durably.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use samovar_clock::{Clock, Random};
use samovar_jobs::{Store, store::EmbeddedStore};
use samovar_store::embedded::Folder;
use serde::{Deserialize, Serialize};

use crate::fault::Kind;

/// How long a folder may be somebody else's.
const OWN_WITHIN: Duration = Duration::from_secs(10);

/// A store, and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A folder with one owner.
    Embedded,
    /// One Redis with an append-only file.
    RedisLocal,
    /// Redis behind Sentinel, each write confirmed by a replica.
    RedisReplicated,
    /// Redis behind Sentinel with an append-only file: what a failover costs is counted.
    RedisFailover,
    /// One Redis that keeps nothing: what its death costs is counted.
    RedisNone,
}

impl Level {
    pub const ALL: [Level; 5] = [
        Level::Embedded,
        Level::RedisReplicated,
        Level::RedisLocal,
        Level::RedisFailover,
        Level::RedisNone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Level::Embedded => "embedded",
            Level::RedisReplicated => "redis, replicated, with failovers",
            Level::RedisLocal => "redis, local",
            Level::RedisFailover => "redis, local, with failovers",
            Level::RedisNone => "redis, none",
        }
    }

    /// Whether nothing may be lost; otherwise it is counted.
    pub fn promises(self) -> bool {
        matches!(self, Level::Embedded | Level::RedisReplicated | Level::RedisLocal)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where nodes find the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Address {
    Folder(PathBuf),
}

impl Address {
    pub(crate) async fn open(&self, random: &Random) -> Result<Store> {
        match self {
            Address::Folder(path) => {
                let folder = Folder::own_within(path, OWN_WITHIN, &Clock::System).await?;
                let store = EmbeddedStore::open(folder, Clock::System, random.clone()).await?;
                Ok(Store::Embedded(store))
            }
        }
    }
}

/// The servers, where there are any.
#[derive(Debug)]
pub(crate) enum Place {
    Embedded(PathBuf),
}

impl Place {
    pub(crate) fn prepare(level: Level, home: &Path) -> Result<Self> {
        match level {
            Level::Embedded => Ok(Place::Embedded(home.join("data"))),
            _ => bail!("no Redis yet"),
        }
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Place::Embedded(folder) => Address::Folder(folder.clone()),
        }
    }

    /// What is done to the servers.
    pub(crate) async fn suffer(&self, kind: Kind, _random: &Random) -> Result<()> {
        bail!("{kind} is nothing that can be done to {self:?}")
    }
}
