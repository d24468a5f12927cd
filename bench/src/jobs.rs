//! Jobs that do nothing, from the push to the last acknowledgement: BullMQ, and ours on the same
//! Redis and on the embedded store.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    NewJob, QueueName, Store, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Slots, Stop, Worker, new_job},
    store::{Durability, EmbeddedStore, RedisStore},
};
use samovar_memory::{Budget, MB};
use samovar_store::embedded::Folder;
use samovar_testkit::RedisServer;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{
    measure::{Samples, StopWatch, quantile},
    table::{self, Table},
};

const ROUNDS: usize = 3;
const JOBS: usize = 30_000;
const PUSHED_AT_ONCE: usize = 1000;
const CONCURRENCY: usize = 50;
const PRODUCERS: usize = 64;
const PUSHES_PER_PRODUCER: usize = 200;
const QUEUE: &str = "bench";

pub fn run() -> Result<()> {
    table::title(
        "Jobs that do nothing",
        &format!(
            "{JOBS} jobs, pushed {PUSHED_AT_ONCE} at once while one worker process runs them, from \
             the first push to the last acknowledgement; {PRODUCERS} producers push single jobs. \
             BullMQ (concurrency {CONCURRENCY}, what is done removed at once) and ours on one \
             redis-server with `appendonly yes`; the embedded store commits with synchronous FULL. \
             Medians of {ROUNDS} rounds, contestants in turn; ratios round by round: median \
             (least-most)."
        ),
    );
    let bullmq = BullMq::install()?;
    let server = RedisServer::builder().config("appendonly yes").config("save \"\"").start()?;
    let runtime = Runtime::new()?;
    let table = Table::begin(&[
        "contestant",
        "durability",
        "done/s",
        "/ BullMQ",
        "pushed/s",
        "single push, p50 ms",
        "p99 ms",
    ]);
    let contestants = [
        Contestant { name: "BullMQ", durability: "AOF, everysec", at: At::BullMq },
        Contestant {
            name: "Redis, 50 slots",
            durability: "local (AOF, everysec)",
            at: At::Redis(50),
        },
        Contestant {
            name: "Redis, 256 slots",
            durability: "local (AOF, everysec)",
            at: At::Redis(256),
        },
        Contestant { name: "embedded, 50 slots", durability: "FULL", at: At::Embedded(50) },
        Contestant { name: "embedded, 256 slots", durability: "FULL", at: At::Embedded(256) },
    ];
    let mut found: Vec<Found> = contestants.iter().map(|_| Found::default()).collect();
    for _ in 0..ROUNDS {
        for (contestant, found) in contestants.iter().zip(&mut found) {
            server.command(&["FLUSHALL"])?;
            found.push(&match contestant.at {
                At::BullMq => bullmq.round(server.port())?,
                At::Redis(slots) => runtime.block_on(on_redis(&server, slots))?,
                At::Embedded(slots) => runtime.block_on(on_embedded(slots))?,
            });
        }
    }
    let base = found[0].done.clone();
    for (contestant, found) in contestants.iter().zip(&found) {
        let at = |samples: &Samples| format!("{:.2}", samples.median());
        table.row(&[
            contestant.name.to_owned(),
            contestant.durability.to_owned(),
            format!("{:.0}", found.done.median()),
            found.done.ratio_to(&base).to_string(),
            format!("{:.0}", found.pushed.median()),
            at(&found.p50),
            at(&found.p99),
        ]);
    }
    Ok(())
}

struct Contestant {
    name: &'static str,
    durability: &'static str,
    at: At,
}

enum At {
    BullMq,
    Redis(usize),
    Embedded(usize),
}

/// Of one contestant, a sample per round.
#[derive(Default)]
struct Found {
    pushed: Samples,
    done: Samples,
    p50: Samples,
    p99: Samples,
}

impl Found {
    fn push(&mut self, round: &Round) {
        self.pushed.push(round.pushed);
        self.done.push(round.done);
        self.p50.push(round.single.p50);
        self.p99.push(round.single.p99);
    }
}

/// Jobs per second, and milliseconds.
#[derive(Deserialize)]
struct Round {
    pushed: f64,
    done: f64,
    single: Single,
}

#[derive(Deserialize)]
struct Single {
    p50: f64,
    p99: f64,
}

/// Installed beside the build's own output.
struct BullMq {
    script: std::path::PathBuf,
}

impl BullMq {
    fn install() -> Result<Self> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("bullmq");
        let folder = std::env::current_exe()?.with_file_name("bullmq");
        std::fs::create_dir_all(&folder)?;
        for file in ["package.json", "run.mjs"] {
            std::fs::copy(ours.join(file), folder.join(file))?;
        }
        let installed = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&folder)
            .status()
            .context("npm is needed to install BullMQ")?;
        if !installed.success() {
            bail!("npm could not install BullMQ: {installed}");
        }
        Ok(Self { script: folder.join("run.mjs") })
    }

    fn round(&self, port: u16) -> Result<Round> {
        let numbers = [usize::from(port), JOBS, CONCURRENCY, PRODUCERS];
        let output = Command::new("node")
            .arg(&self.script)
            .args(numbers.map(|number| number.to_string()))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).with_context(|| format!("BullMQ said: {said}"))
    }
}

async fn on_redis(server: &RedisServer, slots: usize) -> Result<Round> {
    let (clock, random) = (Clock::System, Random::System);
    let store = RedisStore::connect(&server.url(), Durability::Local, clock, random).await?;
    round(Store::Redis(store), slots).await
}

async fn on_embedded(slots: usize) -> Result<Round> {
    let folder = tempfile::tempdir()?;
    let owned = Folder::own(folder.path())?;
    let store = EmbeddedStore::open(owned, Clock::System, Random::System).await?;
    round(Store::Embedded(store), slots).await
}

#[derive(Serialize, Deserialize)]
struct Nothing;

impl Job for Nothing {
    const KIND: &'static str = "nothing";
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, _: &Context) -> Result<(), Stop> {
        Ok(())
    }
}

fn nothing(count: usize) -> Result<Vec<NewJob>> {
    (0..count).map(|_| Ok(new_job(&Nothing, &Random::System)?)).collect()
}

async fn round(store: Store, slots: usize) -> Result<Round> {
    let store = Arc::new(store);
    let served =
        Served { queue: QueueName::new(QUEUE)?, weight: 1, reserved: 0, reserved_bytes: 0 };
    let mut settings = Settings::new(WorkerName::new("bench")?, vec![served]);
    settings.slots = Slots::fixed(slots);
    // A class for each slot: what is measured is the queue, not the budget.
    let budget = Budget::new(slots as u64 * 256 * MB, Clock::System);
    let registry = Registry::default().with::<Nothing>()?;
    let worker =
        Worker::start(settings, store.clone(), registry, budget, Clock::System, Random::System)?;
    let watch = StopWatch::start();
    for _ in 0..JOBS / PUSHED_AT_ONCE {
        store.push(nothing(PUSHED_AT_ONCE)?).await?;
        worker.wake();
    }
    let pushed = JOBS as f64 / watch.elapsed().as_secs_f64();
    while done(&store).await? < JOBS as u64 {
        Clock::System.sleep(Duration::from_millis(5)).await;
    }
    let done = JOBS as f64 / watch.elapsed().as_secs_f64();
    worker.drain().await;
    let single = single(&store).await?;
    store.close().await;
    Ok(Round { pushed, done, single })
}

async fn done(store: &Store) -> Result<u64> {
    Ok(store.figures().await?.iter().map(|queue| queue.done).sum())
}

async fn single(store: &Arc<Store>) -> Result<Single> {
    let produce = || {
        let store = store.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            for _ in 0..PUSHES_PER_PRODUCER {
                let watch = StopWatch::start();
                store.push(nothing(1)?).await?;
                took.push(watch.nanos() / 1e6);
            }
            anyhow::Ok(took)
        })
    };
    let producers: Vec<_> = (0..PRODUCERS).map(|_| produce()).collect();
    let mut took = Vec::new();
    for producer in producers {
        took.extend(producer.await??);
    }
    Ok(Single { p50: quantile(&took, 0.5), p99: quantile(&took, 0.99) })
}
