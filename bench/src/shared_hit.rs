//! A hit in the shared tier on Redis against a bare `GET` of the same stored bytes.
//!
//! Both go through redis-rs' `MultiplexedConnection`, on one runtime, to one server, and take turns
//! operation by operation. The reader is a process that has just come up: its local tier is empty,
//! and each reading is read once.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use redis::{Value, aio::MultiplexedConnection};
use samovar_cache::{Answer, Cache, Definition, Freshness, Reading, Tag, Tenant, Tier, Widget};
use samovar_clock::Random;
use samovar_testkit::{RedisServer, wait};
use tokio::runtime::Runtime;

use crate::{
    LIMIT, deck,
    measure::{ROUNDS, Samples, StopWatch, quantile},
    table::{self, Table},
};

const READS_PER_SAMPLE: usize = 300;
const SIZES: [usize; 3] = [1 << 10, 20 << 10, 150 << 10];

pub fn run() -> Result<()> {
    table::title(
        "Shared hit on Redis",
        &format!(
            "Readings that the local tier does not hold, against a `GET` of the same stored bytes \
             over the same kind of connection; payloads that do not compress. A strict widget asks \
             for its versions too, on every read. µs: the median of {ROUNDS} rounds, each the \
             median of {READS_PER_SAMPLE} reads, contestants in random order read by read. Ratios to \
             `GET`, round by round: median (least-most)."
        ),
    );
    let server = RedisServer::start()?;
    let runtime = Runtime::new()?;
    // On a worker, as a server's handlers are: a wait on the main thread costs a wake-up more.
    runtime.block_on(runtime.spawn(async move { compare_all(&server).await }))?
}

async fn compare_all(server: &RedisServer) -> Result<()> {
    let client = redis::Client::open(server.url())?;
    let mut bare = client.get_multiplexed_async_connection().await?;
    let table = Table::begin(&[
        "tags",
        "KB",
        "GET",
        "get_or_compute",
        "get_many of one",
        "strict",
        "get_or_compute / GET",
        "get_many / GET",
        "strict / GET",
    ]);
    for tags in [0, 4, 16] {
        for bytes in SIZES {
            let [get, one, many, strict] = compare(server, &mut bare, tags, bytes).await?;
            let mut row = vec![tags.to_string(), (bytes >> 10).to_string()];
            row.extend([&get, &one, &many, &strict].map(|s| format!("{:.1}", s.median() / 1e3)));
            row.extend([&one, &many, &strict].map(|samples| samples.ratio_to(&get).to_string()));
            table.row(&row);
        }
    }
    Ok(())
}

async fn compare(
    server: &RedisServer,
    bare: &mut MultiplexedConnection,
    tags: usize,
    bytes: usize,
) -> Result<[Samples; 4]> {
    server.command(&["FLUSHALL"])?;
    let filler = Cache::builder().connect(&server.url()).await?;
    let readings = Readings::new(&filler, tags, bytes)?;
    let stored = readings.fill(&filler, server).await?;
    filler.close().await;
    let mut rounds: [Samples; 4] = Default::default();
    let random = Random::seeded(1);
    for round in 0..=ROUNDS {
        let cache = Cache::builder().connect(&server.url()).await?;
        let readings = Readings::new(&cache, tags, bytes)?;
        readings.settle(&cache).await?;
        let mut samples: [Vec<f64>; 4] = Default::default();
        for (number, stored) in stored.iter().enumerate() {
            // Who comes after whom matters: each leaves memory behind that the next one finds.
            let mut order = [0, 1, 2, 3];
            for place in 1..order.len() {
                order.swap(place, random.below(place as u64 + 1) as usize);
            }
            for contestant in order {
                let watch = StopWatch::start();
                match contestant {
                    0 => get(bare, stored, bytes).await?,
                    1 => readings.hit(&cache, Kind::Plain, number).await?,
                    2 => readings.hit_many(&cache, READS_PER_SAMPLE + number).await?,
                    _ => readings.hit(&cache, Kind::Strict, number).await?,
                }
                samples[contestant].push(watch.nanos());
            }
        }
        if round > 0 {
            for (samples, rounds) in samples.iter().zip(&mut rounds) {
                rounds.push(quantile(samples, 0.5));
            }
        }
        cache.close().await;
    }
    Ok(rounds)
}

async fn get(bare: &mut MultiplexedConnection, key: &str, bytes: usize) -> Result<()> {
    let value = redis::cmd("GET").arg(key).query_async(bare).await?;
    let Value::BulkString(stored) = value else { anyhow::bail!("{value:?}") };
    ensure!(stored.len() > bytes, "another entry");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Plain,
    /// Never answered locally.
    Strict,
}

/// Readings of two widgets of one tenant, with the same tags.
pub(crate) struct Readings {
    plain: Widget,
    strict: Widget,
    tenant: Tenant,
    tags: Vec<Tag>,
    payload: Bytes,
    numbers: Vec<String>,
}

/// The reading that only makes the versions known.
const LAST: usize = 2 * READS_PER_SAMPLE;

impl Readings {
    pub(crate) fn new(cache: &Cache, tags: usize, bytes: usize) -> Result<Self> {
        let freshness = Freshness::built_in("daily").context("a built-in class")?;
        let definition = |name: &str| Definition::new(name).freshness(freshness.clone());
        let tags = (0..tags).map(|number| Tag::new(&format!("campaign/{number}")));
        Ok(Self {
            plain: cache.declare(definition("plain"))?,
            strict: cache.declare(definition("strict").strict())?,
            tenant: Tenant::new("brand")?,
            tags: tags.collect::<Result<_, _>>()?,
            payload: deck::payload(bytes as u64, bytes),
            numbers: (0..=LAST).map(|number| number.to_string()).collect(),
        })
    }

    /// Stores all readings; returns the keys of the plain ones that are read alone.
    async fn fill(&self, cache: &Cache, server: &RedisServer) -> Result<Vec<String>> {
        let mut shown = Vec::new();
        for number in 0..=LAST {
            shown.push(self.read(cache, Kind::Plain, number).await?.key().to_owned());
            if number < READS_PER_SAMPLE {
                self.read(cache, Kind::Strict, number).await?;
            }
        }
        let keys = server.command(&["KEYS", &format!("*:e:{}", shown[0])])?;
        let [key] = keys.items() else { anyhow::bail!("not one key but {keys:?}") };
        let key = key.text();
        let prefix = key.strip_suffix(&shown[0]).context("it ends with the key as shown")?;
        let read = shown.iter().take(READS_PER_SAMPLE);
        Ok(read.map(|shown| format!("{prefix}{shown}")).collect())
    }

    /// Waits until what this process has read is answered from its local tier: its link to the
    /// server is trusted from then on.
    pub(crate) async fn settle(&self, cache: &Cache) -> Result<()> {
        let settled = || async {
            let answer = self.read(cache, Kind::Plain, LAST).await.ok()?;
            (answer.tier() == Tier::Local).then_some(())
        };
        wait::until_async(LIMIT, "a trusted link", settled).await
    }

    /// One read, which computes what is not there.
    pub(crate) async fn read(&self, cache: &Cache, kind: Kind, number: usize) -> Result<Answer> {
        let payload = self.payload.clone();
        let compute = move || async move { Ok::<_, std::convert::Infallible>(payload) };
        let widget = match kind {
            Kind::Plain => &self.plain,
            Kind::Strict => &self.strict,
        };
        let params = [("day", self.numbers[number].as_str())];
        Ok(cache.get_or_compute(&self.reading(widget, &params), compute).await?)
    }

    /// A read that must find the value in the shared tier.
    pub(crate) async fn hit(&self, cache: &Cache, kind: Kind, number: usize) -> Result<()> {
        let answer = self.read(cache, kind, number).await?;
        ensure!(answer.tier() == Tier::Shared, "{answer:?}");
        ensure!(answer.stored_bytes().0.len() == self.payload.len(), "{answer:?}");
        Ok(())
    }

    async fn hit_many(&self, cache: &Cache, number: usize) -> Result<()> {
        let params = [("day", self.numbers[number].as_str())];
        let answers = cache.get_many(&[self.reading(&self.plain, &params)]).await?;
        let answer = answers.first().and_then(Option::as_ref).context("no answer")?;
        ensure!(answer.stored_bytes().0.len() == self.payload.len(), "{answer:?}");
        Ok(())
    }

    fn reading<'a>(&'a self, widget: &'a Widget, params: &'a [(&'a str, &'a str)]) -> Reading<'a> {
        widget.reading(&self.tenant).params(params).tags(&self.tags)
    }
}
