//! What the source records is applied, whatever its rows lack, and however many there are.

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;
use samovar_cache::Tier;
use samovar_clock::{Clock, ManualClock, Random};
use samovar_engine::{Ask, CaptureShown, Capturing};
use samovar_jobs::{
    QueueName, WorkerName,
    run::{self, Served, Slots, Worker},
};
use samovar_memory::Budget;
use samovar_testkit::wait;
use samovar_widgets::{Captured, Definitions, Document};

use crate::desk::{Desk, PATIENCE, clock_at};

const SCHEMA: &str = "create table orders (tenant text, at text, branch text, total integer);
                      create table rates (name text, rate real)";

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south", time_zone = "Europe/Oslo" }]

[source.shop]
url = "sqlite://shop.db"

[widget.day]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant and date(at) = replace(:day, '.', '-')"
params.day = {}
tags = ["day-{day}/orders"]

[widget.branch]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant and branch = :branch"
params.branch = {}
tags = ["branches/{branch}"]

[widget.other]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant"
tags = ["nothing"]

[widget.whole]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant"

[widget.rates]
source = "shop"
query = "select name, rate from rates where :tenant <> ''"
tags = ["global:rates"]

[capture.orders]
source = "shop"
table = "orders"
columns = ["tenant", "at", "branch"]
tenant = "tenant"
at = "at"
tags = ["orders/{day}", "branches/{branch}"]

[capture.rates]
source = "shop"
table = "rates"
columns = ["name"]
tag = "global:rates/{name}"
"#;

struct Shop {
    desk: Desk,
    capturing: Capturing,
}

impl Shop {
    async fn open(definitions: &str) -> Self {
        Self::open_at(definitions, Clock::System).await
    }

    async fn open_at(definitions: &str, clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Connection::open(folder.path().join("shop.db")).expect("a database");
        database.pragma_update(None, "journal_mode", "wal").expect("a log");
        database.execute_batch(SCHEMA).expect("tables");
        let document = Document::parse(definitions).expect("it is TOML");
        let read = Definitions::read(&mut document.root());
        let captured =
            Captured::of(&read.sources[0], &read.captures, folder.path(), &Clock::System);
        let mut installer = captured.installer(None).await.expect("connected");
        installer.install().await.expect("installed");
        let desk = Desk::over(folder, definitions, clock, Ask::All).await;
        let capturing = desk.engine.start_capturing();
        let shop = Self { desk, capturing };
        shop.applied().await;
        shop
    }

    /// Returns when the outbox is empty.
    async fn applied(&self) {
        let database = self.desk.database();
        let left = || {
            let count = "select count(*) from samovar_outbox";
            database.query_row(count, [], |row| row.get::<_, u32>(0)).expect("a count")
        };
        let waiting = wait::until_async(PATIENCE, "the outbox to be empty", || async {
            (left() == 0).then_some(())
        });
        waiting.await.expect("applied");
    }

    /// How often it was computed. A read may find what a refresh has made meanwhile.
    fn computes(&self, tenant: &str, widget: &str) -> u64 {
        let detail = self.desk.engine.widget_statistics(widget).expect("declared");
        detail.tenants.get(tenant).map_or(0, |it| it.computes)
    }

    /// Until it is computed once more, by `read` or before it.
    async fn computed_again(&self, widget: &str, before: u64, read: impl AsyncFn()) {
        let again = wait::until_async(PATIENCE, "it is computed again", || async {
            read().await;
            (self.computes("north", widget) > before).then_some(())
        });
        again.await.expect("once more");
    }

    /// Which of these are computed anew after a change.
    async fn touched(&self, sql: &str) -> Vec<&'static str> {
        const READINGS: [(&str, &str, &str); 6] = [
            ("north", "branch", "west"),
            ("south", "branch", "west"),
            ("north", "other", ""),
            ("north", "whole", ""),
            ("south", "whole", ""),
            ("north", "rates", ""),
        ];
        let read = async |(tenant, widget, branch): (&str, &str, &str)| {
            let given = [("branch", branch)];
            let given = if branch.is_empty() { &[][..] } else { &given };
            self.desk.try_read(widget, tenant, given).await.expect("an answer");
            self.computes(tenant, widget)
        };
        let mut before = Vec::new();
        for reading in READINGS {
            before.push(read(reading).await);
        }
        self.desk.write(sql);
        self.applied().await;
        let mut touched = Vec::new();
        for (reading, before) in READINGS.into_iter().zip(before) {
            if read(reading).await > before {
                touched.push(match reading {
                    ("north", "branch", _) => "north branch",
                    ("south", "branch", _) => "south branch",
                    (_, "other", _) => "other",
                    ("north", "whole", _) => "north",
                    ("south", "whole", _) => "south",
                    _ => "rates",
                });
            }
        }
        touched
    }

    fn shown(&self) -> CaptureShown {
        self.desk.engine.captures().remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_touches_what_it_names_and_one_that_says_too_little_something_broader() {
    let shop = Shop::open(DEFINITIONS).await;
    let north = "insert into orders values ('north', '2026-11-19', 'west', 5)";
    assert_eq!(shop.touched(north).await, ["north branch", "north"]);
    let east = "insert into orders values ('north', '2026-11-19', 'east', 5)";
    assert_eq!(shop.touched(east).await, ["north"], "another branch");
    let none = "insert into orders values ('north', '2026-11-19', null, 5)";
    assert_eq!(shop.touched(none).await, ["north branch", "north"], "any branch");
    let odd = "insert into orders values ('north', 'soon', 'a/b', 5)";
    assert_eq!(shop.touched(odd).await, ["north branch", "north"], "what fits no tag");
    assert_eq!(shop.shown().broader, 2);
    let moved = "update orders set tenant = 'south' where branch = 'west'";
    let all = ["north branch", "south branch", "north", "south"];
    assert_eq!(shop.touched(moved).await, all, "whom it left and to whom it came");
    let nobody = "insert into orders values (null, '2026-11-19', 'west', 5)";
    assert_eq!(shop.touched(nobody).await, all, "it may be anybody's");
    assert_eq!(shop.shown().of_unknown_tenants, 0);
    let unknown = "insert into orders values ('east', '2026-11-19', 'west', 5)";
    assert_eq!(shop.touched(unknown).await, all, "nobody knows whose it is");
    assert_eq!(shop.shown().of_unknown_tenants, 1);
    let rate = "insert into rates values ('usd', 1.5)";
    assert_eq!(
        shop.touched(rate).await,
        ["north", "south", "rates"],
        "all who depend on the source"
    );
    let mark = "insert into samovar_outbox (capture, data) values ('orders', 'no JSON')";
    assert_eq!(shop.touched(mark).await, all, "what cannot be read");
    let gone = "insert into samovar_outbox (capture, data) values ('gone', '[{}]')";
    assert_eq!(shop.touched(gone).await, ["north", "south"], "of what is not declared any more");
    shop.capturing.stop().await;
    assert!(!shop.desk.engine.captures()[0].running);
}

/// More than are looked at one by one: all that they may have changed is invalidated at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_taken_as_one_change() {
    let shop = Shop::open(DEFINITIONS).await;
    let many = "with recursive n(n) as (select 1 union all select n + 1 from n where n < 30000)
                insert into orders select 'north', '2026-11-19', 'b' || n, n from n";
    let touched = shop.touched(many).await;
    assert_eq!(touched, ["north branch", "south branch", "north", "south"]);
    let shown = shop.shown();
    assert!(shown.collapsed > 0 && shown.rows > 30_000, "{shown:?}");
}

/// Somebody reads old data of a replica after the first time.
#[tokio::test(flavor = "multi_thread")]
async fn what_settles_is_invalidated_once_more() {
    let definitions = DEFINITIONS
        .replace("[widget.day]", "settle = \"1ms\"\n[widget.day]")
        .replace("sqlite://shop.db\"\n\nsettle", "sqlite://shop.db\"\nsettle");
    let shop = Shop::open(&definitions).await;
    let insert = "insert into orders values ('north', '2026-11-19', 'west', 5)";
    assert_eq!(shop.touched(insert).await, ["north branch", "north"]);
    let read = async || drop(shop.desk.read("branch", &[("branch", "west")]).await);
    let before = shop.computes("north", "branch");
    let worker = worker(&shop.desk);
    shop.computed_again("branch", before, read).await;
    worker.drain_by(std::future::ready(Clock::System.now() + Duration::from_secs(5))).await;
}

fn worker(desk: &Desk) -> Worker {
    let queue = QueueName::new("high").expect("a name");
    let served = Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 };
    let name = WorkerName::new("test").expect("a name");
    let mut settings = run::Settings::new(name, vec![served]);
    settings.slots = Slots { min: 1, max: 1 };
    settings.poll = Duration::from_millis(5);
    let (clock, random) = (Clock::System, Random::System);
    let registry = desk.engine.registry().expect("kinds");
    let budget = Budget::new(512 << 20, clock.clone());
    Worker::start(settings, desk.jobs.clone(), registry, budget, clock, random).expect("it starts")
}

/// Whoever renames another file over the old one means the new one to be read.
#[tokio::test(flavor = "multi_thread")]
async fn another_file_in_the_place_of_the_first_counts_as_changed() {
    let shop = Shop::open(DEFINITIONS).await;
    assert_eq!(shop.desk.read("whole", &[]).await.tier(), Tier::Computed);
    assert_eq!(shop.desk.read("whole", &[]).await.tier(), Tier::Local);
    let path = shop.desk.folder.path();
    shop.desk.database().execute("vacuum into ?1", [path.join("new.db").to_str()]).expect("a copy");
    std::fs::rename(path.join("new.db"), path.join("shop.db")).expect("renamed");
    shop.computed_again("whole", 1, async || drop(shop.desk.read("whole", &[]).await)).await;
    shop.touched("insert into orders values ('north', '2026-11-19', 'west', 5)").await;
}

/// A partial that is over lives long only where somebody tells of each change.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_covers_the_partials_of_its_tag() {
    const ROLLUP: &str = r#"
[rollup.days]
source = "shop"
partition = { by = "day", at = "at" }
tag = "orders/{day}"
query = "select at, total from orders where tenant = :tenant and at >= :from and at < :to"
measures = { orders = "count" }

[widget.rolled]
rollup = "days"
show = "totals"
measures = ["orders"]
ranges = ["2026-11-01..2026-11-10"]
"#;
    let clock: Arc<ManualClock> = clock_at("2026-11-19T12:00:00Z");
    let definitions = format!("{DEFINITIONS}{ROLLUP}");
    let desk = Desk::open_at(&definitions, SCHEMA, Clock::Manual(clock.clone())).await;
    let first = desk.read("rolled", &[]).await;
    assert_eq!(first.provenance().queries, 1);
    clock.advance(Duration::from_secs(20 * 24 * 3600));
    let later = desk.read("rolled", &[]).await;
    assert_eq!((later.tier(), later.provenance().queries), (Tier::Computed, 0));
}
