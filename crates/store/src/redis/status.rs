//! What `status` shows about the masters.

use std::{sync::Arc, time::Duration};

use ::redis::pipe;
use futures_util::future::join_all;

use super::{address::Address, error::QueryError, info, link::Link, node::Node, shared::Shared};

#[derive(Clone, Debug)]
pub struct Status {
    pub masters: Vec<MasterStatus>,
    /// Why Sentinel or the Cluster last could not be asked for the masters.
    pub topology_error: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub struct MasterStatus {
    pub address: Address,
    pub connected: bool,
    /// Whether the last heartbeat came back in time.
    pub trusted: bool,
    pub incarnation: Option<u64>,
    /// Links made to this master after the first one.
    pub reconnects: u64,
    pub last_error: Option<Arc<str>>,
    /// From sending a heartbeat until it was heard and its write confirmed.
    pub beat_round_trip: Option<Duration>,
    /// What the server says about itself, if it answered.
    pub server: Option<ServerStatus>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerStatus {
    pub version: String,
    pub uptime: Duration,
    pub used_memory_bytes: u64,
    /// 0 is "no limit".
    pub maxmemory_bytes: u64,
    pub maxmemory_policy: String,
    pub keys: u64,
    /// Keys with a TTL, of `keys`.
    pub keys_with_ttl: u64,
    pub expired: u64,
    pub evicted: u64,
    pub replicas: u64,
    /// `None` where the server does not let its configuration be read.
    pub min_replicas_to_write: Option<u64>,
    pub append_only_file: bool,
}

impl ServerStatus {
    /// Whether a failover may leave acknowledged writes behind on a master that was cut off, so
    /// that what it was told is not known to the one that takes over.
    pub fn may_split(&self) -> bool {
        self.replicas > 0 && self.min_replicas_to_write == Some(0)
    }

    /// Whether keys without a TTL may be evicted, which durable state does not survive.
    pub fn may_evict_durable_keys(&self) -> bool {
        self.maxmemory_policy.starts_with("allkeys-")
    }
}

/// A master that does not answer must not keep `status` from showing the others.
const ASK_WITHIN: Duration = Duration::from_secs(1);

pub(super) async fn gather(shared: &Shared) -> Status {
    let table = shared.table();
    let masters = join_all(table.nodes().map(|node| master(shared, node))).await;
    Status { masters, topology_error: shared.topology_error() }
}

async fn master(shared: &Shared, node: &Node) -> MasterStatus {
    let link = node.link();
    let server = match &link {
        Some(link) => shared.clock.timeout(ASK_WITHIN, server(link)).await.ok().flatten(),
        None => None,
    };
    let now = shared.clock.now();
    MasterStatus {
        address: node.address().clone(),
        connected: link.is_some(),
        trusted: link.as_ref().is_some_and(|link| link.trust().holds(now)),
        incarnation: link.as_ref().map(|link| link.incarnation()),
        reconnects: node.links_made().saturating_sub(1),
        last_error: node.last_error(),
        beat_round_trip: link.as_ref().and_then(|link| link.beat_round_trip()),
        server,
    }
}

async fn server(link: &Link) -> Option<ServerStatus> {
    link.server().await.ok()
}

impl Link {
    /// What the server says about itself.
    pub async fn server(&self) -> Result<ServerStatus, QueryError> {
        let mut questions = pipe();
        questions.cmd("INFO").cmd("CONFIG").arg("GET").arg("min-replicas-to-write");
        let answers = self.send(&questions).await?;
        let info = answers.first().and_then(info::text);
        let info = info.ok_or_else(|| QueryError::Protocol("no answer to INFO".into()))?;
        let setting = answers.get(1).and_then(|answer| info::pair(answer, "min-replicas-to-write"));
        Ok(ServerStatus::read(info, setting.and_then(info::integer)))
    }
}

impl ServerStatus {
    fn read(info: &str, min_replicas_to_write: Option<i64>) -> Self {
        let text = |name| info::field(info, name).unwrap_or_default().to_owned();
        let number = |name| info::number(info, name).unwrap_or(0);
        let (keys, keys_with_ttl) = keyspace(info);
        Self {
            version: text("redis_version"),
            uptime: Duration::from_secs(number("uptime_in_seconds")),
            used_memory_bytes: number("used_memory"),
            maxmemory_bytes: number("maxmemory"),
            maxmemory_policy: text("maxmemory_policy"),
            keys,
            keys_with_ttl,
            expired: number("expired_keys"),
            evicted: number("evicted_keys"),
            replicas: number("connected_slaves"),
            min_replicas_to_write: min_replicas_to_write.and_then(|count| count.try_into().ok()),
            append_only_file: number("aof_enabled") == 1,
        }
    }
}

/// Keys, and those with a TTL, of all databases: lines as `db0:keys=3,expires=1,avg_ttl=0`.
fn keyspace(info: &str) -> (u64, u64) {
    let databases = info.lines().filter_map(|line| line.strip_prefix("db")?.split_once(":keys="));
    databases.fold((0, 0), |(keys, with_ttl), (_, counts)| {
        let mut counts = counts.split(',');
        let count = counts.next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        let expires = counts.find_map(|part| part.strip_prefix("expires=")?.parse::<u64>().ok());
        (keys + count, with_ttl + expires.unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_its_info() {
        let info = "redis_version:7.0.15\r\nuptime_in_seconds:5\r\nused_memory:1000\r\n\
            maxmemory:2000\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n\
            expired_keys:4\r\nevicted_keys:6\r\nconnected_slaves:2\r\n\
            db0:keys=3,expires=1,avg_ttl=0\r\ndb2:keys=10,expires=0,avg_ttl=0\r\n";
        let server = ServerStatus::read(info, Some(1));
        assert_eq!((server.keys, server.keys_with_ttl), (13, 1));
        assert_eq!((server.used_memory_bytes, server.maxmemory_bytes), (1000, 2000));
        assert_eq!((server.expired, server.evicted, server.replicas), (4, 6, 2));
        assert_eq!(server.min_replicas_to_write, Some(1));
        assert!(server.append_only_file && server.may_evict_durable_keys());
        assert_eq!(ServerStatus::read("", None), ServerStatus::default());
    }
}
