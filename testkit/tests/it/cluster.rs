//! Cluster: the map, failovers, slots on the move, and proxies before every node.

use anyhow::{Context, Result};
use samovar_testkit::{RedisCluster, redis::Connection};

#[test]
fn a_killed_master_is_replaced_and_comes_back() -> Result<()> {
    let cluster = RedisCluster::start()?;
    assert_eq!(cluster.addresses().len(), 6);
    let slot = cluster.slot_of("{a}k")?;
    let master = cluster.master_of(slot)?;
    assert_eq!(cluster.replicas_of(master)?.len(), 1);
    master.server().command(&["SET", "{a}k", "v"])?;
    master.server().command(&["WAIT", "1", "5000"])?;
    cluster.kill(master.address())?;
    cluster.wait_until_ok()?;
    let next = cluster.master_of(slot)?;
    assert_ne!(next.address(), master.address());
    assert_eq!(next.server().command(&["GET", "{a}k"])?.text(), "v");
    cluster.restart(master.address())?;
    cluster.wait_until_ok()?;
    cluster.fail_over_to(master)?;
    assert_eq!(cluster.master_of(slot)?.address(), master.address());
    Ok(())
}

#[test]
fn a_slot_moves_with_its_keys() -> Result<()> {
    let cluster = RedisCluster::start()?;
    let slot = cluster.slot_of("k")?;
    let from = cluster.master_of(slot)?;
    from.server().command(&["SET", "k", "v"])?;
    let to = cluster.nodes()[..3]
        .iter()
        .find(|node| node.address() != from.address())
        .context("another master")?;
    cluster.move_slot(slot, to.address())?;
    assert_eq!(cluster.master_of(slot)?.address(), to.address());
    assert_eq!(to.server().command(&["GET", "k"])?.text(), "v");
    let moved = from.server().command(&["GET", "k"]).expect_err("it moved");
    assert!(format!("{moved:#}").contains("MOVED"), "{moved:#}");
    Ok(())
}

#[test]
fn behind_proxies_the_map_names_the_proxies_and_only_clients_are_counted() -> Result<()> {
    let cluster = RedisCluster::start_behind_proxies()?;
    let master = &cluster.nodes()[0];
    let slots = master.server().command(&["CLUSTER", "SLOTS"])?;
    for range in slots.items() {
        for node in &range.items()[2..] {
            let port = node.items()[1].integer().context("a port")?;
            assert!(cluster.addresses().iter().any(|one| i64::from(one.port()) == port));
        }
    }
    assert_eq!(cluster.round_trips(), 0, "replicas are not counted");
    let mut client = Connection::open(master.address())?;
    client.command(&["PING"])?;
    client.command(&["PING"])?;
    assert_eq!(cluster.round_trips(), 2);
    assert_eq!(cluster.waits().count(), 2);
    cluster.kill(master.address())?;
    assert!(Connection::open(master.address()).is_err(), "the proxy of a dead node refuses");
    cluster.wait_until_ok()?;
    cluster.restart(master.address())?;
    cluster.wait_until_ok()
}
