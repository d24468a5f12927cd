//! How many jobs that do nothing one worker gets done on the embedded store, every one of them
//! durable: `cargo run --release -p samovar-jobs --example worker`. With `--redis URL` behind it: on
//! that Redis, at `local`.

#![expect(clippy::print_stdout, reason = "figures for people")]

use std::sync::Arc;

use samovar_clock::{Clock, Instant, Random};
use samovar_jobs::{
    NewJob, QueueName, Store, StoreError, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Slots, Stop, Worker, new_job},
    store::{Durability, EmbeddedStore, RedisStore},
};
use samovar_memory::{Budget, MB, Metered};
use samovar_store::embedded::Folder;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: Metered = Metered::new();

const JOBS: u64 = 100_000;
const PUSHED_AT_ONCE: u64 = 10_000;
const QUEUE: &str = "default";

#[derive(Serialize, Deserialize)]
struct Nothing;

impl Job for Nothing {
    const KIND: &'static str = "nothing";

    async fn run(&self, _: &Context) -> Result<(), Stop> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("| slots | pushed per second | done per second, from the first push on |");
    println!("|---|---|---|");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let url = match &arguments[..] {
        [] => None,
        [option, url] if option == "--redis" => Some(url.as_str()),
        _ => return Err("expected nothing, or --redis URL".into()),
    };
    for slots in [16, 64, 256] {
        let (pushed, done) = run(slots, url).await?;
        println!("| {slots} | {pushed:.0} | {done:.0} |");
    }
    Ok(())
}

async fn run(slots: usize, url: Option<&str>) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (clock, random) = (Clock::System, Random::System);
    let store = if let Some(url) = url {
        let local = Durability::Local;
        Store::Redis(RedisStore::connect(url, local, clock.clone(), random.clone()).await?)
    } else {
        let owned = Folder::own(folder.path())?;
        Store::Embedded(EmbeddedStore::open(owned, clock.clone(), random.clone()).await?)
    };
    let store = Arc::new(store);
    let queue = QueueName::new(QUEUE)?;
    let served = Served { queue: queue.clone(), weight: 1, reserved: 0, reserved_bytes: 0 };
    let mut settings = Settings::new(WorkerName::new("example")?, vec![served]);
    settings.slots = Slots::fixed(slots);
    // A class for each of the slots: what is measured is the queue, not the budget.
    let budget = Budget::new(slots as u64 * 256 * MB, clock.clone());
    let registry = Registry::default().with::<Nothing>()?;
    let worker =
        Worker::start(settings, store.clone(), registry, budget, clock.clone(), random.clone())?;
    let before = done(&store).await?;
    let start = clock.now();
    let rate = |since: Instant| JOBS as f64 / clock.now().since(since).as_secs_f64();
    for _ in 0..JOBS / PUSHED_AT_ONCE {
        let jobs = (0..PUSHED_AT_ONCE).map(|_| new_job(&Nothing, &random));
        store.push(jobs.collect::<Result<Vec<NewJob>, _>>()?).await?;
        worker.wake();
    }
    let pushed = rate(start);
    while done(&store).await? < before + JOBS {
        clock.sleep(std::time::Duration::from_millis(5)).await;
    }
    let finished = rate(start);
    worker.drain().await;
    store.close().await;
    Ok((pushed, finished))
}

async fn done(store: &Store) -> Result<u64, StoreError> {
    Ok(store.figures().await?.iter().map(|queue| queue.done).sum())
}
