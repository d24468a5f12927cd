//! A store that goes away and comes back while jobs run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobDetails, JobId, State, Store, WorkerName,
    run::{Context, Job, Registry, Settings, Stop, Worker, new_job},
    store::{Durability, RedisStore},
};
use samovar_memory::{Budget, MB, Rss};
use samovar_testkit::{RedisServer, wait};
use serde::{Deserialize, Serialize};

use crate::bench::{LIMIT, served};

/// Longer than a queue has to be left alone for it to know that its Redis was away.
const LEASE: Duration = Duration::from_secs(15);
/// How long it was away, by its own time.
const AWAY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct World {
    ticks: AtomicU64,
    began: AtomicU64,
    ended: AtomicU64,
    enough: AtomicBool,
}

#[derive(Serialize, Deserialize)]
struct Tick;

impl Job for Tick {
    const KIND: &'static str = "away.tick";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let world = cx.service::<World>()?;
        world.began.fetch_add(1, Ordering::SeqCst);
        while !world.enough.load(Ordering::SeqCst) {
            world.ticks.fetch_add(1, Ordering::SeqCst);
            cx.clock().sleep(Duration::from_millis(10)).await;
        }
        world.ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn open(server: &RedisServer) -> Arc<Store> {
    let (clock, random) = (Clock::System, Random::System);
    let store = RedisStore::connect(&server.url(), Durability::Local, clock, random).await;
    Arc::new(Store::Redis(store.expect("it is there")))
}

fn work(name: &str, store: &Arc<Store>, world: &Arc<World>) -> Worker {
    let name = WorkerName::new(name).expect("a name");
    let mut settings = Settings::new(name, vec![served("default")]);
    settings.poll = Duration::from_millis(10);
    settings.lease = LEASE;
    let registry = Registry::default().service_arc(world.clone());
    let registry = registry.with::<Tick>().expect("one of its name");
    let budget = Budget::with_rss(2048 * MB, Clock::System, Rss::Told(Arc::default()));
    Worker::start(settings, store.clone(), registry, budget, Clock::System, Random::System)
        .expect("starts")
}

async fn push(store: &Store) -> JobId {
    let job = new_job(&Tick, &Random::System).expect("a job");
    let id = job.id;
    store.push(vec![job]).await.expect("pushed");
    id
}

/// Moves the time of the queue.
fn pass(server: &RedisServer, duration: Duration, clocks: &[&str]) {
    let by_ms = duration.as_millis().to_string();
    let mut connection = server.connect().expect("connects");
    for clock in clocks {
        let moved = connection.command(&["HINCRBY", "samovar:{q:default}:queue", clock, &by_ms]);
        moved.expect("moved");
    }
}

async fn until(store: &Store, id: JobId, state: State) -> JobDetails {
    let there = || async {
        let shown = store.show(id).await.ok().flatten();
        shown.filter(|it| it.job.state == state)
    };
    wait::until_async(LIMIT, state.name(), there).await.expect("it gets there")
}

async fn until_counted(count: &AtomicU64, least: u64) {
    let counted = || async { (count.load(Ordering::SeqCst) >= least).then_some(()) };
    wait::until_async(LIMIT, "the jobs", counted).await.expect("they go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_while_their_store_is_away_and_nobody_else_gets_them_when_it_is_back() {
    let server = RedisServer::builder().config("appendonly yes").config("appendfsync always");
    let server = server.start().expect("it starts");
    let (store, world) = (open(&server).await, Arc::new(World::default()));
    let worker = work("first", &store, &world);
    let jobs = [push(&store).await, push(&store).await];
    for id in jobs {
        until(&store, id, State::Running).await;
    }
    server.kill();
    let before = world.ticks.load(Ordering::SeqCst);
    until_counted(&world.ticks, before + 2 * 100).await;
    server.restart().expect("it starts again");
    // Their leases ran out meanwhile.
    pass(&server, AWAY, &["ahead_ms"]);
    let other = open(&server).await;
    let rival = work("rival", &other, &world);
    let new = push(&other).await;
    // Whoever is free runs it: the store is back.
    until_counted(&world.began, 3).await;
    let after = world.ticks.load(Ordering::SeqCst);
    until_counted(&world.ticks, after + 3 * 400).await;
    // Nothing is held back any more, and what was not renewed is taken back.
    pass(&server, LEASE - Duration::from_secs(3), &["ahead_ms", "last_ms"]);
    let after = world.ticks.load(Ordering::SeqCst);
    until_counted(&world.ticks, after + 3 * 50).await;
    world.enough.store(true, Ordering::SeqCst);
    for id in [jobs[0], jobs[1], new] {
        let done = until(&other, id, State::Done).await;
        assert_eq!((done.job.attempt, done.history), (1, vec![]));
    }
    assert_eq!(world.began.load(Ordering::SeqCst), 3, "each of them once");
    worker.drain().await;
    rival.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_while_the_store_was_away_is_told_when_it_is_back() {
    let server = RedisServer::builder().config("appendonly yes").config("appendfsync always");
    let server = server.start().expect("it starts");
    let (store, world) = (open(&server).await, Arc::new(World::default()));
    let worker = work("first", &store, &world);
    let id = push(&store).await;
    until(&store, id, State::Running).await;
    server.kill();
    world.enough.store(true, Ordering::SeqCst);
    until_counted(&world.ended, 1).await;
    server.restart().expect("it starts again");
    let done = until(&store, id, State::Done).await;
    assert_eq!((done.job.attempt, world.began.load(Ordering::SeqCst)), (1, 1));
    worker.drain().await;
}
