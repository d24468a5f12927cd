//! Alerts that all processes see, while the store of jobs, where they are marked, is silent.

use std::{sync::Arc, time::Duration};

use samovar_cache::{Cache, Settings};
use samovar_clock::{Clock, ManualClock, Random};
use samovar_engine::{AlertKind, AlertSettings, Alerting, Ask, Engine, Firing, Observe, Webhook};
use samovar_jobs::{
    JobId, Kind, NewJob, QueueName, Store,
    store::{Durability, RedisStore},
};
use samovar_testkit::{Receiver, RedisServer, wait};
use serde_json::Value;

use crate::desk::{PATIENCE, check, clock_at};

const DEFINITIONS: &str = "[tenants]\nlist = [{ id = \"north\" }]\n[source.shop]\nurl = \"sqlite://shop.db\"\n\
                           [widget.one]\nsource = \"shop\"\nquery = \"select 1 as one where :tenant <> ''\"\n";

/// An engine whose cache and whose jobs are on two servers, and somebody who is told.
struct Apart {
    cache: RedisServer,
    jobs: RedisServer,
    store: Arc<Store>,
    engine: Engine,
    clock: Arc<ManualClock>,
    receiver: Receiver,
}

impl Apart {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
        let durable = || RedisServer::builder().config("appendonly yes").start();
        let (cache, jobs) = (RedisServer::start().expect("a Redis"), durable().expect("a Redis"));
        let url = jobs.url();
        let store = RedisStore::connect(&url, Durability::Local, Clock::System, Random::System);
        let store = Arc::new(Store::Redis(store.await.expect("it answers")));
        let clock = clock_at("2026-11-19T12:00:00Z");
        let of_test = Clock::Manual(clock.clone());
        let catalogue = check(DEFINITIONS, folder.path(), &of_test, Ask::All).await;
        let settings = Settings::default();
        let connected = Cache::builder().settings(settings.clone()).connect(&cache.url()).await;
        let engine = Engine::start(
            connected.expect("it answers"),
            &settings,
            catalogue.expect("nothing is wrong"),
            Observe::default(),
            Some(store.clone()),
        );
        let (engine, receiver) = (engine.expect("it starts"), Receiver::start(Vec::new()));
        Self { cache, jobs, store, engine, clock, receiver: receiver.expect("it listens") }
    }

    /// Only this alert, soon.
    fn look_for(&self, kind: AlertKind, threshold: f64) -> Alerting {
        let url = self.receiver.url().parse().expect("a URL");
        let secret = "a-long-secret".parse().expect("long enough");
        let webhooks = vec![Webhook { name: "ops".to_owned(), url, secret }];
        let mut settings = AlertSettings { webhooks, ..AlertSettings::default() };
        for rule in &mut settings.rules {
            rule.is_on = rule.kind == kind;
            (rule.threshold, rule.lasts) = (threshold, Duration::from_secs(4));
        }
        let started = self.engine.start_alerting(settings, "here".into(), None, Firing::default());
        started.expect("it starts")
    }

    /// What is told next, while time passes.
    async fn told(&self) -> String {
        let post = wait::until_async(PATIENCE, "somebody to tell", async || {
            self.clock.advance(Duration::from_secs(1));
            self.receiver.try_next()
        });
        let body: Value =
            serde_json::from_slice(&post.await.expect("it is told").body).expect("it is JSON");
        body["state"].as_str().expect("a text").to_owned()
    }

    /// While time passes.
    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let passed = wait::until_async(PATIENCE, what, async || {
            self.clock.advance(Duration::from_secs(1));
            is_so().await.then_some(())
        });
        passed.await.expect("it comes");
    }

    fn state(&self, kind: AlertKind) -> &'static str {
        let alerts = self.engine.alerts().alerts;
        alerts.iter().find(|it| it.name == kind.name()).map_or("nobody looks", |it| it.state)
    }

    /// Whether it is on record that some alert fires.
    async fn is_marked(&self) -> bool {
        let marks = self.store.marks(QueueName::new("high").expect("a name")).await;
        marks.expect("answers").iter().any(|it| it.mark_ms % 2 == 1)
    }

    fn silence(&self, is_silent: bool) {
        let done = if is_silent { self.jobs.stop_process() } else { self.jobs.continue_process() };
        done.expect("told");
    }

    /// Whether the cache's store is nearly full.
    fn fill(&self, is_full: bool) {
        let used: u64 = self.cache.info("used_memory").expect("tells").parse().expect("a number");
        let most = if is_full { used + used / 20 } else { 0 };
        let set = self.cache.command(&["CONFIG", "SET", "maxmemory", &most.to_string()]);
        set.expect("it is set");
    }
}

/// An alert that began or ended meanwhile was told without a mark; the end of it, or the next one, was
/// then taken for told.
#[tokio::test(flavor = "multi_thread")]
async fn each_turn_is_told_whenever_the_marks_cannot_be_moved() {
    let apart = Apart::open().await;
    let kind = AlertKind::StoreMemory;
    let _alerting = apart.look_for(kind, 80.0);
    apart.until("a look", async || apart.state(kind) == "fine").await;
    for (when_it_fires, when_it_ends) in
        [(true, false), (true, true), (false, true), (false, false)]
    {
        apart.silence(when_it_fires);
        apart.fill(true);
        assert_eq!(apart.told().await, "firing", "silent: {when_it_fires}");
        apart.silence(false);
        if !when_it_ends {
            apart.until("a mark", async || apart.is_marked().await).await;
        }
        apart.silence(when_it_ends);
        apart.fill(false);
        assert_eq!(apart.told().await, "resolved", "silent: {when_it_ends}");
        apart.silence(false);
    }
    apart.until("no mark", async || !apart.is_marked().await).await;
    assert!(apart.receiver.try_next().is_none(), "told twice");
}

/// It was taken for told by whoever looked next.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_last_look_has_found_is_told() {
    let apart = Apart::open().await;
    let kind = AlertKind::StoreMemory;
    let alerting = apart.look_for(kind, 80.0);
    apart.until("a look", async || apart.state(kind) == "fine").await;
    // Now telling waits for the mark.
    apart.silence(true);
    apart.fill(true);
    apart.until("a look", async || apart.state(kind) == "firing").await;
    alerting.stop().await;
    assert_eq!(apart.told().await, "firing");
    apart.silence(false);
}

/// Of what had been told before, nothing was known for good.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_is_known_as_soon_as_the_marks_can_be_read() {
    let apart = Apart::open().await;
    let (queue, kind) = (QueueName::new("nobodys"), Kind::new("waits"));
    let id = JobId::draw(&Random::System);
    let job = NewJob::new(id, queue.expect("a name"), kind.expect("a name"), b"{}".to_vec());
    apart.store.push(vec![job]).await.expect("pushed");
    let kind = AlertKind::QueueWait;
    let before = apart.look_for(kind, 1.0);
    assert_eq!(apart.told().await, "firing");
    apart.until("a mark", async || apart.is_marked().await).await;
    before.stop().await;
    apart.store.cancel(vec![id]).await.expect("cancelled");

    // Another process begins, which was told nothing.
    apart.silence(true);
    let _alerting = apart.look_for(kind, 1.0);
    apart.until("a look", async || apart.state(kind) == "fine").await;
    apart.silence(false);
    assert_eq!(apart.told().await, "resolved");
    apart.until("no mark", async || !apart.is_marked().await).await;
    assert!(apart.receiver.try_next().is_none(), "told twice");
}
