//! From a commit to a fresh answer, and what capture costs the one who writes.
//!
//! - `cargo run --release -p samovar-engine --example capture -- latency [CHANGES]`: time from the return
//!   of a commit until a reading shows it, on an idle machine and under 1,000 writes a second
//! - `... -- writer [SECONDS]`: transactions a second without capture and with it, in turns, and how many
//!   rows wait in the outbox

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod database;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_cache::{Cache, Settings};
use samovar_clock::{Clock, Random};
use samovar_engine::{Ask, Capturing, Catalogue, Engine, Observe};
use samovar_widgets::{Captured, Definitions, Document};
use tokio::task::JoinHandle;

use self::database::Database;

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south" }]

[source.shop]
url = "{url}"
{options}

[widget.count]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant"

[capture.orders]
source = "shop"
table = "orders"
columns = ["tenant", "at"]
tenant = "tenant"
at = "at"
tag = "orders/{day}"
"#;

const WRITES_PER_SECOND: u64 = 1000;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|it| it.parse().ok());
    match arguments.first().map(String::as_str) {
        Some("latency") => Box::pin(latency(number(1).unwrap_or(1000))).await,
        Some("writer") => Box::pin(writer(number(1).unwrap_or(3))).await,
        _ => println!("latency [CHANGES], or writer [SECONDS]"),
    }
}

/// Another row of the table: PostgreSQL, and nobody is woken up.
const WITHOUT_NOTIFY: &str = "capture_notify = false";

/// A process that serves.
struct Served {
    engine: Engine,
    cache: Cache,
    capturing: Capturing,
    _store: tempfile::TempDir,
}

impl Served {
    async fn start(database: &Database, options: &str) -> Self {
        let definitions = definitions(database, options);
        let (clock, ask) = (Clock::System, Ask::All);
        let catalogue = Catalogue::check(&definitions, database.folder(), &clock, ask);
        let catalogue = Box::pin(catalogue).await;
        let settings = Settings::default();
        let store = tempfile::tempdir().expect("a folder");
        let cache = Cache::builder().settings(settings.clone()).open(store.path()).await;
        let cache = cache.expect("a cache");
        let catalogue = catalogue.expect("nothing is wrong");
        let engine = Engine::start(cache.clone(), &settings, catalogue, Observe::default(), None);
        let engine = engine.expect("it starts");
        let capturing = engine.start_capturing();
        Self { engine, cache, capturing, _store: store }
    }

    /// What a reader of one tenant is shown.
    async fn shown(&self) -> u64 {
        let answer = self.engine.read("count", "north", Vec::new()).await.expect("an answer");
        let bytes = answer.bytes().expect("it decodes");
        let whole: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
        whole["data"]["rows"][0]["orders"].as_u64().expect("a count")
    }

    async fn stop(self) {
        self.capturing.stop().await;
        self.cache.close().await;
    }
}

fn definitions(database: &Database, options: &str) -> Definitions {
    let text = DEFINITIONS.replace("{url}", &database.url()).replace("{options}", options);
    let document = Document::parse(&text).expect("it is TOML");
    Definitions::read(&mut document.root())
}

async fn install(database: &Database, options: &str, is_wanted: bool) {
    let definitions = definitions(database, options);
    let (source, captures) = (&definitions.sources[0], &definitions.captures);
    let captured = Captured::of(source, captures, database.folder(), &Clock::System);
    let mut installer = captured.installer(None).await.expect("connected");
    match is_wanted {
        true => drop(installer.install().await.expect("installed")),
        false => drop(installer.uninstall().await.expect("uninstalled")),
    }
}

async fn waiting(database: &Database) -> usize {
    let definitions = definitions(database, "");
    let (source, captures) = (&definitions.sources[0], &definitions.captures);
    let captured = Captured::of(source, captures, database.folder(), &Clock::System);
    let installer = captured.installer(None).await;
    installer.expect("connected").status().await.expect("a status").outbox.rows
}

async fn latency(changes: u64) {
    println!(
        "| | writes a second beside it | p50, ms | p99, ms | most, ms |\n|---|---|---|---|---|"
    );
    for database in Database::all() {
        install(&database, "", true).await;
        let served = Served::start(&database, "").await;
        let mut id = 1_000_000;
        for is_loaded in [false, true] {
            let load = Load::start(&database, is_loaded.then_some(WRITES_PER_SECOND)).await;
            let mut took = Vec::new();
            let mut client = database.client().await;
            let mut shown = served.shown().await;
            for _ in 0..changes {
                id += 1;
                // At any moment between two looks.
                let pause = Duration::from_micros(Random::System.below(30_000));
                Clock::System.sleep(pause).await;
                let insert = format!("insert into orders values ({id}, 'north', '2026-11-19', 5)");
                client.run(&insert).await;
                let committed = Clock::System.now();
                shown += 1;
                while served.shown().await < shown {
                    Clock::System.sleep(Duration::from_micros(200)).await;
                }
                took.push(Clock::System.now().since(committed).as_secs_f64() * 1000.0);
            }
            let (rate, _) = load.stop().await;
            took.sort_by(f64::total_cmp);
            let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
            println!(
                "| {} | {} | {:.1} | {:.1} | {:.1} |",
                database.name(),
                if is_loaded { format!("{rate:.0}") } else { "none".to_owned() },
                at(0.5),
                at(0.99),
                at(1.0)
            );
        }
        served.stop().await;
    }
}

async fn writer(seconds: u64) {
    println!(
        "| | without capture, transactions a second | with it | of it | most rows in the outbox |\n\
         |---|---|---|---|---|"
    );
    for database in Database::all() {
        let is_postgres = matches!(database, Database::Postgres(..));
        measure_writer(&database, "", seconds).await;
        if is_postgres {
            measure_writer(&database, WITHOUT_NOTIFY, seconds).await;
        }
    }
}

async fn measure_writer(database: &Database, options: &str, seconds: u64) {
    let (mut without, mut with, mut most) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        install(database, options, false).await;
        without.push(throughput(database, seconds).await);
        install(database, options, true).await;
        let served = Served::start(database, options).await;
        let stop = Arc::new(AtomicBool::new(false));
        let watched = async {
            while !stop.load(Ordering::Relaxed) {
                most = most.max(waiting(database).await);
                Clock::System.sleep(Duration::from_millis(100)).await;
            }
        };
        let measured = async {
            let rate = throughput(database, seconds).await;
            stop.store(true, Ordering::Relaxed);
            rate
        };
        let (rate, ()) = futures_util::join!(measured, watched);
        with.push(rate);
        served.stop().await;
    }
    let ratios = without.iter().zip(&with).map(|(without, with)| with / without);
    let ratios: Vec<f64> = ratios.collect();
    println!(
        "| {}{} | {:.0} | {:.0} | {:.2} ({:.2}-{:.2}) | {most} |",
        database.name(),
        if options.is_empty() { "" } else { ", without NOTIFY" },
        median(&without),
        median(&with),
        median(&ratios),
        ratios.iter().copied().fold(f64::MAX, f64::min),
        ratios.iter().copied().fold(0.0, f64::max),
    );
}

async fn throughput(database: &Database, seconds: u64) -> f64 {
    let load = Load::start(database, Some(u64::MAX)).await;
    Clock::System.sleep(Duration::from_secs(seconds)).await;
    load.stop().await.0
}

fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Writers that change one order after the other, each in a transaction of its own.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    began: samovar_clock::Instant,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many a second, all writers together.
    async fn start(database: &Database, rate: Option<u64>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let began = Clock::System.now();
        let mut tasks = Vec::new();
        let Some(rate) = rate else { return Self { stop, done, began, tasks } };
        let writers = database.writers() as u64;
        for writer in 0..writers {
            let mut client = database.client().await;
            let (stop, done) = (stop.clone(), done.clone());
            tasks.push(tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    // As many as are due: a sleep takes longer than it should.
                    let due =
                        Clock::System.now().since(began).as_secs_f64() * (rate / writers) as f64;
                    if written as f64 >= due {
                        Clock::System.sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    let id = Random::System.below(2500) * writers + writer + 1;
                    client.update(id).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    written += 1;
                }
            }));
        }
        Self { stop, done, began, tasks }
    }

    /// Writes a second, and how many.
    async fn stop(self) -> (f64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let seconds = Clock::System.now().since(self.began).as_secs_f64();
        for task in self.tasks {
            task.await.expect("it ends well");
        }
        let done = self.done.load(Ordering::Relaxed);
        (done as f64 / seconds, done)
    }
}
