//! Readings are made before anybody asks for them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use samovar_clock::{Clock, Random};
use samovar_engine::{Ask, Batch, ReadFailure, Tier, WarmFailure, WarmUp};
use samovar_jobs::{
    JobId, Pushed, QueueName, ScheduleName, State, WorkerName,
    run::{Served, Settings, Slots, Worker},
    store::{Claim, Suspects},
};
use samovar_memory::{Budget, MB};
use samovar_testkit::{PostgresServer, wait};
use serde_json::Value;

use crate::desk::{Desk, PATIENCE, clock_at, data};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south", time_zone = "Asia/Tokyo" }, { id = "west" }]

[source.shop]
url = "sqlite://shop.db"

[rollup.days]
source = "shop"
partition = { by = "day", at = "received_at" }
tag = "orders/{day}"
query = "select received_at, channel, total from orders where tenant = :tenant and received_at >= :from and received_at < :to"
dimensions = ["channel"]
measures = { orders = "count", revenue = { sum = "total" } }

[widget.totals]
rollup = "days"
show = "totals"
measures = ["orders", "revenue"]
ranges = ["1d", "7d", "30d"]
params.channel = { default = "all", values = ["all", "web", "till"] }

[widget.by_day]
rollup = "days"
show = "series"
measures = ["revenue"]
ranges = ["7d", "30d"]

[widget.stock]
source = "shop"
query = "select count(*) as items from orders where tenant = :tenant and channel = :channel"
params.channel = { default = "web", values = "select distinct channel from orders where tenant = :tenant order by 1" }

[widget.hidden]
source = "shop"
query = "select 1 as x where :tenant <> ''"
mode = "off"

[warm]
at_start = { widgets = ["stock"] }

[schedule.nightly]
cron = "0 3 * * *"
time_zone = "Europe/Oslo"
warm = { widgets = ["stock"], tenants = ["south"], queue = "low" }
"#;

/// 60 orders of each tenant in the last 30 days, two a day.
fn schema() -> String {
    let mut sql =
        "create table orders (tenant text, channel text, total integer, received_at text);
        create index by_time on orders (tenant, received_at);"
            .to_owned();
    for tenant in ["north", "south", "west"] {
        for id in 0..60 {
            let channel = ["web", "till"][id % 2];
            sql += &format!(
                "insert into orders values ('{tenant}', '{channel}', {id}, \
                 datetime('2026-11-20 12:00:00', '-{} hours'));",
                12 * id
            );
        }
    }
    sql
}

async fn open() -> Desk {
    let clock = Clock::Manual(clock_at("2026-11-20T13:00:00Z"));
    Desk::open_at(DEFINITIONS, &schema(), clock).await
}

pub(crate) fn worker(desk: &Desk, queue: &str, slots: usize) -> Worker {
    let queue = QueueName::new(queue).expect("a name");
    let served = Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 };
    let mut settings = Settings::new(WorkerName::new("desk").expect("a name"), vec![served]);
    settings.slots = Slots::fixed(slots);
    settings.poll = Duration::from_millis(5);
    let budget = Budget::new(512 * MB, Clock::System);
    let registry = desk.engine.registry().expect("kinds");
    let worker =
        Worker::start(settings, desk.jobs.clone(), registry, budget, Clock::System, Random::System);
    worker.expect("it starts")
}

/// One that is yet to be divided counts as one that goes on.
pub(crate) async fn ended(desk: &Desk, id: &str) -> Batch {
    let look = || async {
        let batch = desk.engine.batch(id).await.expect("asked")?;
        batch.finished_ms.is_some().then_some(batch)
    };
    wait::until_async(PATIENCE, "the batch ends", look).await.expect("it ends")
}

async fn warm(desk: &Desk, warm_up: &WarmUp) -> Batch {
    let warming = desk.engine.warm(warm_up).await.expect("dispatched");
    ended(desk, &warming.batch).await
}

fn widget(name: &str) -> WarmUp {
    WarmUp { widgets: vec![name.to_owned()], ..WarmUp::default() }
}

pub(crate) async fn is_kept(
    desk: &Desk,
    widget: &str,
    tenant: &str,
    given: &[(&str, &str)],
) -> bool {
    let given = crate::desk::pairs(given);
    desk.engine.why(widget, tenant, given).await.expect("explained").stored.is_some()
}

async fn read(desk: &Desk) -> (u64, u64) {
    let sources = desk.engine.statistics().await.sources;
    (sources["shop"].queries, sources["shop"].rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_warmed_is_read_from_memory_and_each_order_was_read_once() {
    let desk = open().await;
    let worker = worker(&desk, "cache", 2);
    let batch = warm(&desk, &WarmUp::default()).await;
    assert_eq!((batch.state, batch.total, batch.failed), ("done", 3, 0));
    // For each tenant: its orders once, its channels, and two counts.
    assert_eq!(read(&desk).await, (3 * 4, 3 * (60 + 2 + 2)));
    for tenant in ["north", "south", "west"] {
        for range in ["1d", "7d", "30d"] {
            for channel in ["all", "web", "till"] {
                let given = [("range", range), ("channel", channel)];
                let answer = desk.try_read("totals", tenant, &given).await.expect("an answer");
                assert_ne!(answer.tier(), Tier::Computed, "{tenant} {given:?}");
            }
        }
        let answer = desk.try_read("stock", tenant, &[("channel", "till")]).await;
        assert_ne!(answer.expect("an answer").tier(), Tier::Computed);
    }
    let month = desk.read("totals", &[("range", "30d"), ("channel", "web")]).await;
    assert_eq!(data(&month)["totals"]["orders"], 30);
    assert_eq!(read(&desk).await.0, 3 * 4, "nobody asked the source again");
    let totals = &desk.engine.statistics().await.widgets["totals"];
    assert_eq!((totals.misses, totals.refreshes), (0, 27), "nobody waited for anything");

    let again = warm(&desk, &WarmUp::default()).await;
    assert_eq!(again.state, "done");
    assert_eq!(read(&desk).await.0, 3 * 4, "what is fresh is left as it is");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn widgets_ranges_and_tenants_can_be_named() {
    let desk = open().await;
    let worker = worker(&desk, "cache", 2);
    let named = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let warm_up =
        WarmUp { ranges: named(&["7d", "14d"]), tenants: named(&["south"]), ..WarmUp::default() };
    let batch = warm(&desk, &warm_up).await;
    assert_eq!((batch.state, batch.total), ("done", 1));
    for (widget, tenant, given, kept) in [
        ("totals", "south", &[("range", "7d"), ("channel", "till")][..], true),
        ("by_day", "south", &[("range", "14d")], true),
        ("totals", "south", &[("range", "30d")], false),
        ("totals", "north", &[("range", "7d")], false),
        ("stock", "south", &[], false),
    ] {
        assert_eq!(
            is_kept(&desk, widget, tenant, given).await,
            kept,
            "{widget} {tenant} {given:?}"
        );
    }
    let batch = warm(&desk, &widget("stock")).await;
    assert_eq!((batch.state, batch.total), ("done", 3));
    assert!(is_kept(&desk, "stock", "west", &[("channel", "till")]).await);
    assert!(!is_kept(&desk, "totals", "west", &[]).await);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_warmed_is_refused_before_anything_is_pushed() {
    let desk = open().await;
    let refused = async |warm_up: WarmUp| desk.engine.warm(&warm_up).await.expect_err("refused");
    let unknown = refused(widget("totls")).await;
    let WarmFailure::Named(ReadFailure::UnknownWidget { nearest, .. }) = unknown else {
        panic!("{unknown}");
    };
    assert_eq!(nearest.as_deref(), Some("totals"));
    let one = |text: &str| vec![text.to_owned()];
    let tenant = refused(WarmUp { tenants: one("east"), ..WarmUp::default() }).await;
    assert_eq!(tenant.to_string(), "there is no tenant `east`");
    let range = refused(WarmUp { ranges: one("7x"), ..WarmUp::default() }).await;
    assert!(matches!(range, WarmFailure::Range(_)), "{range}");
    let queue = refused(WarmUp { queue: Some("a b".to_owned()), ..WarmUp::default() }).await;
    assert!(matches!(queue, WarmFailure::Name(_)), "{queue}");
    for parallel in [0, 10_001] {
        let none = refused(WarmUp { parallel: Some(parallel), ..WarmUp::default() }).await;
        assert!(matches!(none, WarmFailure::Parallel { .. }), "{none}");
    }
    assert_eq!(desk.jobs.figures().await.expect("figures"), []);
    assert_eq!(desk.engine.batch("nothing").await.expect("asked"), None);
    assert_eq!(desk.engine.cancel_batch("0000000000000001").await.expect("asked"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_force_even_what_is_fresh_is_made_from_the_source() {
    let desk = open().await;
    let worker = worker(&desk, "cache", 2);
    warm(&desk, &WarmUp::default()).await;
    desk.write("insert into orders values ('north', 'web', 1000, '2026-10-30 10:00:00')");
    let orders = async || {
        let answer = desk.read("totals", &[("range", "30d")]).await;
        data(&answer)["totals"]["orders"].as_u64().expect("a count")
    };
    warm(&desk, &widget("totals")).await;
    assert_eq!(orders().await, 60, "nobody has told");
    let forced = WarmUp { force: true, ..widget("totals") };
    assert_eq!(warm(&desk, &forced).await.state, "done");
    let before = read(&desk).await;
    assert_eq!(orders().await, 61);
    assert_eq!(read(&desk).await, before, "it was made before it was asked for");
    worker.drain().await;
}

/// The tenants of the jobs that wait, in the order in which they are given out.
async fn given_out(desk: &Desk) -> Vec<Vec<String>> {
    let claim = Claim {
        worker: WorkerName::new("nobody").expect("a name"),
        queues: vec![(QueueName::new("cache").expect("a name"), 100)],
        lease: Duration::from_secs(30),
        version: 0,
        except: Vec::new(),
        rules: Arc::new([]),
        suspects: Suspects::None,
    };
    let given = desk.jobs.claim(claim).await.expect("claimed").jobs;
    let payloads = given.iter().map(|job| serde_json::from_slice(&job.payload).expect("JSON"));
    let tenants = payloads.map(|payload: Value| payload["tenants"].clone());
    tenants.map(|tenants| serde_json::from_value(tenants).expect("names")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_most_is_warmed_first() {
    let desk = open().await;
    for (tenant, reads) in [("south", 5), ("west", 9)] {
        for _ in 0..reads {
            desk.try_read("stock", tenant, &[]).await.expect("an answer");
        }
    }
    desk.engine.warm(&WarmUp::default()).await.expect("dispatched");
    assert_eq!(given_out(&desk).await, [["west"], ["south"], ["north"]]);
    let side_by_side = WarmUp { parallel: Some(2), ..WarmUp::default() };
    desk.engine.warm(&side_by_side).await.expect("dispatched");
    assert_eq!(given_out(&desk).await, [vec!["west", "north"], vec!["south"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_up_that_is_cancelled_leaves_nothing_half_done() {
    let tenants: Vec<_> = (0..60).map(|id| format!("{{ id = \"t{id}\" }}")).collect();
    let list = format!("list = [{}]", tenants.join(", "));
    let of_three = DEFINITIONS.lines().find(|it| it.starts_with("list")).expect("tenants");
    let definitions = DEFINITIONS.replace(of_three, &list).replace(", tenants = [\"south\"]", "");
    let desk = Desk::open(&definitions, &schema()).await;
    let worker = worker(&desk, "cache", 2);
    let warming = desk.engine.warm(&WarmUp::default()).await.expect("dispatched");
    let some = || async {
        let batch = desk.engine.batch(&warming.batch).await.expect("asked").expect("there");
        (batch.pending < 50).then_some(())
    };
    wait::until_async(PATIENCE, "some are done", some).await.expect("they are");
    desk.engine.cancel_batch(&warming.batch).await.expect("cancelled");
    let batch = ended(&desk, &warming.batch).await;
    assert_eq!((batch.state, batch.failed), ("cancelled", 0));
    assert!(batch.cancelled > 0);
    let mut kept = 0;
    for id in 0..60 {
        for given in [&[("range", "30d")][..], &[("range", "1d"), ("channel", "web")]] {
            let given = crate::desk::pairs(given);
            let why = desk.engine.why("totals", &format!("t{id}"), given).await;
            let why = why.expect("explained");
            assert!(why.lease.is_none(), "t{id}");
            kept += u64::from(why.stored.is_some());
        }
    }
    assert!(kept < 120, "it was stopped");
    let batch = warm(&desk, &WarmUp::default()).await;
    assert_eq!((batch.state, batch.total), ("done", 60));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_that_fails_holds_up_no_other() {
    let desk = open().await;
    // Its list of channels is no list for one of them.
    desk.write("insert into orders values ('west', x'00', 1, '2026-11-19 10:00:00')");
    let worker = worker(&desk, "cache", 2);
    let warming = desk.engine.warm(&WarmUp::default()).await.expect("dispatched");
    let others = || async {
        let figures = desk.jobs.figures().await.expect("figures");
        let cache = figures.iter().find(|it| it.queue.as_str() == "cache")?;
        (cache.done == 2 && cache.scheduled == 1).then_some(())
    };
    wait::until_async(PATIENCE, "two are done", others).await.expect("they are");
    let batch = desk.engine.batch(&warming.batch).await.expect("asked").expect("there");
    assert_eq!((batch.state, batch.pending), ("running", 1), "it is tried again later");
    assert!(is_kept(&desk, "stock", "south", &[("channel", "till")]).await);
    worker.drain().await;
}

async fn result_of(desk: &Desk, id: JobId) -> Value {
    let look = || async {
        let details = desk.jobs.show(id).await.expect("asked").expect("it is there");
        (details.job.state == State::Done).then_some(details.result)
    };
    let result = wait::until_async(PATIENCE, "the job is done", look).await.expect("it is");
    serde_json::from_slice(&result.expect("a result")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_dispatches_what_it_names_on_the_queue_it_names() {
    let desk = open().await;
    let (cache, low) = (worker(&desk, "cache", 1), worker(&desk, "low", 1));
    let schedules = desk.engine.schedules().expect("sound");
    let listed = schedules.list(&desk.jobs, Clock::System.wall()).await.expect("listed");
    let names: BTreeSet<_> = listed.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(names, BTreeSet::from(["nightly".to_owned(), "samovar.usual".to_owned()]));
    let nightly = ScheduleName::new("nightly").expect("a name");
    let pushed = schedules.run_now(&nightly, &desk.jobs, &Random::System).await.expect("pushed");
    let Some(Pushed::New(id)) = pushed else { panic!("{pushed:?}") };
    let warming = result_of(&desk, id).await;
    assert_eq!((warming["queue"].as_str(), warming["tenants"].as_u64()), (Some("low"), Some(1)));
    let batch = ended(&desk, warming["batch"].as_str().expect("an id")).await;
    assert_eq!((batch.name.as_str(), batch.state, batch.total), ("nightly", "done", 1));
    assert!(is_kept(&desk, "stock", "south", &[("channel", "till")]).await);
    assert!(!is_kept(&desk, "stock", "north", &[]).await);
    cache.drain().await;
    low.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_processes_that_start_together_one_warms() {
    let desk = open().await;
    desk.engine.warm_at_start().await.expect("pushed");
    desk.engine.warm_at_start().await.expect("it is there");
    let figures = desk.jobs.figures().await.expect("figures");
    assert_eq!(figures.iter().map(|it| it.waiting).sum::<u64>(), 1);
    let worker = worker(&desk, "cache", 1);
    let kept = || async { is_kept(&desk, "stock", "west", &[]).await.then_some(()) };
    wait::until_async(PATIENCE, "it is warmed", kept).await.expect("it is");
    assert!(!is_kept(&desk, "totals", "west", &[]).await, "only what it names");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_usually_read_at_an_hour_is_warmed_before_it() {
    let hands = clock_at("2026-11-20T13:01:00Z");
    let clock = Clock::Manual(hands.clone());
    let desk = Desk::open_at(DEFINITIONS, &schema(), clock.clone()).await;
    for _ in 0..5 {
        desk.read("totals", &[("range", "7d"), ("channel", "web")]).await;
    }
    desk.try_read("totals", "south", &[("range", "30d")]).await.expect("once is not usual");
    // What was counted is kept every ten minutes, and a process that comes later finds it.
    let kept = || async {
        hands.advance(Duration::from_secs(600));
        let found = desk.engine.usual(13).await;
        (!found.is_empty()).then_some(found)
    };
    let found = wait::until_async(PATIENCE, "it is remembered", kept).await.expect("it is");
    let reads: Vec<_> = found.iter().map(|it| (it.tenant.as_str(), it.reads)).collect();
    assert_eq!(reads, [("north", 5.0), ("south", 1.0)]);
    let desk = desk.reopen(DEFINITIONS, clock, Ask::All).await;
    // The next day, ten minutes before one.
    let at: jiff::Timestamp = "2026-11-21T12:50:00Z".parse().expect("a time");
    let until = at.as_millisecond() - hands.wall().as_millis();
    hands.advance(Duration::from_millis(u64::try_from(until).expect("it is later")));
    let worker = worker(&desk, "cache", 1);
    let schedules = desk.engine.schedules().expect("sound");
    let name = ScheduleName::new("samovar.usual").expect("a name");
    let pushed = schedules.run_now(&name, &desk.jobs, &Random::System).await.expect("pushed");
    let Some(Pushed::New(id)) = pushed else { panic!("{pushed:?}") };
    let warming = result_of(&desk, id).await;
    let batch = ended(&desk, warming["batch"].as_str().expect("an id")).await;
    assert_eq!((batch.state, batch.total), ("done", 1));
    let before = read(&desk).await;
    let given = [("range", "7d"), ("channel", "web")];
    let why = desk.engine.why("totals", "north", crate::desk::pairs(&given)).await;
    let answer = desk.read("totals", &given).await;
    assert_ne!(
        answer.tier(),
        Tier::Computed,
        "{why:#?} {:?}",
        desk.engine.statistics().await.widgets
    );
    assert_eq!(read(&desk).await, before);
    assert!(!is_kept(&desk, "totals", "south", &[("range", "30d")]).await);
    worker.drain().await;
}

/// Orders of the last 120 days, one every two hours, in eight channels.
const ON_POSTGRES: &str = "
    create table orders (tenant text, channel text, total bigint, received_at timestamptz);
    insert into orders select 'north', 'channel-' || id % 8, id,
        timestamptz '2026-11-20 12:00:00Z' - id * interval '2 hours' from generate_series(0, 1439) id;
    create index on orders (tenant, received_at); analyze orders;";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_counts_that_each_order_is_read_once_for_360_readings() {
    let server = PostgresServer::start().expect("it starts");
    server.execute(ON_POSTGRES).expect("a table");
    let rollup = DEFINITIONS.split("[widget.totals]").next().expect("a rollup");
    let rollup = rollup.replace("sqlite://shop.db", &server.url());
    let channels: Vec<_> = (0..8).map(|it| format!("\"channel-{it}\"")).collect();
    let widgets = (0..8).map(|index| {
        let show = ["totals", "series"][index % 2];
        format!(
            "[widget.w{index}]\nrollup = \"days\"\nshow = \"{show}\"\nmeasures = [\"orders\"]\n\
             ranges = [\"1d\", \"yesterday\", \"7d\", \"30d\", \"90d\"]\n\
             params.channel = {{ default = \"all\", values = [\"all\", {}] }}\n",
            channels.join(", ")
        )
    });
    let definitions = rollup + &widgets.collect::<String>();
    let clock = Clock::Manual(clock_at("2026-11-20T13:00:00Z"));
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::over(folder, &definitions, clock, Ask::All).await;
    let worker = worker(&desk, "cache", 1);
    let north = WarmUp { tenants: vec!["north".to_owned()], ..WarmUp::default() };
    assert_eq!(warm(&desk, &north).await.state, "done");
    let made: u64 = desk.engine.statistics().await.widgets.values().map(|it| it.computes).sum();
    assert_eq!(made, 360);
    let counted = "select sum(calls)::text || ' ' || sum(rows)::text from pg_stat_statements \
                   where query like '%from orders where tenant%' and query not like 'explain%'";
    // A query is counted when its transaction is over, which nobody waits for.
    let counted = wait::until_async(PATIENCE, "the query to be counted", || {
        let rows = server.query(counted).expect("an answer");
        std::future::ready(Some(rows[0][0].clone()).filter(|it| it != "NULL"))
    });
    let counted = counted.await.expect("it is");
    // Since midnight of the 90th day: seven of today, twelve of each other day.
    assert_eq!(counted, format!("1 {}", 7 + 89 * 12), "calls and rows");
    let answer = desk.read("w0", &[("range", "90d")]).await;
    assert_eq!(data(&answer)["totals"]["orders"], 7 + 89 * 12);
    worker.drain().await;
}
