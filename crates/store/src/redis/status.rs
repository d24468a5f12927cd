//! What `status` shows about the masters.

use std::{sync::Arc, time::Duration};

use super::address::Address;

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
    /// Whether keys without a TTL may be evicted, which durable state does not survive.
    pub fn may_evict_durable_keys(&self) -> bool {
        self.maxmemory_policy.starts_with("allkeys-")
    }
}
