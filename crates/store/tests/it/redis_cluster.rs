//! A Cluster: every key finds its master, and a slot that moves takes its trust with it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use samovar_store::redis::{
    Address, Link, Options, Pipeline, QueryError, Redis, Repeat, Script, Value, pipe, slot_of,
};
use samovar_testkit::{RedisCluster, redis::ClusterNode, wait};

use crate::redis::{
    Inbox, LIMIT, bulk, connect, connect_with, get, holds, options, set, trusted, until,
};

const SLOT: u16 = 42;

fn patient(cluster: &RedisCluster, nodes: impl Fn(usize) -> bool) -> Options {
    let all = cluster.addresses();
    let hosts = all.iter().enumerate().filter(|(index, _)| nodes(*index));
    let hosts: Vec<String> = hosts.map(|(_, address)| address.to_string()).collect();
    let mut options = options(&format!("redis+cluster://{}", hosts.join(",")));
    options.connect_timeout = Duration::from_secs(10);
    options
}

/// Keys of one slot.
fn keys_in(slot: u16, count: usize) -> Vec<String> {
    let tag = (0..)
        .map(|number: u32| number.to_string())
        .find(|tag| slot_of(tag.as_bytes()) == slot)
        .expect("every slot has a tag");
    (0..count).map(|number| format!("k{number}:{{{tag}}}")).collect()
}

fn is_at(link: &Link, address: SocketAddr) -> bool {
    *link.address() == Address::new("127.0.0.1", address.port())
}

async fn all_trusted(redis: &Redis, count: usize) -> Vec<Arc<Link>> {
    until(redis, "links to all masters", || {
        let links = redis.links();
        (links.len() == count && links.iter().all(|link| holds(link))).then_some(links)
    })
    .await
}

/// The two sides of a slot that is being moved, as an administrator would begin it.
struct Move<'a> {
    from: &'a ClusterNode,
    to: &'a ClusterNode,
}

impl<'a> Move<'a> {
    fn begin(cluster: &'a RedisCluster, slot: u16) -> Self {
        let from = cluster.master_of(slot).expect("an owner");
        let to = cluster.master_of(16383 - slot).expect("another owner");
        assert_ne!(from.id(), to.id());
        let slot = slot.to_string();
        let order = ["CLUSTER", "SETSLOT", &slot];
        let order = |node: &ClusterNode, state: &str, other: &ClusterNode| {
            let words = [order[0], order[1], order[2], state, other.id()];
            node.server().command(&words).expect("a slot is set");
        };
        order(to, "IMPORTING", from);
        order(from, "MIGRATING", to);
        Self { from, to }
    }

    fn migrate(&self, key: &str) {
        let port = self.to.server().port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        assert_eq!(self.from.server().command(&words).expect("migrated").text(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_finds_its_master() {
    let cluster = RedisCluster::start().expect("a cluster");
    // A replica alone knows the way to all of them.
    let inbox = Inbox::default();
    let redis = connect_with(patient(&cluster, |index| index == 5), inbox.on_message()).await;
    let links = all_trusted(&redis, 3).await;
    let incarnations: BTreeSet<u64> = links.iter().map(|link| link.incarnation()).collect();
    assert_eq!(incarnations.len(), 3);

    for number in 0..60 {
        let key = format!("key:{number}");
        let stored = redis.query(key.as_bytes(), &set(&key, "v"), Repeat::Safe).await;
        let (_, link) = stored.expect("stored");
        let owner = cluster.master_of(slot_of(key.as_bytes())).expect("an owner");
        assert!(is_at(&link, owner.address()), "{key}: {link:?}");
        assert_eq!(owner.server().command(&["GET", &key]).expect("it is there").text(), "v");
        assert_eq!(redis.link(key.as_bytes()).await.expect("a link").address(), link.address());
    }

    // Each master's subscription brings what was published at any of them.
    cluster.nodes()[1].server().command(&["PUBLISH", "samovar:bus", "x"]).expect("published");
    wait::until_async(LIMIT, "all copies", || async {
        (inbox.messages().len() == 3).then_some(())
    })
    .await
    .expect("they come");

    let two = [keys_in(0, 1), keys_in(16000, 1)].concat();
    let mut apart = pipe();
    apart.cmd("MGET").arg(&two);
    let error = redis.query(two[0].as_bytes(), &apart, Repeat::Safe).await.expect_err("refused");
    assert_eq!(error.code(), Some("CROSSSLOT"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_has_moved_ends_the_links_of_both_masters() {
    let cluster = RedisCluster::start().expect("a cluster");
    let redis = connect(patient(&cluster, |_| true)).await;
    let before = all_trusted(&redis, 3).await;
    let key = &keys_in(SLOT, 1)[0];
    redis.query(key.as_bytes(), &set(key, "v"), Repeat::Safe).await.expect("stored");

    let from = cluster.master_of(SLOT).expect("an owner").address();
    let to = cluster.master_of(16383 - SLOT).expect("an owner").address();
    cluster.move_slot(SLOT, to).expect("moved");
    let (values, _) = redis.query(key.as_bytes(), &get(key), Repeat::Safe).await.expect("answer");
    assert_eq!(values, [bulk("v")]);

    all_trusted(&redis, 3).await;
    for link in &before {
        let concerned = is_at(link, from) || is_at(link, to);
        until(&redis, "the end of the links concerned", || {
            (link.is_ended() == concerned).then_some(())
        })
        .await;
    }
    let owner = trusted(&redis, |link| is_at(link, to)).await;
    let (_, link) = redis.query(key.as_bytes(), &get(key), Repeat::Safe).await.expect("answer");
    assert!(Arc::ptr_eq(&link, &owner));
}

/// A redirect has to be followed even by one who has not looked around since, and whoever may not
/// repeat a command may still follow: a redirected command was not executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_is_followed_without_a_look_around() {
    let cluster = RedisCluster::start().expect("a cluster");
    let mut options = patient(&cluster, |_| true);
    options.topology_every = Duration::from_secs(3600);
    options.beat_every = Duration::from_secs(3600);
    let inbox = Inbox::default();
    let redis = connect_with(options, inbox.on_message()).await;
    let key = &keys_in(SLOT, 1)[0];
    let mut count = pipe();
    count.cmd("INCR").arg(key);
    let mut told = count.clone();
    told.cmd("PUBLISH").arg(redis.bus_channel()).arg("counted");
    let (_, before) =
        redis.query(key.as_bytes(), &count, Repeat::OnlyIfUnsent).await.expect("counted");

    let to = cluster.master_of(16383 - SLOT).expect("an owner").address();
    cluster.move_slot(SLOT, to).expect("moved");
    let (values, after) =
        redis.query(key.as_bytes(), &told, Repeat::OnlyIfUnsent).await.expect("counted");
    assert_eq!(values[0], Value::Int(2), "once");
    assert!(is_at(&after, to), "{after:?}");
    assert!(before.is_ended(), "it has lost a slot");
    // One message went ahead of the redirected command, so another one follows it: two masters
    // are still listened to all the time.
    wait::until_async(LIMIT, "the second message", || async {
        (inbox.messages().len() >= 4).then_some(())
    })
    .await
    .expect("it comes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ask_is_followed_and_nothing_is_trusted_while_a_slot_moves() {
    let cluster = RedisCluster::start().expect("a cluster");
    let redis = connect(patient(&cluster, |_| true)).await;
    all_trusted(&redis, 3).await;
    let keys = keys_in(SLOT, 3);
    let [here, gone, new] = [&keys[0], &keys[1], &keys[2]];
    for key in [here, gone] {
        redis.query(key.as_bytes(), &set(key, key), Repeat::Safe).await.expect("stored");
    }
    let moving = Move::begin(&cluster, SLOT);
    moving.migrate(gone);
    let (from, to) = (moving.from.address(), moving.to.address());

    // Commands that were asked elsewhere run there, scripts too, and only there.
    let count = Script::new("count", "return redis.call('INCR', KEYS[1])");
    for expected in [1, 2] {
        let (value, link) =
            redis.run(&count.call(&[new]), Repeat::OnlyIfUnsent).await.expect("it runs");
        assert_eq!(value, Value::Int(expected));
        assert!(is_at(&link, to), "{link:?}");
    }
    let (values, link) = redis.query(gone.as_bytes(), &get(gone), Repeat::Safe).await.expect("ok");
    assert_eq!(values, [bulk(gone)]);
    assert!(is_at(&link, to));
    let (values, link) = redis.query(here.as_bytes(), &get(here), Repeat::Safe).await.expect("ok");
    assert_eq!(values, [bulk(here)]);
    assert!(is_at(&link, from));

    // Answers of two masters have no incarnation that anything else has.
    let mut both = pipe();
    both.cmd("GET").arg(here).cmd("GET").arg(gone);
    let (values, link) = redis.query(here.as_bytes(), &both, Repeat::Safe).await.expect("answers");
    assert_eq!(values, [bulk(here), bulk(gone)]);
    assert!(link.is_ended());
    assert!(redis.links().iter().all(|other| other.incarnation() != link.incarnation()));

    // Half here and half there cannot be answered at all; that is said after a few tries.
    let mut together = pipe();
    together.cmd("MGET").arg(here).arg(gone);
    let error =
        redis.query(here.as_bytes(), &together, Repeat::Safe).await.expect_err("turned away");
    assert!(matches!(&error, QueryError::TurnedAway { attempts: 4, .. }), "{error}");
    assert_eq!(error.code(), Some("TRYAGAIN"));

    // Both masters are linked to and heard, and neither is trusted.
    until(&redis, "heartbeats of the masters concerned", || {
        let links = redis.links();
        let concerned = links.iter().filter(|link| is_at(link, from) || is_at(link, to));
        let beating = concerned.filter(|link| !holds(link)).count();
        (links.len() == 3 && beating == 2).then_some(())
    })
    .await;
    let mut other = redis.links();
    other.retain(|link| !is_at(link, from) && !is_at(link, to));
    // For a moment nobody is trusted where heartbeats have to wait for a processor.
    until(&redis, "trust in the third, which has nothing to do with it", || {
        holds(&other[0]).then_some(())
    })
    .await;

    moving.migrate(here);
    cluster.move_slot(SLOT, to).expect("moved");
    all_trusted(&redis, 3).await;
    let (values, link) =
        redis.query(here.as_bytes(), &together, Repeat::Safe).await.expect("answers");
    assert_eq!(values, [Value::Array(vec![bulk(here), bulk(gone)])]);
    assert!(is_at(&link, to) && !link.is_ended());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_by_order_and_by_death() {
    let cluster = RedisCluster::start().expect("a cluster");
    let redis = connect(patient(&cluster, |_| true)).await;
    let key = &keys_in(SLOT, 1)[0];
    let at = |address: SocketAddr| move |link: &Link| is_at(link, address);
    let first = cluster.master_of(SLOT).expect("an owner");
    let first_link = trusted(&redis, at(first.address())).await;
    let third = cluster.master_of(16383 - SLOT).expect("an owner");
    let third_link = trusted(&redis, at(third.address())).await;
    redis.query(key.as_bytes(), &set(key, "v"), Repeat::Safe).await.expect("stored");

    let second = cluster.replicas_of(first).expect("replicas")[0];
    cluster.fail_over_to(second).expect("a failover");
    let second_link = trusted(&redis, at(second.address())).await;
    assert!(first_link.is_ended());
    assert_ne!(first_link.incarnation(), second_link.incarnation());
    assert!(!third_link.is_ended(), "the others have nothing to do with it");
    let (values, _) = redis.query(key.as_bytes(), &get(key), Repeat::Safe).await.expect("answer");
    assert_eq!(values, [bulk("v")]);

    cluster.kill(second.address()).expect("killed");
    until(&redis, "the end of the link", || second_link.is_ended().then_some(())).await;
    assert!(!holds(&second_link));
    let again = trusted(&redis, at(first.address())).await;
    assert_ne!(again.incarnation(), first_link.incarnation(), "the same server, another history");
    let (_, link) = answered(&redis, key, &get(key)).await;
    assert!(is_at(&link, first.address()));

    // Until a replica took over, the others refused writes too; now they are heard again.
    trusted(&redis, at(third.address())).await;
}

/// Asks until the table of masters has settled after a failover.
async fn answered(redis: &Redis, key: &str, pipeline: &Pipeline) -> (Vec<Value>, Arc<Link>) {
    wait::until_async(LIMIT, "an answer", || async {
        redis.query(key.as_bytes(), pipeline, Repeat::Safe).await.ok()
    })
    .await
    .expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_of_a_cluster_is_not_taken_for_a_single_server() {
    let cluster = RedisCluster::start().expect("a cluster");
    let redis = crate::redis::start(options(&format!("redis://{}", cluster.addresses()[0])));
    let error = until(&redis, "a reason", || {
        let mut link = Box::pin(redis.link(b"k"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match link.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Err(error)) => Some(error.to_string()),
            _ => None,
        }
    })
    .await;
    assert!(error.contains("redis+cluster://"), "{error}");
}
