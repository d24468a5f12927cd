//! Sentinel: failovers, ordered and forced by a crash.

use anyhow::Result;
use samovar_testkit::RedisSentinel;

#[test]
fn a_failover_goes_there_and_back() -> Result<()> {
    let sentinel = RedisSentinel::start()?;
    assert_eq!(sentinel.sentinel_addresses().len(), 3);
    let first = sentinel.master()?.address();
    sentinel.master()?.command(&["SET", "k", "v"])?;
    let second = sentinel.failover()?;
    assert_ne!(second.address(), first);
    assert_eq!(second.command(&["GET", "k"])?.text(), "v");
    assert_eq!(sentinel.failover()?.address(), first);
    Ok(())
}

#[test]
fn a_killed_master_is_replaced_and_comes_back_as_a_replica() -> Result<()> {
    let sentinel = RedisSentinel::start_with(&["appendonly yes"])?;
    let dead = sentinel.kill_master()?;
    let master = sentinel.wait_for_master_other_than(dead)?;
    master.command(&["SET", "k", "after"])?;
    sentinel.server(dead)?.restart()?;
    sentinel.wait_until_settled()?;
    assert_eq!(sentinel.replica()?.address(), dead);
    Ok(())
}
