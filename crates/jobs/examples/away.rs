//! What a worker does while its Redis is away for a minute, and how soon it goes on afterwards:
//! `cargo run --release -p samovar-jobs --example away`.

#![expect(clippy::print_stdout, reason = "figures for people")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobId, QueueName, State, Store, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Slots, Stop, Worker, new_job},
    store::{Durability, RedisStore},
};
use samovar_memory::{Budget, MB, Metered};
use samovar_testkit::RedisServer;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: Metered = Metered::new();

const AWAY: Duration = Duration::from_secs(60);
const RUNNING: usize = 8;

#[derive(Debug, Default)]
struct World {
    ticks: AtomicU64,
    began: AtomicU64,
}

/// Runs until the store has been away and is back.
#[derive(Serialize, Deserialize)]
struct Tick {
    ticks: u64,
}

impl Job for Tick {
    const KIND: &'static str = "tick";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let world = cx.service::<World>()?;
        world.began.fetch_add(1, SeqCst);
        for _ in 0..self.ticks {
            world.ticks.fetch_add(1, SeqCst);
            cx.clock().sleep(Duration::from_millis(100)).await;
            cx.check()?;
        }
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error>;

async fn push(store: &Store, ticks: u64) -> Result<JobId, Failure> {
    let job = new_job(&Tick { ticks }, &Random::System)?;
    let id = job.id;
    store.push(vec![job]).await?;
    Ok(id)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let server = RedisServer::builder().config("appendonly yes").start()?;
    let (clock, random) = (Clock::System, Random::System);
    let url = server.url();
    let store = RedisStore::connect(&url, Durability::Local, clock.clone(), random);
    let store = Arc::new(Store::Redis(store.await?));
    let served =
        Served { queue: QueueName::new("default")?, weight: 1, reserved: 0, reserved_bytes: 0 };
    let mut settings = Settings::new(WorkerName::new("example")?, vec![served]);
    settings.slots = Slots::fixed(RUNNING + 1);
    settings.lease = Duration::from_secs(10);
    let world = Arc::new(World::default());
    let registry = Registry::default().service_arc(world.clone()).with::<Tick>()?;
    let budget = Budget::new((RUNNING as u64 + 1) * 256 * MB, clock.clone());
    let worker =
        Worker::start(settings, store.clone(), registry, budget, clock.clone(), Random::System)?;
    let mut running = Vec::new();
    for _ in 0..RUNNING {
        running.push(push(&store, (AWAY.as_secs() + 10) * 10).await?);
    }
    while world.began.load(SeqCst) < RUNNING as u64 {
        clock.sleep(Duration::from_millis(10)).await;
    }
    server.kill();
    let before = world.ticks.load(SeqCst);
    clock.sleep(AWAY).await;
    let ticked = world.ticks.load(SeqCst) - before;
    let began = world.began.load(SeqCst) - RUNNING as u64;
    server.restart()?;
    let back = clock.now();
    // A producer tries until the store takes it.
    while push(&store, 0).await.is_err() {
        clock.sleep(Duration::from_millis(10)).await;
    }
    let pushed = clock.now().since(back);
    while world.began.load(SeqCst) == RUNNING as u64 {
        clock.sleep(Duration::from_millis(1)).await;
    }
    let started = clock.now().since(back);
    let mut repeated = 0;
    for id in running {
        loop {
            let shown = store.show(id).await?.ok_or("it is gone")?.job;
            if shown.state == State::Done {
                repeated += u64::from(shown.attempt - 1);
                break;
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
    }
    worker.drain().await;
    println!(
        "| away | running | ticks of 100 ms meanwhile | started meanwhile | push again after | next job starts after | attempts repeated |"
    );
    println!("|---|---|---|---|---|---|---|");
    println!(
        "| {AWAY:?} | {RUNNING} | {ticked} | {began} | {pushed:?} | {started:?} | {repeated} |"
    );
    Ok(())
}
