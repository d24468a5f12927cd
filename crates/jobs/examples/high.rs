//! How long a `high` job waits for its start while thousands of large `low` ones wait and run:
//! `cargo run --release -p samovar-jobs --example high`.

#![expect(clippy::print_stdout, reason = "figures for people")]

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Instant, Random};
use samovar_jobs::{
    NewJob, QueueName, Store, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Stop, Worker, new_job},
    store::EmbeddedStore,
};
use samovar_memory::{Budget, Class, MB, Metered};
use samovar_store::embedded::Folder;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: Metered = Metered::new();

const LOW: usize = 5000;
const HIGH: usize = 200;

#[derive(Serialize, Deserialize)]
struct Low;

impl Job for Low {
    const KIND: &'static str = "low";
    const QUEUE: &'static str = "low";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        cx.clock().sleep(Duration::from_millis(200)).await;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct High;

impl Job for High {
    const KIND: &'static str = "high";
    const QUEUE: &'static str = "high";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        cx.service::<mpsc::UnboundedSender<Instant>>()?.send(cx.clock().now())?;
        Ok(())
    }
}

fn job(job: &impl Job, class: Class) -> Result<NewJob, Box<dyn std::error::Error>> {
    let mut new = new_job(job, &Random::System)?;
    new.policy.class = class;
    Ok(new)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (clock, random) = (Clock::System, Random::System);
    let store = EmbeddedStore::open(Folder::own(folder.path())?, clock.clone(), random.clone());
    let store = Arc::new(Store::Embedded(store.await?));
    let served = |queue: &str, weight, reserved, reserved_bytes| {
        QueueName::new(queue).map(|queue| Served { queue, weight, reserved, reserved_bytes })
    };
    let queues = vec![served("high", 6, 1, 128 * MB)?, served("low", 1, 0, 0)?];
    // As they are by default: four slots, a look every 250 ms.
    let settings = Settings::new(WorkerName::new("example")?, queues);
    let (starts, mut started) = mpsc::unbounded_channel::<Instant>();
    let registry = Registry::default().service(starts).with::<Low>()?.with::<High>()?;
    let budget = Budget::new(640 * MB, clock.clone());
    let low: Result<Vec<_>, _> = (0..LOW).map(|_| job(&Low, Class::Mb512)).collect();
    store.push(low?).await?;
    let _worker =
        Worker::start(settings, store.clone(), registry, budget, clock.clone(), random.clone())?;
    let mut waits = Vec::new();
    for _ in 0..HIGH {
        clock.sleep(Duration::from_millis(random.below(200))).await;
        let pushed = clock.now();
        store.push(vec![job(&High, Class::Mb128)?]).await?;
        let start = started.recv().await.ok_or("the worker is gone")?;
        waits.push(start.since(pushed));
    }
    waits.sort();
    let low = store.figures().await?.into_iter().find(|it| it.queue.as_str() == "low");
    let (done, waiting) = low.map_or((0, 0), |low| (low.done, low.waiting));
    println!("| low jobs done / waiting | p50 | p99 | longest |");
    println!("|---|---|---|---|");
    let at = |share: usize| waits[(HIGH - 1) * share / 100];
    println!("| {done} / {waiting} | {:?} | {:?} | {:?} |", at(50), at(99), at(100));
    Ok(())
}
