//! Warm-ups as they are: through jobs, a worker and its budget, the cache and a source.
//!
//! - `cargo run --release -p samovar-engine --example warm_up -- one [ORDERS [plain]]`: one tenant, cold;
//!   plain SQL beside it, of more than 100,000 orders only if it is asked for, since it takes minutes; then
//!   again after one new order
//! - `... -- many [TENANTS]`: many tenants in one batch; another one is cancelled half-way

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod shop;

use std::{fs, path::Path, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rusqlite::Connection;
use samovar_cache::{Cache, Folder, Settings};
use samovar_clock::{Clock, Random};
use samovar_engine::{
    Ask, Batch, Catalogue, Change, Clearing, Engine, Observe, SourceShown, WarmUp,
};
use samovar_jobs::{
    QueueName, Store, WorkerName,
    run::{self, Served, Slots, Worker},
    store::EmbeddedStore,
};
use samovar_memory::{
    Account, Budget, MB, Metered, ProcessMemory,
    sqlite::{self, Payer},
};
use samovar_packs::commerce;
use samovar_widgets::{Definitions, Document};

#[global_allocator]
static ALLOCATOR: Metered = Metered::new();

/// As the program has it.
#[expect(unsafe_code, reason = "jemalloc reads this name before the program begins")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ARENAS: &[u8; 16] = b"narenas_ratio:1\0";

const BUDGET: u64 = 256 * MB;

/// Everything that a process has.
struct Place {
    engine: Engine,
    cache: Cache,
    store: Arc<Store>,
    worker: Option<Worker>,
    budget: Budget,
    /// Removed at the end.
    _folder: tempfile::TempDir,
}

impl Place {
    async fn open(folder: tempfile::TempDir, definitions: &str) -> Self {
        let (clock, random) = (Clock::System, Random::System);
        let document = Document::parse(definitions).expect("it is TOML");
        let definitions = Definitions::read(&mut document.root());
        assert_eq!(document.problems(), []);
        let catalogue = Catalogue::check(&definitions, folder.path(), &clock, Ask::Nobody).await;
        // What the local tier holds is no work in progress, and has a limit of its own.
        let settings = Settings { memory: 32 * MB, ..Settings::default() };
        let cache = Cache::builder().settings(settings.clone());
        let cache = cache.open(&folder.path().join("cache")).await.expect("a cache");
        let owned = Folder::own(folder.path().join("jobs")).expect("a folder");
        let store = EmbeddedStore::open(owned, clock.clone(), random.clone()).await;
        let store = Arc::new(Store::Embedded(store.expect("a store")));
        let catalogue = catalogue.expect("nothing is wrong");
        let (observe, jobs) = (Observe::default(), Some(store.clone()));
        let engine = Engine::start(cache.clone(), &settings, catalogue, observe, jobs);
        let engine = engine.expect("it starts");
        let budget = Budget::new(BUDGET, clock.clone());
        let mut place = Self { engine, cache, store, worker: None, budget, _folder: folder };
        place.start_worker();
        place
    }

    fn start_worker(&mut self) {
        let queue = QueueName::new("cache").expect("a name");
        let served = Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 };
        let name = WorkerName::new("example").expect("a name");
        let mut settings = run::Settings::new(name, vec![served]);
        settings.slots = Slots { min: 1, max: 4 };
        settings.poll = Duration::from_millis(5);
        let (clock, random) = (Clock::System, Random::System);
        let registry = self.engine.registry().expect("kinds");
        let budget = self.budget.clone();
        let worker = Worker::start(settings, self.store.clone(), registry, budget, clock, random);
        self.worker = Some(worker.expect("it starts"));
    }

    async fn source(&self) -> SourceShown {
        self.engine.statistics().await.sources.remove("shop").expect("it is read")
    }

    /// Until the batch is done or `look` says that it has seen enough.
    async fn follow(&self, id: &str, mut look: impl FnMut(&Batch) -> bool) -> Batch {
        loop {
            let batch = self.engine.batch(id).await.expect("known").expect("there");
            if batch.finished_ms.is_some() || look(&batch) {
                return batch;
            }
            Clock::System.sleep(Duration::from_millis(1)).await;
        }
    }

    async fn warm(&self, warm_up: &WarmUp) -> (Duration, Batch) {
        let start = Clock::System.now();
        let warming = self.engine.warm(warm_up).await.expect("dispatched");
        if let Some(worker) = &self.worker {
            worker.wake();
        }
        let batch = self.follow(&warming.batch, |_| false).await;
        (Clock::System.now().since(start), batch)
    }
}

fn shop(folder: &Path) -> Connection {
    let shop = Connection::open(folder.join("shop.db")).expect("a database");
    shop.pragma_update(None, "journal_mode", "wal").expect("a log");
    shop
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(Clock::System.wall().as_millis()).expect("a time")
}

/// The day of a shop, and where it is.
fn today() -> (Date, TimeZone) {
    let zone = shop::zone(now());
    (zone.to_datetime(now()).date(), zone)
}

fn resident() -> u64 {
    ProcessMemory::own().map_or(0, |memory| memory.rss_bytes)
}

/// The most memory that the process has had since it was asked last.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    // Where it cannot be reset the peak is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
    kib.unwrap_or(0) * 1024
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / MB as f64
}

#[tokio::main]
async fn main() {
    // As the program does: otherwise it would be counted, and given back, by other rules.
    let sqlite = Account::unlimited("sqlite");
    sqlite::route(Payer::Account(sqlite)).expect("before the first connection");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|it| it.parse().ok());
    match arguments.first().map(String::as_str) {
        Some("one") => {
            let orders = number(1).unwrap_or(20_425);
            one(orders, orders <= 100_000 || arguments.get(2).is_some()).await;
        }
        Some("many") => many(number(1).unwrap_or(500) as usize).await,
        _ => println!("one [ORDERS], or many [TENANTS]"),
    }
}

async fn one(orders: u64, beside_plain: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (last, zone) = &today();
    let connection = shop(folder.path());
    shop::generate(&connection, 1, orders, (now(), zone));
    println!(
        "{orders} orders, {} ranges, {} channels and all of them, {} widgets",
        shop::RANGES.len(),
        commerce::CHANNELS.len(),
        shop::WIDGETS.len()
    );

    // Without an index: SQLite counts each row of the table that it steps over.
    let place = Place::open(folder, &shop::definitions("sqlite://shop.db", 1, None, zone)).await;
    let before = place.source().await;
    place.warm(&WarmUp::default()).await;
    let after = place.source().await;
    let scanned = after.scanned.unwrap_or(0) - before.scanned.unwrap_or(0);
    println!(
        "counted by SQLite, without an index: {scanned} steps over {orders} rows in {} query",
        after.queries - before.queries
    );
    connection
        .execute_batch("create index by_time on orders (tenant_id, received_at)")
        .expect("an index");
    let plain = |channel: &str| {
        let start = Clock::System.now();
        shop::by_plain_sql(&connection, (*last, zone), channel);
        Clock::System.now().since(start)
    };
    // What takes minutes is not done again and again.
    let rounds = if orders > 100_000 { 1 } else { 5 };
    if rounds > 1 {
        plain("all");
    }
    println!(
        "| orders read | cold | µs an order | peak growth | plain SQL, all channels at once | / cold \
         | plain SQL, one channel | / cold |\n|---|---|---|---|---|---|---|---|"
    );
    for _ in 0..rounds {
        let everything = Clearing { all: true, ..Clearing::default() };
        place.engine.clear(&everything).await.expect("cleared");
        samovar_memory::purge();
        let (idle, before) = (resident(), place.source().await);
        peak();
        let (cold, _) = place.warm(&WarmUp::default()).await;
        let growth = peak().saturating_sub(idle);
        let read = place.source().await.rows - before.rows;
        let beside = |channel| {
            let plain = beside_plain.then(|| plain(channel));
            plain.map_or("| |".to_owned(), |plain| {
                format!("{plain:.1?} | {:.1} |", plain.as_secs_f64() / cold.as_secs_f64())
            })
        };
        let (all, one) = (beside("all"), beside(commerce::CHANNELS[3]));
        println!(
            "| {read} | {cold:.1?} | {:.2} | {:.1} MB | {all} {one}",
            cold.as_secs_f64() * 1e6 / read as f64,
            mb(growth),
        );
    }
    again(&place, &connection, (*last, zone)).await;
    let state = place.cache.store_state().await;
    println!("kept: {:?} keys, {:.2} MB", state.keys, mb(state.memory_bytes.unwrap_or(0)));
    history(&place, *last).await;
    place.worker.expect("running").drain().await;
}

/// After one new order, and one of 60 days ago that comes late. The first time is not counted.
async fn again(place: &Place, connection: &Connection, (last, zone): (Date, &TimeZone)) {
    const ROUNDS: u32 = 10;
    let random = Random::seeded(8);
    for age in [0, 60] {
        let day = last - jiff::Span::new().days(age);
        let (mut times, mut before, mut spent) = (Vec::new(), place.source().await, 0);
        for round in 0..=ROUNDS {
            if round == 1 {
                (before, spent) = (place.source().await, ticks());
            }
            let mut order = commerce::order(day, (now(), zone), &random);
            if age == 0 {
                order.received_at = now();
            }
            let hour = zone.to_datetime(order.received_at).strftime("orders/%Y/%m/%d/%H");
            let tags = vec![hour.to_string()];
            let change = Change { tenant: Some("t0".to_owned()), tags, ..Change::default() };
            shop::insert(connection, "t0", &order);
            place.engine.invalidate(&change).await.expect("invalidated");
            let (took, _) = place.warm(&WarmUp::default()).await;
            times.push(took);
        }
        let (after, spent) = (place.source().await, (ticks() - spent) * 10 / u64::from(ROUNDS));
        times.remove(0);
        times.sort();
        println!(
            "after one order of {age} days ago: {:.1?} ({:.1?} to {:.1?}), {spent} ms of processors, {} query, {} orders read again",
            times[times.len() / 2],
            times[0],
            times[times.len() - 1],
            (after.queries - before.queries) / u64::from(ROUNDS),
            (after.rows - before.rows) / u64::from(ROUNDS),
        );
    }
}

/// Of processor time, in hundredths of a second.
fn ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let numbers = behind.split_whitespace().skip(11).take(2);
    numbers.filter_map(|it| it.parse::<u64>().ok()).sum()
}

/// A reading over all days there are, whose partials are kept, in this process or only in the shared
/// tier: what it costs that each day is kept by itself.
async fn history(place: &Place, last: Date) {
    let first = last - jiff::Span::new().days(1099);
    let read = async |from: Date| {
        let given = vec![("range".to_owned(), format!("{from}..{last}"))];
        let start = Clock::System.now();
        let answer = place.engine.read("w0", "t0", given).await.expect("read");
        (Clock::System.now().since(start), answer.provenance().queries)
    };
    let (took, queries) = read(first).await;
    println!("1,100 days, 90 of them kept: {took:.1?}, {queries} query");
    let mut times = Vec::new();
    for back in 1..=11 {
        let (took, queries) = read(first + jiff::Span::new().days(back)).await;
        assert_eq!(queries, 0, "all of it is kept");
        times.push(took);
    }
    times.sort();
    println!(
        "1,099 days, all of them kept: {:.1?} ({:.1?} to {:.1?})",
        times[5], times[0], times[10]
    );
    let state = place.cache.store_state().await;
    println!("kept: {:?} keys, {:.2} MB", state.keys, mb(state.memory_bytes.unwrap_or(0)));
}

async fn many(tenants: usize) {
    const ORDERS: u64 = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, zone) = &today();
    let connection = shop(folder.path());
    shop::generate(&connection, tenants, ORDERS, (now(), zone));
    let index = "create index by_time on orders (tenant_id, received_at)";
    connection.execute_batch(index).expect("an index");
    let place =
        Place::open(folder, &shop::definitions("sqlite://shop.db", tenants, None, zone)).await;
    // Some are read: these go first.
    for (reads, tenant) in [(30, "t321"), (20, "t123"), (10, "t222")] {
        for _ in 0..reads {
            place.engine.read("w0", tenant, Vec::new()).await.expect("read");
        }
    }
    println!("{tenants} tenants with {ORDERS} orders each, a budget of {} MB", BUDGET / MB);
    samovar_memory::purge();
    let idle = resident();
    peak();
    let start = Clock::System.now();
    let warming = place.engine.warm(&WarmUp::default()).await.expect("dispatched");
    let mut shown = 0;
    let (mut most, mut in_use) = (0, 0);
    let batch = place
        .follow(&warming.batch, |batch| {
            let usage = place.budget.usage();
            most = most.max(usage.running);
            in_use = in_use.max(usage.rss_bytes);
            let done = (batch.total - batch.pending) * 10 / batch.total;
            if done > shown {
                shown = done;
                let at = Clock::System.now().since(start);
                println!("{} % after {at:.1?}, resident {:.0} MB", done * 10, mb(resident()));
            }
            false
        })
        .await;
    let took = Clock::System.now().since(start);
    println!(
        "{}: {} of {} jobs, {} failed, in {took:.1?}; at most {most} at a time, resident for them at most {:.1} MB",
        batch.state,
        batch.total - batch.pending,
        batch.total,
        batch.failed,
        mb(in_use)
    );
    println!(
        "peak {:.1} MB above the {:.1} MB of before",
        mb(peak().saturating_sub(idle)),
        mb(idle)
    );
    cancelled(&place).await;
    place.worker.expect("running").drain().await;
}

async fn cancelled(place: &Place) {
    let warm_up = WarmUp { force: true, ..WarmUp::default() };
    let warming = place.engine.warm(&warm_up).await.expect("dispatched");
    place.follow(&warming.batch, |batch| batch.pending * 2 < batch.total).await;
    let start = Clock::System.now();
    place.engine.cancel_batch(&warming.batch).await.expect("cancelled");
    let batch = place.follow(&warming.batch, |_| false).await;
    println!(
        "cancelled half-way: {} in {:.1?}, {} of {} jobs cancelled, {} failed",
        batch.state,
        Clock::System.now().since(start),
        batch.cancelled,
        batch.total,
        batch.failed
    );
}
