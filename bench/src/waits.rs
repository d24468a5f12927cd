//! How many network waits one shared hit costs, counted by proxies between us and Redis.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use samovar_cache::Cache;
use samovar_testkit::{Direction, Proxy, RedisCluster, RedisServer, proxy::Waits};
use tokio::runtime::Runtime;

use crate::{
    shared_hit::{Kind, Readings},
    table::{self, Table},
};

const READS: usize = 200;
/// On the way down, so that no answer overtakes a request of its own wait.
const DELAY: Duration = Duration::from_millis(3);

pub fn run() -> Result<()> {
    table::title(
        "Network waits per shared hit",
        &format!(
            "Reads with 4 tags that the local tier cannot answer, {READS} of each kind, counted at \
             proxies: requests that travel at the same time are one wait. Heartbeats pass the same \
             proxies: one that falls into a read counts as a second wait, one that is under way \
             when a read begins hides its wait."
        ),
    );
    let runtime = Runtime::new()?;
    let single = RedisServer::start()?;
    let proxy = Proxy::start(single.address())?;
    proxy.delay_lane(Direction::Down, DELAY);
    let cluster = RedisCluster::start_behind_proxies()?;
    for proxy in cluster.nodes().iter().filter_map(|node| node.proxy()) {
        proxy.delay_lane(Direction::Down, DELAY);
    }
    let addresses: Vec<String> = cluster.addresses().iter().map(ToString::to_string).collect();
    let cluster_url = format!("redis+cluster://{}", addresses.join(","));
    let table = Table::begin(&["Redis", "widget", "reads", "median", "reads by number of waits"]);
    for (name, url, waits) in
        [("single", &proxy.redis_url(), proxy.waits()), ("Cluster", &cluster_url, cluster.waits())]
    {
        for kind in [Kind::Plain, Kind::Strict] {
            table.row(&runtime.block_on(row(name, kind, url, waits))?);
        }
    }
    Ok(())
}

async fn row(name: &str, kind: Kind, url: &str, waits: &Waits) -> Result<Vec<String>> {
    let filler = Cache::builder().connect(url).await?;
    let readings = Readings::new(&filler, 4, 1024)?;
    for number in 0..READS {
        readings.read(&filler, kind, number).await?;
    }
    filler.close().await;
    let cache = Cache::builder().connect(url).await?;
    let readings = Readings::new(&cache, 4, 1024)?;
    readings.settle(&cache).await?;
    let mut by_waits: BTreeMap<u64, usize> = BTreeMap::new();
    for number in 0..READS {
        let before = waits.count();
        readings.hit(&cache, kind, number).await?;
        *by_waits.entry(waits.count() - before).or_default() += 1;
    }
    cache.close().await;
    let mut reads = by_waits.iter().flat_map(|(&waits, &reads)| vec![waits; reads]);
    let median = reads.nth(READS / 2).unwrap_or_default();
    let counted: Vec<String> =
        by_waits.iter().map(|(waits, reads)| format!("{waits}: {reads}")).collect();
    let kind = format!("{kind:?}").to_lowercase();
    Ok(vec![name.to_owned(), kind, READS.to_string(), median.to_string(), counted.join(", ")])
}
