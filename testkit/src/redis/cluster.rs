//! A Cluster of three masters with a replica each.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};

use super::{
    cluster_map::{Map, SLOTS},
    in_parallel,
    resp::Reply,
    server::{RedisBuilder, RedisServer},
};
use crate::{
    port::{BUS_OFFSET, PortLease},
    proxy::{Proxy, Waits},
    wait,
};

const MASTERS: usize = 3;
const NODES: usize = 2 * MASTERS;
const NODE_TIMEOUT_MS: u64 = 1500;
const LIMIT: Duration = Duration::from_secs(60);
/// After this a node gives up a failover that was ordered.
const MANUAL_FAILOVER_LIMIT: Duration = Duration::from_secs(5);
const START_ATTEMPTS: usize = 5;
const MIGRATE_KEYS_AT_ONCE: usize = 100;
const MIGRATE_LIMIT_MS: u64 = 5000;
/// Sent by a replica to its master and by no client.
const REPLICA_MARK: &[u8] = b"REPLCONF";

/// How to start a Cluster.
#[derive(Debug, Default)]
pub struct ClusterBuilder {
    lines: Vec<String>,
    behind_proxies: bool,
}

impl ClusterBuilder {
    /// Adds a line to the configuration of every node.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Puts a proxy before every node, and lets the node announce the proxy's port: whoever
    /// follows the Cluster's map passes the proxies.
    #[must_use]
    pub fn behind_proxies(mut self) -> Self {
        self.behind_proxies = true;
        self
    }

    /// Starts six nodes and joins them; returns when all agree and the replicas are in step.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree in a minute.
    pub fn start(self) -> Result<RedisCluster> {
        let waits = Waits::new();
        let nodes = in_parallel(vec![(); NODES], |()| self.start_node(&waits))?;
        let cluster = RedisCluster { nodes, waits };
        cluster.join()?;
        cluster.waits.reset();
        cluster.nodes.iter().filter_map(ClusterNode::proxy).for_each(Proxy::reset_counts);
        Ok(cluster)
    }

    fn start_node(&self, waits: &Waits) -> Result<ClusterNode> {
        let mut attempts = 1;
        loop {
            let lease = PortLease::take()?;
            let mut builder = RedisBuilder::default()
                .config("cluster-enabled yes")
                .config(format!("cluster-config-file {}", lease.dir().join("nodes.conf").display()))
                .config(format!("cluster-node-timeout {NODE_TIMEOUT_MS}"))
                .config("cluster-replica-validity-factor 0")
                .config("cluster-allow-replica-migration no")
                .config("cluster-announce-ip 127.0.0.1")
                .config(format!("cluster-announce-bus-port {}", lease.port() + BUS_OFFSET));
            let proxy = if self.behind_proxies {
                let proxy = Proxy::builder()
                    .waits(waits)
                    .without_connections_that_send(REPLICA_MARK)
                    .start(lease.address())?;
                builder = builder.config(format!("cluster-announce-port {}", proxy.port()));
                Some(proxy)
            } else {
                None
            };
            let server = builder.configs(&self.lines).prepare(lease)?;
            match server.launch() {
                Ok(()) => {
                    let id = server.command(&["CLUSTER", "MYID"])?.text();
                    return Ok(ClusterNode { server, proxy, id });
                }
                Err(_) if server.lost_its_port() && attempts < START_ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// One node, and the proxy before it if there is one.
#[derive(Debug)]
pub struct ClusterNode {
    server: RedisServer,
    proxy: Option<Proxy>,
    id: String,
}

impl ClusterNode {
    /// What the Cluster's map says: the proxy's address where there is a proxy.
    pub fn address(&self) -> SocketAddr {
        self.proxy.as_ref().map_or_else(|| self.server.address(), Proxy::address)
    }

    /// The process itself; its commands do not pass the proxy.
    pub fn server(&self) -> &RedisServer {
        &self.server
    }

    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Its name in the Cluster.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn map(&self) -> Result<Map> {
        Map::parse(&self.server.command(&["CLUSTER", "NODES"])?.text())
    }
}

/// Three masters and three replicas; all killed when dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<ClusterNode>,
    waits: Waits,
}

impl RedisCluster {
    /// # Errors
    /// When a node does not start, or they do not agree in a minute.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// With a proxy before every node, see [`ClusterBuilder::behind_proxies`].
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_behind_proxies() -> Result<Self> {
        Self::builder().behind_proxies().start()
    }

    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// All nodes, those that were masters at the start first.
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.nodes
    }

    /// The addresses that clients use, in the order of [`RedisCluster::nodes`].
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(ClusterNode::address).collect()
    }

    pub fn urls(&self) -> Vec<String> {
        self.addresses().iter().map(|address| format!("redis://{address}")).collect()
    }

    /// The node with that address, be it the node's own or its proxy's.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, address: SocketAddr) -> Result<&ClusterNode> {
        self.nodes
            .iter()
            .find(|node| node.address() == address || node.server.address() == address)
            .with_context(|| format!("no node at {address}"))
    }

    /// The counter that all proxies share; never moves without proxies.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The round trips through all proxies, see [`crate::proxy::Counts::round_trips`].
    pub fn round_trips(&self) -> u64 {
        self.nodes.iter().filter_map(ClusterNode::proxy).map(Proxy::round_trips).sum()
    }

    /// Begins to count round trips, bytes and waits anew.
    pub fn reset_counts(&self) {
        self.nodes.iter().filter_map(ClusterNode::proxy).for_each(Proxy::reset_counts);
        self.waits.reset();
    }

    /// The slot of a key, its hash tag minded.
    ///
    /// # Errors
    /// When no node runs.
    pub fn slot_of(&self, key: &str) -> Result<u16> {
        let slot = self.any()?.server.command(&["CLUSTER", "KEYSLOT", key])?.integer();
        Ok(u16::try_from(slot.context("a slot is a number")?)?)
    }

    /// The node that owns a slot, as the running nodes see it.
    ///
    /// # Errors
    /// When no node runs or nobody owns it.
    pub fn master_of(&self, slot: u16) -> Result<&ClusterNode> {
        let map = self.any()?.map()?;
        let owner = map.owner(slot).with_context(|| format!("nobody owns slot {slot}"))?;
        self.by_id(owner)
    }

    /// The replicas of a node, as the running nodes see them.
    ///
    /// # Errors
    /// When no node runs.
    pub fn replicas_of(&self, master: &ClusterNode) -> Result<Vec<&ClusterNode>> {
        let map = self.any()?.map()?;
        let ids = map.replicas.iter().filter(|(_, of)| **of == master.id);
        ids.map(|(replica, _)| self.by_id(replica)).collect()
    }

    /// Kills the node with that address, and lets its proxy refuse connections.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill(&self, address: SocketAddr) -> Result<()> {
        let node = self.node(address)?;
        node.server.kill();
        if let Some(proxy) = &node.proxy {
            proxy.cut();
        }
        Ok(())
    }

    /// Starts a node again, under its old name, and heals its proxy.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub fn restart(&self, address: SocketAddr) -> Result<()> {
        let node = self.node(address)?;
        if let Some(proxy) = &node.proxy {
            proxy.heal()?;
        }
        node.server.restart()
    }

    /// Makes a replica the master of its slots, by its own wish, and waits until all agree.
    ///
    /// # Errors
    /// When that does not happen in a minute.
    pub fn fail_over_to(&self, replica: &ClusterNode) -> Result<()> {
        wait::until(LIMIT, "a replica to take over", || {
            if replica.is_master() {
                return Some(());
            }
            // Refused, or given up by the node, while the two are out of step: ordered again then.
            let in_step = replica.server.info("master_link_status").is_ok_and(|it| it == "up");
            if in_step && replica.server.command(&["CLUSTER", "FAILOVER"]).is_ok() {
                let took_over = || replica.is_master().then_some(());
                return wait::until(MANUAL_FAILOVER_LIMIT, "a failover", took_over).ok();
            }
            None
        })?;
        self.wait_until_ok()
    }

    /// Waits until every running node holds the Cluster for healthy, all have the same map, and
    /// every owner of slots in it runs.
    ///
    /// # Errors
    /// When that does not happen in a minute.
    pub fn wait_until_ok(&self) -> Result<()> {
        wait::until(LIMIT, "the cluster to be healthy", || {
            self.is_ok().is_ok_and(|ok| ok).then_some(())
        })
    }

    /// Moves a slot and its keys to another master; returns when all nodes know.
    ///
    /// # Errors
    /// When `to` is no master, or a node does not answer.
    pub fn move_slot(&self, slot: u16, to: SocketAddr) -> Result<()> {
        let (from, to) = (self.master_of(slot)?, self.node(to)?);
        if from.id == to.id {
            return Ok(());
        }
        let number = slot.to_string();
        let set = |node: &ClusterNode, state: &str, other: &ClusterNode| {
            node.server.command(&["CLUSTER", "SETSLOT", &number, state, &other.id])
        };
        set(to, "IMPORTING", from)?;
        set(from, "MIGRATING", to)?;
        from.migrate_keys(&number, to)?;
        set(to, "NODE", to)?;
        set(from, "NODE", to)?;
        self.wait_until_ok()?;
        wait::until(LIMIT, "all nodes to know of the move", || {
            let knows = |node: &ClusterNode| Some(node.map().ok()?.owner(slot)? == to.id);
            self.running().all(|node| knows(node).unwrap_or(false)).then_some(())
        })
    }

    /// Makes six single nodes one Cluster.
    fn join(&self) -> Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            // Different epochs from the start: nobody has to give way to anybody.
            node.server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
        }
        let bound = |index: usize| usize::from(SLOTS) * index / MASTERS;
        for (index, master) in self.nodes[..MASTERS].iter().enumerate() {
            let (first, last) = (bound(index).to_string(), (bound(index + 1) - 1).to_string());
            master.server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        for node in &self.nodes[1..] {
            let (port, bus) = (node.address().port(), node.server.port() + BUS_OFFSET);
            self.nodes[0].server.command(&[
                "CLUSTER",
                "MEET",
                "127.0.0.1",
                &port.to_string(),
                &bus.to_string(),
            ])?;
        }
        wait::until(LIMIT, "the nodes to meet", || {
            let met = |node: &ClusterNode| node.map().is_ok_and(|map| map.ids.len() == NODES);
            self.nodes.iter().all(met).then_some(())
        })?;
        for (master, replica) in self.nodes[..MASTERS].iter().zip(&self.nodes[MASTERS..]) {
            replica.server.command(&["CLUSTER", "REPLICATE", &master.id])?;
        }
        self.wait_until_ok()?;
        wait::until(LIMIT, "the replicas to be in step", || {
            let in_step = |node: &ClusterNode| node.server.has_replica_in_step();
            let known =
                |node: &ClusterNode| node.map().is_ok_and(|map| map.replicas.len() == MASTERS);
            (self.nodes[..MASTERS].iter().all(in_step) && self.nodes.iter().all(known))
                .then_some(())
        })
    }

    fn is_ok(&self) -> Result<bool> {
        let mut agreed: Option<Map> = None;
        for node in self.running() {
            let state = node.server.command(&["CLUSTER", "INFO"])?.text();
            if !state.contains("cluster_state:ok") {
                return Ok(false);
            }
            let map = node.map()?;
            for owner in map.owners.keys() {
                if !self.by_id(owner)?.server.is_running() {
                    return Ok(false);
                }
            }
            if agreed.get_or_insert_with(|| map.clone()).owners != map.owners {
                return Ok(false);
            }
        }
        Ok(agreed.is_some_and(|map| map.covers_all_slots()))
    }

    fn running(&self) -> impl Iterator<Item = &ClusterNode> {
        self.nodes.iter().filter(|node| node.server.is_running())
    }

    fn any(&self) -> Result<&ClusterNode> {
        self.running().next().context("no node runs")
    }

    fn by_id(&self, id: &str) -> Result<&ClusterNode> {
        self.nodes.iter().find(|node| node.id == id).with_context(|| format!("no node {id}"))
    }
}

impl ClusterNode {
    fn is_master(&self) -> bool {
        self.server.info("role").is_ok_and(|role| role == "master")
    }

    fn migrate_keys(&self, slot: &str, to: &ClusterNode) -> Result<()> {
        let (count, limit) = (MIGRATE_KEYS_AT_ONCE.to_string(), MIGRATE_LIMIT_MS.to_string());
        let port = to.server.port().to_string();
        loop {
            let reply = self.server.command(&["CLUSTER", "GETKEYSINSLOT", slot, &count])?;
            if reply.items().is_empty() {
                return Ok(());
            }
            let words = ["MIGRATE", "127.0.0.1", &port, "", "0", &limit, "KEYS"];
            let keys = reply.items().iter().map(Reply::bytes);
            let migrate: Vec<_> = words.iter().map(|word| word.as_bytes()).chain(keys).collect();
            self.server.command(&migrate)?;
        }
    }
}
