//! Real Redis: one server, one behind Sentinel, and a Cluster.

mod cluster;
mod cluster_map;
mod resp;
mod sentinel;
mod server;

pub use cluster::{ClusterBuilder, ClusterNode, RedisCluster};
pub use resp::{Connection, Reply};
pub use sentinel::RedisSentinel;
pub use server::{RedisBuilder, RedisServer, Snapshot};

use std::thread;

use anyhow::{Result, anyhow};

/// Runs `start` for each of `inputs` at the same time and returns the results in their order.
fn in_parallel<I: Send, T: Send>(
    inputs: Vec<I>,
    start: impl Fn(I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let start = &start;
    thread::scope(|scope| {
        let threads: Vec<_> =
            inputs.into_iter().map(|input| scope.spawn(move || start(input))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("starting a server panicked"))?)
            .collect()
    })
}
