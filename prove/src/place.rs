//! Where jobs are kept, and how durably.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    Store,
    store::{Durability, EmbeddedStore, RedisStore},
};
use samovar_store::embedded::Folder;
use samovar_testkit::{RedisSentinel, RedisServer, wait, wrong_clock::WrongClock};
use serde::{Deserialize, Serialize};

use crate::{check::Rule, fault::Kind};

/// How long a folder may be somebody else's.
const OWN_WITHIN: Duration = Duration::from_secs(10);

/// Further than a lease, nearer than what a queue takes for an absence of its Redis.
const LONGEST_JUMP_S: u64 = 6;
const SHORT_PAUSE_MS: u64 = 350;
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// A store, and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// A folder with one owner.
    Embedded,
    /// One Redis with an append-only file, written before it answers (`appendfsync always`).
    RedisLocal,
    /// Redis behind Sentinel, each write confirmed by a replica.
    RedisReplicated,
    /// Redis behind Sentinel, nothing confirmed: what a failover costs is counted.
    RedisFailover,
    /// One Redis that keeps nothing: what its death costs is counted.
    RedisNone,
}

impl Level {
    pub(crate) const ALL: [Level; 5] = [
        Level::Embedded,
        Level::RedisReplicated,
        Level::RedisLocal,
        Level::RedisFailover,
        Level::RedisNone,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Embedded => "embedded",
            Level::RedisReplicated => "redis replicated, failovers",
            Level::RedisLocal => "redis local, fsync always",
            Level::RedisFailover => "redis local, failovers",
            Level::RedisNone => "redis none",
        }
    }

    /// Whether the level promises to remember what it has acknowledged.
    pub(crate) fn remembers(self) -> bool {
        matches!(self, Level::Embedded | Level::RedisReplicated | Level::RedisLocal)
    }

    /// Whether a rule must hold. What a store may forget is counted where it may.
    pub(crate) fn promises(self, rule: Rule) -> bool {
        self.remembers() || !rule.is_about_memory()
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
    Redis { url: String, durability: Promise },
}

/// [`Durability`], as an argument.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promise {
    Replicated,
    Local,
    None,
}

impl Address {
    pub(crate) async fn open(&self, random: &Random) -> Result<Store> {
        match self {
            Address::Folder(path) => {
                let folder = Folder::own_within(path, OWN_WITHIN, &Clock::System).await?;
                let store = EmbeddedStore::open(folder, Clock::System, random.clone()).await?;
                Ok(Store::Embedded(store))
            }
            Address::Redis { url, durability } => {
                let durability = match durability {
                    Promise::Replicated => Durability::Replicated,
                    Promise::Local => Durability::Local,
                    Promise::None => Durability::None,
                };
                let random = random.clone();
                let store = RedisStore::connect(url, durability, Clock::System, random).await?;
                Ok(Store::Redis(store))
            }
        }
    }
}

/// The servers, where there are any.
#[derive(Debug)]
pub(crate) enum Place {
    Embedded(PathBuf),
    Redis { server: Box<RedisServer>, wrong: WrongClock, promise: Promise },
    Sentinel { all: Box<RedisSentinel>, promise: Promise },
}

impl Place {
    pub(crate) fn prepare(level: Level, home: &Path) -> Result<Self> {
        let sentinel = |promise| {
            let server = RedisServer::builder().config("appendonly yes").with_a_disk_to_fill();
            Ok(Place::Sentinel { all: Box::new(RedisSentinel::start_as(&server)?), promise })
        };
        match level {
            Level::Embedded => Ok(Place::Embedded(home.join("data"))),
            Level::RedisLocal => {
                Self::alone(home, &["appendonly yes", "appendfsync always"], Promise::Local)
            }
            Level::RedisNone => Self::alone(home, &[], Promise::None),
            Level::RedisReplicated => sentinel(Promise::Replicated),
            Level::RedisFailover => sentinel(Promise::Local),
        }
    }

    fn alone(home: &Path, config: &[&str], promise: Promise) -> Result<Self> {
        let wrong = WrongClock::new(home)?;
        let variables = wrong.variables().into_iter();
        let builder = RedisServer::builder().with_a_disk_to_fill();
        let builder = config.iter().fold(builder, |it, line| it.config(*line));
        let builder = variables.fold(builder, |it, (name, value)| it.env(name, value));
        Ok(Place::Redis { server: Box::new(builder.start()?), wrong, promise })
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Place::Embedded(folder) => Address::Folder(folder.clone()),
            Place::Redis { server, promise, .. } => {
                Address::Redis { url: server.url(), durability: *promise }
            }
            Place::Sentinel { all, promise } => {
                let hosts: Vec<_> =
                    all.sentinel_addresses().iter().map(ToString::to_string).collect();
                let (hosts, service) = (hosts.join(","), all.service_name());
                let url = format!("redis+sentinel://{hosts}/{service}");
                Address::Redis { url, durability: *promise }
            }
        }
    }

    /// What is done to the servers. Returns when it is over for those who use them.
    pub(crate) async fn suffer(&self, kind: Kind, random: &Random) -> Result<()> {
        let clock = Clock::System;
        let jump_s = 1 + random.below(LONGEST_JUMP_S) as i64;
        let pause = Duration::from_millis(random.below(SHORT_PAUSE_MS));
        match (self, kind) {
            (Place::Redis { server, .. }, Kind::RedisKill) => {
                server.kill();
                clock.sleep(pause).await;
                server.restart()
            }
            (Place::Redis { server, .. }, Kind::RedisStop) => stop_for(server, pause * 3).await,
            (Place::Redis { server, .. }, Kind::RedisDiskFull) => fill_for(server, pause).await,
            (Place::Redis { wrong, .. }, Kind::ClockForward) => wrong.move_by(jump_s),
            (Place::Redis { wrong, .. }, Kind::ClockBack) => wrong.move_by(-jump_s),
            // Shorter than what sentinels take for a death.
            (Place::Sentinel { all, .. }, Kind::RedisStop) => stop_for(all.master()?, pause).await,
            // Sentinels may take it for dead meanwhile.
            (Place::Sentinel { all, .. }, Kind::RedisDiskFull) => {
                fill_for(all.master()?, pause).await?;
                all.wait_until_settled()
            }
            (Place::Sentinel { all, .. }, Kind::Failover) => all.failover().map(drop),
            (Place::Sentinel { all, .. }, Kind::MasterKill) => {
                let old = all.kill_master()?;
                all.wait_for_master_other_than(old)?;
                all.server(old)?.restart()?;
                all.wait_until_settled()
            }
            _ => bail!("{kind} is nothing that can be done to {self:?}"),
        }
    }
}

async fn stop_for(server: &RedisServer, pause: Duration) -> Result<()> {
    server.stop_process()?;
    Clock::System.sleep(pause).await;
    server.continue_process()
}

/// It takes no writes meanwhile, or ends itself at the first.
async fn fill_for(server: &RedisServer, pause: Duration) -> Result<()> {
    server.fill_disk()?;
    Clock::System.sleep(pause).await;
    let freed = server.free_disk();
    wait::until(WRITE_LIMIT, "a server to write again", || {
        match (&freed, server.command(&["PING"])) {
            (Ok(()), Ok(_)) => Some(Ok(())),
            _ if !server.is_running() => Some(server.restart()),
            _ => None,
        }
    })?
}
