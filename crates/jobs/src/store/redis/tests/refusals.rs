//! A Redis that cannot keep jobs is refused, with the way out.

use samovar_testkit::{RedisServer, wait};

use super::*;
use crate::{
    limits,
    store::{Refusal, Store},
};

async fn refused(server: &RedisServer, durability: Durability) -> String {
    connect(&server.url(), durability).await.expect_err("refused").to_string()
}

#[tokio::test]
async fn a_redis_that_may_evict_jobs_is_refused_at_every_level() {
    let server = RedisServer::builder()
        .configs(&["appendonly yes".to_owned(), "maxmemory-policy allkeys-lru".to_owned()])
        .start()
        .expect("starts");
    for durability in [Durability::Replicated, Durability::Local, Durability::None] {
        let reason = refused(&server, durability).await;
        assert!(reason.contains("allkeys-lru") && reason.contains("noeviction"), "{reason}");
        assert!(reason.contains("[cache] url"), "{reason}");
    }
    server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).expect("sets");
    open(&server).await.push(vec![job("a")]).await.expect("pushed");
}

#[tokio::test]
async fn without_an_append_only_file_only_the_lowest_level_is_given() {
    let server = RedisServer::start().expect("starts");
    for durability in [Durability::Replicated, Durability::Local] {
        let reason = refused(&server, durability).await;
        assert!(reason.contains("set `appendonly yes`"), "{reason}");
    }
    let store = connect(&server.url(), Durability::None).await.expect("nothing is promised");
    store.push(vec![job("a")]).await.expect("pushed");
}

/// The one that answers after a reconnect may be set up in another way.
#[tokio::test]
async fn it_is_looked_at_again_after_each_reconnect() {
    let server = server();
    let store = open(&server).await;
    store.push(vec![job("a")]).await.expect("pushed");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"]).expect("sets");
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).expect("kills");
    let told = || async { store.push(vec![job("a")]).await.err() };
    let is_policy = |error: &StoreError| error.to_string().contains("allkeys-lfu");
    let refused = || async { told().await.filter(is_policy) };
    wait::until_async(LIMIT, "a refusal", refused).await.expect("refuses");
    let again = unavailable(store.push(vec![job("a")]).await);
    assert!(again.contains("allkeys-lfu"), "until it is right: {again}");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).expect("sets");
    store.push(vec![job("a")]).await.expect("pushed");
}

#[tokio::test]
async fn a_full_redis_says_so_and_loses_nothing() {
    let server = server();
    let store = open(&server).await;
    let kept = job("a");
    store.push(vec![kept.clone()]).await.expect("pushed");
    server.command(&["CONFIG", "SET", "maxmemory", "1mb"]).expect("sets");
    let large = NewJob { payload: vec![7; 1 << 20], ..job("a") };
    let reason = unavailable(store.push(vec![large]).await);
    assert!(reason.contains("OOM"), "{reason}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).expect("sets");
    assert_eq!(run_one(&store, "a").await.id, kept.id);
}

#[tokio::test]
async fn a_queue_of_a_newer_release_is_left_alone() {
    let server = server();
    let store = open(&server).await;
    store.push(vec![job("a")]).await.expect("pushed");
    server.command(&["HSET", "samovar:{q:a}:queue", "v", "2"]).expect("sets");
    for answer in [
        store.push(vec![job("a")]).await.map(drop),
        store.claim(ask("a", 1)).await.map(drop),
        store.figures().await.map(drop),
    ] {
        let error = answer.expect_err("refused");
        assert!(error.to_string().contains("newer release (format 2)"), "{error}");
    }
    store.push(vec![job("b")]).await.expect("other queues are not touched by it");
}

#[tokio::test]
async fn there_are_only_so_many_queues() {
    let server = server();
    let store = open(&server).await;
    let mut add = vec!["SADD".to_owned(), "samovar:{queues}".to_owned()];
    add.extend((1..limits::QUEUES).map(|number| format!("q{number}")));
    server.command(&add).expect("adds");
    store.push(vec![job("last")]).await.expect("fits");
    let refused = store.push(vec![job("more")]).await;
    let (queue, limit) = (queue("more"), limits::QUEUES);
    assert_eq!(refused, Err(Refusal::TooManyQueues { queue, limit }.into()));
}

#[tokio::test]
async fn a_password_is_in_no_error() {
    let server = RedisServer::builder()
        .configs(&["appendonly yes".to_owned(), "requirepass s3cr3t".to_owned()])
        .start()
        .expect("starts");
    let url = |password: &str| format!("redis://:{password}@{}", server.address());
    let wrong = connect(&url("hidd3n"), Durability::Local).await.expect_err("wrong").to_string();
    assert!(!wrong.contains("hidd3n"), "{wrong}");
    let store: Store = connect(&url("s3cr3t"), Durability::Local).await.expect("connects");
    server.kill();
    let lost = unavailable(store.push(vec![job("a")]).await);
    assert!(!lost.contains("s3cr3t") && !format!("{store:?}").contains("s3cr3t"), "{lost}");
}
