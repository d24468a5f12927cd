//! Behind Sentinel: the right master, before and after a failover.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{Options, Redis, Repeat};
use samovar_testkit::{RedisSentinel, wait};

use crate::redis::{Inbox, LIMIT, bulk, connect, connect_with, get, options, set, trusted, until};

fn url(sentinel: &RedisSentinel) -> String {
    let hosts: Vec<String> =
        sentinel.sentinel_addresses().iter().map(ToString::to_string).collect();
    format!("redis+sentinel://{}/{}", hosts.join(","), sentinel.service_name())
}

fn patient(url: &str) -> Options {
    let mut options = options(url);
    options.connect_timeout = Duration::from_secs(10);
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_to_another_incarnation() {
    let sentinel = RedisSentinel::start().expect("a master, a replica, sentinels");
    let inbox = Inbox::default();
    let redis = connect_with(patient(&url(&sentinel)), inbox.on_message()).await;
    let first = trusted(&redis, |_| true).await;
    assert_eq!(first.address().port, sentinel.master().expect("a master").port());
    redis.query(b"k", &set("k", "v"), Repeat::Safe).await.expect("stored");

    let master = sentinel.failover().expect("a failover");
    let second = trusted(&redis, |link| link.address().port == master.port()).await;
    assert_ne!(first.incarnation(), second.incarnation());
    assert!(first.is_ended());
    let (values, link) = redis.query(b"k", &get("k"), Repeat::Safe).await.expect("an answer");
    assert_eq!(values, [bulk("v")]);
    assert!(Arc::ptr_eq(&link, &second));
    assert_eq!(redis.links().len(), 1, "the old master is let go");

    master.command(&["PUBLISH", redis.bus_channel(), "changed"]).expect("published");
    wait::until_async(LIMIT, "the message", || async {
        (inbox.messages() == [b"changed"]).then_some(())
    })
    .await
    .expect("it comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_is_replaced_by_its_replica() {
    let sentinel = RedisSentinel::start().expect("a master, a replica, sentinels");
    // One sentinel that does not answer must not keep the others from being believed.
    sentinel.sentinels()[2].stop_process().expect("stopped");
    let redis = connect(patient(&url(&sentinel))).await;
    sentinel.sentinels()[2].continue_process().expect("continued");
    let first = trusted(&redis, |_| true).await;

    let old = sentinel.kill_master().expect("killed");
    until(&redis, "the end of the link", || first.is_ended().then_some(())).await;
    // Nothing is sent to nobody, and nobody waits long to hear that.
    until(&redis, "a failed attempt", || redis.links().is_empty().then_some(())).await;
    let error = redis.query(b"k", &get("k"), Repeat::OnlyIfUnsent).await;
    assert!(error.is_err_and(|error| error.was_not_executed()));

    let second = trusted(&redis, |link| link.address().port != old.port()).await;
    assert_ne!(first.incarnation(), second.incarnation());
    redis.query(b"k", &set("k", "v"), Repeat::Safe).await.expect("the new master takes writes");

    // What comes back is a replica, and stays unused.
    sentinel.server(old).expect("known").restart().expect("a restart");
    sentinel.wait_until_settled().expect("settled");
    let (_, link) = redis.query(b"k", &get("k"), Repeat::Safe).await.expect("an answer");
    assert!(Arc::ptr_eq(&link, &second), "{link:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_no_sentinel_knows_is_named() {
    let sentinel = RedisSentinel::start().expect("a master, a replica, sentinels");
    let mut options = options(&url(&sentinel).replace(sentinel.service_name(), "tea"));
    options.connect_timeout = Duration::from_millis(500);
    let on_message = Arc::new(|_: &[u8]| {});
    let (clock, spawner) = (Clock::System, Spawner::current());
    let error = Redis::connect(options, clock, Random::System, spawner, on_message)
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("`tea`"), "{error}");
}
