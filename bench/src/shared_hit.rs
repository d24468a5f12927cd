//! A hit in the shared tier on Redis against a bare `GET` of the same stored bytes.
//!
//! Both go through redis-rs' `MultiplexedConnection`, on one runtime, to one server, and take turns
//! operation by operation. The widget is strict, so that each of its reads asks the shared tier.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use redis::{Value, aio::MultiplexedConnection};
use samovar_cache::{Cache, Definition, Freshness, Reading, Tag, Tenant, Tier, Widget};
use samovar_testkit::RedisServer;
use tokio::runtime::Runtime;

use crate::{
    deck,
    measure::{ROUNDS, Samples, StopWatch, quantile},
    table::{self, Table},
};

const READS_PER_SAMPLE: usize = 300;
const SIZES: [usize; 3] = [1 << 10, 20 << 10, 150 << 10];

pub fn run() -> Result<()> {
    table::title(
        "Shared hit on Redis",
        &format!(
            "A strict widget, which asks Redis on each read, against a `GET` of the same stored \
             bytes over the same kind of connection; payloads that do not compress. µs: the median \
             of {ROUNDS} rounds, each the median of {READS_PER_SAMPLE} reads, contestants in turn \
             read by read. Ratios to `GET`, round by round: median (least-most)."
        ),
    );
    let server = RedisServer::start()?;
    let runtime = Runtime::new()?;
    // On a worker, as a server's handlers are: a wait on the main thread costs a wake-up more.
    runtime.block_on(runtime.spawn(async move { compare_all(&server).await }))?
}

async fn compare_all(server: &RedisServer) -> Result<()> {
    let cache = Cache::builder().connect(&server.url()).await?;
    let client = redis::Client::open(server.url())?;
    let mut bare = client.get_multiplexed_async_connection().await?;
    let table = Table::begin(&[
        "tags",
        "KB",
        "GET",
        "get_or_compute",
        "get_many of one",
        "get_or_compute / GET",
        "get_many / GET",
    ]);
    for tags in [0, 4, 16] {
        for bytes in SIZES {
            let strict = Strict::fill(&cache, server, tags, bytes).await?;
            let [get, one, many] = strict.compare(&mut bare).await?;
            table.row(&[
                tags.to_string(),
                (bytes >> 10).to_string(),
                format!("{:.1}", get.median() / 1e3),
                format!("{:.1}", one.median() / 1e3),
                format!("{:.1}", many.median() / 1e3),
                one.ratio_to(&get).to_string(),
                many.ratio_to(&get).to_string(),
            ]);
        }
    }
    cache.close().await;
    Ok(())
}

/// One reading of a widget that is never answered locally.
pub(crate) struct Strict {
    cache: Cache,
    widget: Widget,
    tenant: Tenant,
    tags: Vec<Tag>,
    payload: Bytes,
    stored_as: String,
}

impl Strict {
    pub(crate) async fn fill(
        cache: &Cache,
        server: &RedisServer,
        tags: usize,
        bytes: usize,
    ) -> Result<Self> {
        let mut strict = Self::new(cache, tags, bytes)?;
        let shown = strict.read().await?;
        let keys = server.command(&["KEYS", &format!("*:e:{shown}")])?;
        let [key] = keys.items() else { anyhow::bail!("not one key but {keys:?}") };
        strict.stored_as = key.text();
        let stored = server.command(&["GET", &strict.stored_as])?;
        ensure!(stored.bytes().ends_with(&strict.payload), "stored otherwise than it was made");
        Ok(strict)
    }

    pub(crate) fn new(cache: &Cache, tags: usize, bytes: usize) -> Result<Self> {
        let name = format!("strict_{tags}_{bytes}");
        let freshness = Freshness::built_in("daily").context("a built-in class")?;
        let widget = cache.declare(Definition::new(&name).freshness(freshness).strict())?;
        let tags = (0..tags).map(|number| Tag::new(&format!("campaign/{number}")));
        Ok(Self {
            cache: cache.clone(),
            widget,
            tenant: Tenant::new("brand")?,
            tags: tags.collect::<Result<_, _>>()?,
            payload: deck::payload(bytes as u64, bytes),
            stored_as: String::new(),
        })
    }

    fn reading(&self) -> Reading<'_> {
        self.widget.reading(&self.tenant).params(&[("day", "2026-11-19")]).tags(&self.tags)
    }

    /// One read that asks the shared tier; returns the key as shown.
    pub(crate) async fn read(&self) -> Result<String> {
        let payload = self.payload.clone();
        let compute = move || async move { Ok::<_, std::convert::Infallible>(payload) };
        let answer = self.cache.get_or_compute(&self.reading(), compute).await?;
        Ok(answer.key().to_owned())
    }

    /// A read that must find the value.
    pub(crate) async fn hit(&self) -> Result<()> {
        let compute = || async { Err::<Bytes, _>("it should be stored") };
        let answer = self.cache.get_or_compute(&self.reading(), compute).await?;
        ensure!(answer.tier() == Tier::Shared, "{answer:?}");
        ensure!(answer.stored_bytes().0.len() == self.payload.len(), "{answer:?}");
        Ok(())
    }

    async fn hit_many(&self) -> Result<()> {
        let answers = self.cache.get_many(&[self.reading()]).await?;
        let answer = answers.first().and_then(Option::as_ref).context("no answer")?;
        ensure!(answer.stored_bytes().0.len() == self.payload.len(), "{answer:?}");
        Ok(())
    }

    async fn bare(&self, connection: &mut MultiplexedConnection) -> Result<()> {
        let value = redis::cmd("GET").arg(&self.stored_as).query_async(connection).await?;
        let Value::BulkString(stored) = value else { anyhow::bail!("{value:?}") };
        ensure!(stored.len() > self.payload.len(), "another entry");
        Ok(())
    }

    async fn compare(&self, connection: &mut MultiplexedConnection) -> Result<[Samples; 3]> {
        let mut samples: [Vec<f64>; 3] = Default::default();
        let mut rounds: [Samples; 3] = Default::default();
        for round in 0..=ROUNDS {
            for _ in 0..READS_PER_SAMPLE {
                let watch = StopWatch::start();
                self.bare(connection).await?;
                samples[0].push(watch.nanos());
                let watch = StopWatch::start();
                self.hit().await?;
                samples[1].push(watch.nanos());
                let watch = StopWatch::start();
                self.hit_many().await?;
                samples[2].push(watch.nanos());
            }
            for (samples, rounds) in samples.iter_mut().zip(&mut rounds) {
                if round > 0 {
                    rounds.push(quantile(samples, 0.5));
                }
                samples.clear();
            }
        }
        Ok(rounds)
    }
}
