//! One server: what a link promises, and what ends it.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{Lost, QueryError, Redis, Repeat, Script, Unavailable, Value, pipe};
use samovar_testkit::{Direction, Proxy, RedisServer, wait};

use crate::redis::{
    Gate, Inbox, LIMIT, OpenOnDrop, bulk, connect, connect_with, get, holds, options, set, start,
    trusted, until,
};

#[tokio::test]
async fn a_pipeline_is_one_wait_whatever_bytes_it_carries() {
    let server = RedisServer::start().expect("a server");
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let mut options = options(&proxy.redis_url());
    options.beat_every = Duration::from_secs(3600);
    let redis = connect(options).await;
    trusted(&redis, |_| true).await;
    proxy.reset_counts();

    let (key, value) = (b"k\r\n\x00\xff".as_slice(), vec![0xA5; 150_000]);
    let mut pipeline = pipe();
    pipeline.cmd("SET").arg(key).arg(&value);
    pipeline.cmd("GET").arg(key);
    pipeline.cmd("GET").arg("nothing");
    let (values, link) = redis.query(key, &pipeline, Repeat::Safe).await.expect("answers");
    assert_eq!(values, [Value::Okay, bulk(&value), Value::Nil]);
    assert!(!link.is_ended());
    assert_eq!(proxy.round_trips(), 1);
}

#[tokio::test]
async fn an_error_of_one_command_is_the_answer_of_the_pipeline() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let mut pipeline = pipe();
    pipeline.cmd("SET").arg("k").arg("v");
    pipeline.cmd("LPUSH").arg("k").arg("v");
    let error = redis.query(b"k", &pipeline, Repeat::Safe).await.expect_err("refused");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    assert!(matches!(error, QueryError::Refused { index: 1, .. }), "{error}");
    let link = redis.link(b"k").await.expect("a link");
    let error = link.query(&pipeline).await.expect_err("refused");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    assert!(!link.is_ended());
    assert_eq!(link.query(&get("k")).await.expect("an answer"), [bulk("v")]);
}

#[tokio::test]
async fn trust_begins_with_the_first_heartbeat_that_came_back() {
    let server = RedisServer::start().expect("a server");
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let redis = connect(options(&proxy.redis_url())).await;
    let link = trusted(&redis, |_| true).await;
    assert!(link.incarnation() != 0);
    let status = redis.status().await;
    let master = &status.masters[0];
    assert!(master.connected && master.trusted && master.beat_round_trip.is_some());
    assert_eq!(master.incarnation, Some(link.incarnation()));

    // A link whose beats cannot come back is used, but not trusted.
    proxy.reset_connections();
    proxy.delay_lane(Direction::Down, Duration::from_millis(300));
    let slow = until(&redis, "another link", || {
        redis.links().into_iter().find(|other| !Arc::ptr_eq(other, &link))
    })
    .await;
    assert!(!holds(&slow) && !slow.is_ended());
    assert!(link.is_ended() && !holds(&link));
}

#[tokio::test]
async fn a_restart_is_another_incarnation() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let first = trusted(&redis, |_| true).await;
    server.restart().expect("a restart");
    let second = trusted(&redis, |link| link.incarnation() != first.incarnation()).await;
    assert!(first.is_ended() && !holds(&first));
    assert!(first.query(&get("k")).await.is_err_and(|error| error.was_not_executed()));
    let (_, link) = redis.query(b"k", &get("k"), Repeat::Safe).await.expect("an answer");
    assert!(Arc::ptr_eq(&link, &second));
    assert_eq!(redis.status().await.masters[0].reconnects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loads_its_data_is_not_linked_to() {
    let server = RedisServer::builder()
        .config("key-load-delay 1000")
        .config("loading-process-events-interval-bytes 1024")
        .start()
        .expect("a server");
    let redis = connect(options(&server.url())).await;
    let first = trusted(&redis, |_| true).await;
    server.command(&["DEBUG", "POPULATE", "2000"]).expect("keys");
    server.command(&["SAVE"]).expect("saved");
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| server.restart());
        let seen = wait::until(LIMIT, "a server that is loading", || {
            let status = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(redis.status())
            });
            let error = status.masters[0].last_error.clone()?;
            (error.contains("loading") && !status.masters[0].connected).then_some(())
        });
        seen.expect("it is seen to load");
        restart.join().expect("no panic").expect("a restart");
    });
    trusted(&redis, |link| link.incarnation() != first.incarnation()).await;
    let mut size = pipe();
    size.cmd("DBSIZE");
    let (values, _) = redis.query(b"k", &size, Repeat::Safe).await.expect("an answer");
    assert_eq!(values, [Value::Int(2000)]);
}

/// A replica that is promoted, or a master that is told to begin a new history, keeps its
/// connections: nothing but the heartbeat notices.
#[tokio::test]
async fn a_new_replication_id_on_an_open_connection_ends_the_link() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let first = trusted(&redis, |_| true).await;
    server.command(&["DEBUG", "CHANGE-REPL-ID"]).expect("a new id");
    trusted(&redis, |link| link.incarnation() != first.incarnation()).await;
    assert!(first.is_ended());
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_left() {
    let (server, other) = (RedisServer::start().expect("a"), RedisServer::start().expect("b"));
    let redis = connect(options(&server.url())).await;
    let first = trusted(&redis, |_| true).await;
    server
        .command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()])
        .expect("it becomes a replica");
    // Whoever comes first: a write that is refused, or the heartbeat.
    let error = redis.query(b"k", &set("k", "v"), Repeat::OnlyIfUnsent).await.expect_err("no");
    assert!(error.was_not_executed(), "{error}");
    until(&redis, "the end of the link", || first.is_ended().then_some(())).await;
    until(&redis, "no link", || redis.links().is_empty().then_some(())).await;
    server.command(&["REPLICAOF", "NO", "ONE"]).expect("it becomes a master");
    trusted(&redis, |link| link.incarnation() != first.incarnation()).await;
}

#[tokio::test]
async fn trust_lapses_in_a_black_hole_and_needs_a_new_heartbeat() {
    let server = RedisServer::start().expect("a server");
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let redis = connect(options(&proxy.redis_url())).await;
    let link = trusted(&redis, |_| true).await;

    let clock = Clock::System;
    // Commands still reach the server; nothing comes back.
    proxy.black_hole_lane(Direction::Down);
    let silent_since = clock.now();
    wait::until_async(LIMIT, "trust to lapse", || async { (!holds(&link)).then_some(()) })
        .await
        .expect("it lapses");
    // The last beat that came back was sent before the silence.
    assert!(clock.now().since(silent_since) <= Duration::from_millis(1200));
    until(&redis, "the end of the link", || link.is_ended().then_some(())).await;
    assert!(!holds(&link));

    proxy.heal().expect("healed");
    let next = trusted(&redis, |_| true).await;
    assert!(!Arc::ptr_eq(&link, &next));
    assert_eq!(link.incarnation(), next.incarnation(), "the same master all the time");
    assert!(!holds(&link), "what came late revives nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_counts_only_after_the_messages_before_it() {
    let server = RedisServer::start().expect("a server");
    let (gate, inbox) = (Gate::closed(), Inbox::default());
    let on_message = {
        let (gate, deliver) = (gate.clone(), inbox.on_message());
        Arc::new(move |payload: &[u8]| {
            gate.pass();
            deliver(payload);
        })
    };
    let _opened = OpenOnDrop(gate.clone());
    let mut options = options(&server.url());
    options.beats_missed_max = u32::MAX;
    let redis = connect_with(options, on_message).await;
    let link = trusted(&redis, |_| true).await;

    let mut publish = pipe();
    publish.cmd("SET").arg("k").arg("v");
    publish.cmd("PUBLISH").arg(redis.bus_channel()).arg(b"\x00changed\xff");
    redis.query(b"k", &publish, Repeat::OnlyIfUnsent).await.expect("published");
    // The message is held up, so no later beat may count, although the commands are answered.
    until(&redis, "a beat that was missed", || (!holds(&link)).then_some(())).await;
    assert_eq!(link.query(&get("k")).await.expect("an answer"), [bulk("v")]);
    assert_eq!(inbox.messages().len(), 0);

    gate.open();
    until(&redis, "trust", || holds(&link).then_some(())).await;
    assert_eq!(inbox.messages(), [b"\x00changed\xff"]);
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_link() {
    let server = RedisServer::start().expect("a server");
    let inbox = Inbox::default();
    let mut options = options(&server.url());
    options.message_bytes_max = 10;
    let redis = connect_with(options, inbox.on_message()).await;
    let link = trusted(&redis, |_| true).await;
    server.command(&["PUBLISH", "samovar:bus", "0123456789"]).expect("published");
    server.command(&["PUBLISH", "samovar:bus", "0123456789+"]).expect("published");
    trusted(&redis, |other| !std::ptr::eq(other, &*link)).await;
    assert_eq!(inbox.messages(), [b"0123456789"]);
}

#[tokio::test]
async fn whoever_ends_the_trust_ends_the_link() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let link = trusted(&redis, |_| true).await;
    link.trust().end();
    trusted(&redis, |other| !std::ptr::eq(other, &*link)).await;
}

#[tokio::test]
async fn a_master_without_enough_replicas_loses_trust() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let link = trusted(&redis, |_| true).await;
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).expect("set");
    until(&redis, "the end of the link", || link.is_ended().then_some(())).await;
    let status = redis.status().await;
    let error = status.masters[0].last_error.as_deref().unwrap_or_default();
    assert!(error.contains("NOREPLICAS"), "{error}");
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).expect("set");
    trusted(&redis, |_| true).await;
}

#[tokio::test]
async fn a_full_server_is_trusted() {
    let server = RedisServer::builder().config("maxmemory 1").start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let link = trusted(&redis, |_| true).await;
    let error = redis.query(b"k", &set("k", "v"), Repeat::Safe).await.expect_err("refused");
    assert_eq!(error.code(), Some("OOM"));
    assert!(!link.is_ended());
    assert_eq!(server.command(&["DBSIZE"]).expect("a size").integer(), Some(0));
}

#[tokio::test]
async fn it_starts_without_a_server_and_connects_when_there_is_one() {
    let server = RedisServer::start().expect("a server");
    server.kill();
    let mut options = options(&server.url());
    options.connect_timeout = Duration::from_millis(300);
    let redis = start(options.clone());
    until(&redis, "a failed attempt", || {
        // Nothing to wait for: fails at once.
        let mut link = Box::pin(redis.link(b"k"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match link.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Err(Unavailable::Down { reason, .. })) => Some(reason),
            _ => None,
        }
    })
    .await;
    let error = redis.query(b"k", &get("k"), Repeat::Safe).await.expect_err("down");
    assert!(error.was_not_executed(), "{error}");
    assert!(!redis.status().await.masters[0].connected);

    let on_message = Arc::new(|_: &[u8]| {});
    let (clock, spawner) = (Clock::System, Spawner::current());
    let failed = Redis::connect(options, clock, Random::System, spawner, on_message).await;
    let error = failed.expect_err("down").to_string();
    assert!(error.contains("connection refused") && error.contains("300 ms"), "{error}");

    server.restart().expect("a start");
    trusted(&redis, |_| true).await;
    redis.query(b"k", &get("k"), Repeat::Safe).await.expect("an answer");
}

#[tokio::test]
async fn a_script_is_loaded_when_the_server_does_not_know_it() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let count = Script::new("count", "return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let read = Script::new("read", "return {KEYS[1], redis.call('GET', KEYS[1]), ARGV[1]}");
    let call = count.call(&["n"]).arg(2);
    for expected in [2, 4] {
        let (value, _) = redis.run(&call, Repeat::OnlyIfUnsent).await.expect("it runs");
        assert_eq!(value, Value::Int(expected));
    }
    server.command(&["SCRIPT", "FLUSH"]).expect("flushed");
    let calls = [call.clone(), read.call(&["n"]).arg(b"\xff\x00"), call];
    let (values, link) = redis.run_all(&calls, Repeat::OnlyIfUnsent).await.expect("they run");
    let read = Value::Array(vec![bulk("n"), bulk("6"), bulk(b"\xff\x00")]);
    assert_eq!(values, [Value::Int(6), read, Value::Int(8)], "each once, in order");
    assert!(!link.is_ended());
}

#[tokio::test]
async fn only_what_is_safe_is_sent_again_when_the_answer_is_lost() {
    let server = RedisServer::start().expect("a server");
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let mut options = options(&proxy.redis_url());
    options.response_timeout = Duration::from_millis(200);
    let redis = connect(options).await;
    trusted(&redis, |_| true).await;

    let mut count = pipe();
    count.cmd("INCR").arg("n");
    proxy.black_hole_lane(Direction::Down);
    let error = redis.query(b"n", &count, Repeat::OnlyIfUnsent).await.expect_err("no answer");
    assert!(matches!(&error, QueryError::Unanswered { reason: Lost::TimedOut(_), .. }), "{error}");
    assert!(!error.was_not_executed());
    assert_eq!(server.command(&["GET", "n"]).expect("a number").text(), "1");

    let (asked, ()) =
        tokio::join!(async { redis.query(b"n", &get("n"), Repeat::Safe).await }, async {
            // While the question is on its way the connections break, and then all is well.
            wait::until_async(LIMIT, "a question", || async {
                let asked = server.info("cmdstat_get").is_ok_and(|stat| stat.contains("calls=2"));
                asked.then_some(())
            })
            .await
            .expect("asked");
            proxy.reset_connections();
            proxy.heal().expect("healed");
        });
    assert_eq!(asked.expect("an answer").0, [bulk("1")]);
}

#[tokio::test]
async fn a_full_link_is_said_to_be_full() {
    let server = RedisServer::start().expect("a server");
    let proxy = Proxy::start(server.address()).expect("a proxy");
    let mut options = options(&proxy.redis_url());
    options.in_flight_max = 1;
    options.response_timeout = Duration::from_millis(300);
    let redis = connect(options).await;
    proxy.black_hole();
    let read = get("k");
    let query = || redis.query(b"k", &read, Repeat::OnlyIfUnsent);
    let (first, second) = tokio::join!(query(), query());
    assert!(matches!(first, Err(QueryError::Unanswered { .. })), "{first:?}");
    let full = Unavailable::Full { address: redis_address(&proxy), limit: 1 };
    assert_eq!(second.expect_err("full").to_string(), full.to_string());
}

fn redis_address(proxy: &Proxy) -> samovar_store::redis::Address {
    samovar_store::redis::Address::new("127.0.0.1", proxy.port())
}

#[tokio::test]
async fn a_password_opens_and_is_never_printed() {
    let server = RedisServer::builder().config("requirepass s3cr3t").start().expect("a server");
    let url = |password: &str| format!("redis://:{password}@{}/3", server.address());
    let redis = connect(options(&url("s3cr3t"))).await;
    trusted(&redis, |_| true).await;
    redis.query(b"k", &set("k", "v"), Repeat::Safe).await.expect("stored");
    let status = redis.status().await;
    let databases = server_text(&server, "s3cr3t", &["INFO", "keyspace"]);
    assert!(databases.contains("db3:keys=1"), "{databases}");

    let mut options = options(&url("wr0ng"));
    options.connect_timeout = Duration::from_millis(300);
    let on_message = Arc::new(|_: &[u8]| {});
    let (clock, spawner) = (Clock::System, Spawner::current());
    let printed = format!("{redis:?} {status:?} {:?} {:?}", redis.options(), redis.links());
    let error = Redis::connect(options.clone(), clock, Random::System, spawner, on_message)
        .await
        .expect_err("refused");
    let printed = format!("{printed} {options:?} {error} {error:?}");
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
    assert!(!printed.contains("s3cr3t") && !printed.contains("wr0ng"), "{printed}");
}

fn server_text(server: &RedisServer, password: &str, command: &[&str]) -> String {
    let mut connection = server.connect().expect("a connection");
    connection.command(&["AUTH", password]).expect("signed in");
    connection.command(command).expect("an answer").text()
}

#[tokio::test]
async fn shutting_down_closes_every_connection() {
    let server = RedisServer::start().expect("a server");
    let redis = connect(options(&server.url())).await;
    let link = trusted(&redis, |_| true).await;
    redis.shutdown().await;
    assert!(link.is_ended() && redis.links().is_empty());
    let error = redis.link(b"k").await.expect_err("shut down");
    assert!(matches!(error, Unavailable::ShutDown));
    only_one_client_is_left(&server).await;

    // The last handle does it too.
    let redis = connect(options(&server.url())).await;
    let link = trusted(&redis, |_| true).await;
    drop(redis.clone());
    assert!(!link.is_ended());
    drop(redis);
    only_one_client_is_left(&server).await;
    assert!(link.is_ended());
}

async fn only_one_client_is_left(server: &RedisServer) {
    // The one that asks.
    let alone = || async { (server.info("connected_clients").ok()? == "1").then_some(()) };
    wait::until_async(LIMIT, "no client", alone).await.expect("closed");
}

#[tokio::test]
async fn status_tells_what_the_server_tells() {
    let server = RedisServer::builder()
        .config("maxmemory 100mb")
        .config("maxmemory-policy allkeys-lru")
        .start()
        .expect("a server");
    let redis = connect(options(&server.url())).await;
    server.command(&["SET", "a", "1", "PX", "100000"]).expect("set");
    server.command(&["SET", "b", "1"]).expect("set");
    let status = redis.status().await;
    let told = status.masters[0].server.as_ref().expect("it answers");
    assert_eq!((told.keys, told.keys_with_ttl), (2, 1));
    assert_eq!(told.maxmemory_bytes, 100 << 20);
    assert!(told.may_evict_durable_keys() && told.used_memory_bytes > 0);
    assert_eq!((told.min_replicas_to_write, told.replicas), (Some(0), 0));
    assert!(!told.append_only_file && told.version.starts_with(|c: char| c.is_ascii_digit()));
}

#[tokio::test]
async fn a_master_names_the_processes_that_listen() {
    let server = RedisServer::start().expect("a server");
    let named = |node: u64| {
        let mut options = options(&server.url());
        options.prefix = "a*[b]\\".to_owned();
        options.node = node;
        options
    };
    let (one, two) = (connect(named(1)).await, connect(named(u64::MAX)).await);
    let mut other = options(&server.url());
    other.node = 3;
    let other = connect(other).await;
    let link = trusted(&one, |_| true).await;
    let mut nodes = one.nodes_at(&link).await.expect("names");
    nodes.sort_unstable();
    assert_eq!(nodes, [1, u64::MAX]);
    two.shutdown().await;
    wait::until_async(LIMIT, "one to be left", || async {
        (one.nodes_at(&link).await.ok()? == [1]).then_some(())
    })
    .await
    .expect("it is gone");
    assert_eq!(other.nodes_at(&other.links()[0]).await.expect("names"), [3]);
}
