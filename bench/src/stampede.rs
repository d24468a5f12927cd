//! Many readers of one cold key at the same moment: how often it is computed.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use samovar_cache::{Answer, Cache, Definition, ReadError, Tag, Tenant};
use samovar_clock::Clock;
use samovar_testkit::{Process, RedisServer, process};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    LIMIT, child,
    measure::StopWatch,
    table::{self, Table},
};

pub const ROLE: &str = "stampede";

const PROCESSES: usize = 4;
const READS_EACH: usize = 2_500;
const TASKS: usize = 10_000;
const COUNTER: &str = "computes";
/// Long enough for every reader to come while the first one computes.
const COMPUTE: Duration = Duration::from_millis(200);

pub fn run() -> Result<()> {
    table::title(
        "Stampede",
        &format!(
            "Reads of one cold key that begin together; a compute takes {} ms and is counted by \
             `INCR` in Redis, or in memory.",
            COMPUTE.as_millis()
        ),
    );
    let table =
        Table::begin(&["store", "processes", "reads", "answers", "computes", "longest read, ms"]);
    table.row(&on_redis()?);
    table.row(&on_embedded()?);
    Ok(())
}

fn on_redis() -> Result<Vec<String>> {
    let server = RedisServer::start()?;
    let start = |_| child::start(ROLE, &server.url());
    let processes: Vec<Process> = (0..PROCESSES).map(start).collect::<Result<_>>()?;
    for process in &processes {
        process.hear("ready", LIMIT)?;
    }
    for process in &processes {
        process.say("go")?;
    }
    let (mut answers, mut longest) = (0, 0);
    for process in &processes {
        let said = process.hear("done ", LIMIT)?;
        let (got, ms) = said.split_once(' ').context("two numbers")?;
        answers += got.parse::<usize>()?;
        longest = longest.max(ms.parse::<u128>()?);
        process.hang_up();
        process.wait_for_success(LIMIT)?;
    }
    let computes = server.command(&["GET", COUNTER])?.integer().context("a counter")?;
    let reads = PROCESSES * READS_EACH;
    ensure!(computes == 1, "{computes} computes");
    Ok(row("Redis", PROCESSES, reads, answers, computes.unsigned_abs(), longest))
}

/// One of the processes on Redis.
pub fn child() -> Result<()> {
    let url = child::argument()?;
    let runtime = Runtime::new()?;
    let cache = runtime.block_on(Cache::builder().connect(&url))?;
    let client = redis::Client::open(url)?;
    let counter = runtime.block_on(client.get_multiplexed_async_connection())?;
    process::say("ready");
    process::hear().context("nobody gave the start")?;
    let watch = StopWatch::start();
    let answers = runtime.block_on(stampede(&cache, READS_EACH, move || {
        let mut counter = counter.clone();
        async move {
            let _: u64 = redis::cmd("INCR").arg(COUNTER).query_async(&mut counter).await?;
            Ok::<(), redis::RedisError>(())
        }
    }))?;
    process::say(format_args!("done {answers} {}", watch.elapsed().as_millis()));
    process::hear();
    runtime.block_on(cache.close());
    Ok(())
}

fn on_embedded() -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let runtime = Runtime::new()?;
    let cache = runtime.block_on(Cache::builder().open(folder.path()))?;
    let computes = Arc::new(AtomicU64::new(0));
    let watch = StopWatch::start();
    let counter = computes.clone();
    let answers = runtime.block_on(stampede(&cache, TASKS, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok::<(), Infallible>(()) }
    }))?;
    let longest = watch.elapsed().as_millis();
    runtime.block_on(cache.close());
    let computes = computes.load(Ordering::Relaxed);
    ensure!(computes == 1, "{computes} computes");
    Ok(row("embedded", 1, TASKS, answers, computes, longest))
}

/// Reads one key with so many tasks, and returns how many got the value.
async fn stampede<F, E>(
    cache: &Cache,
    reads: usize,
    count: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Result<usize>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let widget = cache.declare(Definition::new("cold"))?;
    let tenant = Tenant::new("brand")?;
    let tags = [Tag::new("orders")?];
    let mut tasks = JoinSet::new();
    for _ in 0..reads {
        let (cache, widget, tenant) = (cache.clone(), widget.clone(), tenant.clone());
        let (tags, count) = (tags.clone(), count.clone());
        tasks.spawn(async move {
            let reading = widget.reading(&tenant).tags(&tags);
            let compute = move || async move {
                count().await?;
                Clock::System.sleep(COMPUTE).await;
                Ok::<_, E>(Bytes::from_static(b"warm"))
            };
            cache.get_or_compute(&reading, compute).await
        });
    }
    let mut answers = 0;
    while let Some(answer) = tasks.join_next().await {
        let answer: Result<Answer, ReadError> = answer?;
        answers += usize::from(*answer?.bytes()? == *b"warm");
    }
    Ok(answers)
}

fn row(
    store: &str,
    processes: usize,
    reads: usize,
    answers: usize,
    computes: u64,
    longest_ms: u128,
) -> Vec<String> {
    let numbers = [processes, reads, answers].map(|number| number.to_string());
    let mut row = vec![store.to_owned()];
    row.extend(numbers);
    row.extend([computes.to_string(), longest_ms.to_string()]);
    row
}
