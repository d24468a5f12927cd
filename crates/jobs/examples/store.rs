//! What a store of jobs costs: claims as queues grow, no-op jobs, single pushes.
//!
//! `cargo run --release -p samovar-jobs --example store [waiting jobs]`, on Redis with
//! `--redis URL --durability replicated|local|none` behind it. Takes a Redis without jobs.
#![expect(clippy::print_stdout, reason = "a table for people")]

use std::{path::Path, sync::Arc, time::Duration};

use samovar_clock::{Clock, Instant, Random};
use samovar_jobs::{
    Finish, Hold, JobId, Kind, NewJob, Outcome, QueueName, Store, WorkerName,
    limits::JOBS_PER_PUSH,
    store::{Claim, Durability, EmbeddedStore, RedisStore, Suspects},
};
use samovar_memory::ProcessMemory;
use samovar_store::embedded::Folder;

const ROUNDS: usize = 300;
const NO_OPS: usize = 50_000;
const DUE: usize = 100_000;
const PRODUCERS: usize = 64;

type Outcomes<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcomes<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.first().filter(|first| !first.starts_with("--"));
    let most = count.map_or(Ok(1_000_000), |count| count.parse())?;
    let directory = tempfile::tempdir()?;
    let store = Arc::new(open(&arguments, directory.path()).await?);

    println!("| what | figure |\n|---|---|");
    no_ops(&store).await?;
    single_pushes(&store).await?;
    println!("\n| waiting | claim of 10, p50 | p99 | figures | RSS |\n|---|---|---|---|---|");
    let mut waiting = 0;
    for size in [1_000, most / 10, most] {
        push(&store, "large", size - waiting, Duration::ZERO).await?;
        waiting = size;
        claims(&store, waiting).await?;
        waiting -= 10 * ROUNDS.min(waiting / 10);
    }
    due(&store).await?;
    store.close().await;
    Ok(())
}

async fn open(arguments: &[String], directory: &Path) -> Outcomes<Store> {
    let (clock, random) = (Clock::System, Random::System);
    let Some(url) = option(arguments, "--redis") else {
        let store = EmbeddedStore::open(Folder::own(directory)?, clock, random).await?;
        return Ok(Store::Embedded(store));
    };
    let durability = match option(arguments, "--durability") {
        Some("replicated") => Durability::Replicated,
        Some("none") => Durability::None,
        None | Some("local") => Durability::Local,
        Some(other) => return Err(format!("{other} is no durability").into()),
    };
    Ok(Store::Redis(RedisStore::connect(url, durability, clock, random).await?))
}

fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

fn job(queue: &str, delay: Duration) -> Outcomes<NewJob> {
    let id = JobId::draw(&Random::System);
    let job = NewJob::new(id, QueueName::new(queue)?, Kind::new("no-op")?, *b"{}");
    Ok(NewJob { delay, ..job })
}

fn ask(queue: &str, most: usize) -> Outcomes<Claim> {
    Ok(Claim {
        worker: WorkerName::new("measure")?,
        queues: vec![(QueueName::new(queue)?, most)],
        lease: Duration::from_secs(3600),
        version: 0,
        except: Vec::new(),
        rules: std::sync::Arc::default(),
        suspects: Suspects::None,
    })
}

async fn push(store: &Store, queue: &str, mut count: usize, delay: Duration) -> Outcomes<()> {
    while count > 0 {
        let some = count.min(JOBS_PER_PUSH);
        let jobs: Outcomes<_> = (0..some).map(|_| job(queue, delay)).collect();
        store.push(jobs?).await?;
        count -= some;
    }
    Ok(())
}

/// Four workers, each with a hundred slots, each job started and finished on the record.
async fn no_ops(store: &Arc<Store>) -> Outcomes<()> {
    let begun = now();
    push(store, "no-ops", NO_OPS, Duration::ZERO).await?;
    per_second("pushed in bulk, jobs per second", NO_OPS, begun);
    let begun = now();
    let mut workers = Vec::new();
    for _ in 0..4 {
        let (store, claim) = (store.clone(), ask("no-ops", 100)?);
        workers.push(tokio::spawn(async move {
            loop {
                let claimed = store.claim(claim.clone()).await?.jobs;
                if claimed.is_empty() {
                    return Ok::<_, samovar_jobs::StoreError>(());
                }
                let holds: Vec<Hold> = claimed.iter().map(|claimed| claimed.hold).collect();
                store.start(holds.clone()).await?;
                let done = |hold| {
                    let outcome = Outcome::Done { result: None, follow_ups: Vec::new() };
                    Finish::new(hold, outcome)
                };
                store.finish(holds.into_iter().map(done).collect()).await?;
            }
        }));
    }
    for worker in workers {
        worker.await??;
    }
    per_second("claimed, started and finished, jobs per second", NO_OPS, begun);
    Ok(())
}

async fn single_pushes(store: &Arc<Store>) -> Outcomes<()> {
    let mut producers = Vec::new();
    for _ in 0..PRODUCERS {
        let store = store.clone();
        producers.push(tokio::spawn(async move {
            let mut took = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let Ok(job) = job("single", Duration::ZERO) else { break };
                let begun = now();
                store.push(vec![job]).await?;
                took.push(since(begun));
            }
            Ok::<_, samovar_jobs::StoreError>(took)
        }));
    }
    let mut took = Vec::new();
    for producer in producers {
        took.extend(producer.await??);
    }
    let (p50, p99) = percentiles(&mut took);
    println!("| single push, {PRODUCERS} producers, p50 / p99 | {p50:.2?} / {p99:.2?} |");
    Ok(())
}

async fn claims(store: &Store, waiting: usize) -> Outcomes<()> {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS.min(waiting / 10) {
        let begun = now();
        store.claim(ask("large", 10)?).await?;
        took.push(since(begun));
    }
    let (p50, p99) = percentiles(&mut took);
    let begun = now();
    store.figures().await?;
    let figures = since(begun);
    let rss_mb = ProcessMemory::own().map_or(0, |memory| memory.rss_bytes) >> 20;
    println!("| {waiting} | {p50:.2?} | {p99:.2?} | {figures:.2?} | {rss_mb} MB |");
    Ok(())
}

/// Claims of a queue beside which a hundred thousand jobs fall due in one second.
async fn due(store: &Store) -> Outcomes<()> {
    let delay = Duration::from_secs(20);
    push(store, "due", DUE, delay).await?;
    println!("\n| while {DUE} fall due | |\n|---|---|");
    // Waits until they are, and measures from then on.
    Clock::System.sleep(delay).await;
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = now();
        store.claim(ask("large", 10)?).await?;
        took.push(since(begun));
    }
    let (p50, p99) = percentiles(&mut took);
    println!("| claim of 10 from another queue, p50 / p99 | {p50:.2?} / {p99:.2?} |");
    let begun = now();
    let mut longest = Duration::ZERO;
    loop {
        let chunk = now();
        let more = store.tend().await?.more;
        longest = longest.max(since(chunk));
        if !more {
            break;
        }
    }
    println!("| all promoted in | {:.2?} |", since(begun));
    println!("| longest chunk | {longest:.2?} |");
    Ok(())
}

fn percentiles(took: &mut [Duration]) -> (Duration, Duration) {
    took.sort_unstable();
    let at = |percent| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

fn per_second(what: &str, count: usize, begun: Instant) {
    println!("| {what} | {:.0} |", count as f64 / since(begun).as_secs_f64());
}

fn now() -> Instant {
    Clock::System.now()
}

fn since(begun: Instant) -> Duration {
    now().since(begun)
}
