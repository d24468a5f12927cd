//! What becomes of partials that nobody asks for any more, and at the limit of the disk.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rusqlite::{Connection, OpenFlags};
use samovar_cache::Settings;
use samovar_clock::{Clock, ManualClock};
use samovar_engine::{Ask, Statistics};
use serde_json::{Value, json};

use crate::desk::{Desk, clock_at, data, pairs};

pub(crate) const DEFINITIONS: &str = r#"
[tenants]
source = "shop"
query = "select id, zone as time_zone from tenants"

[source.shop]
url = "sqlite://shop.db"

[rollup.order_days]
source = "shop"
partition = { by = "day", at = "received_at" }
tag = "orders/{day}"
query = "select received_at, channel, cents, customer from orders where tenant = :tenant and received_at >= :from and received_at < :to"
dimensions = ["channel"]
measures = { orders = "count", cents = { sum = "cents" }, buyers = { distinct = "customer" }, best = { top = "customer", by = "cents", keep = 200 } }

[freshness.own]
ttl = "10m"
grace = "0s"
refresh_ahead = false

[widget.sales]
rollup = "order_days"
show = "totals"
measures = ["orders", "cents", "buyers"]
ranges = ["30d"]
params.channel = { default = "all" }
freshness = "own"
"#;

/// So many tenants, each with so many orders on each of so many days before the 21st of November.
pub(crate) fn schema(tenants: usize, days: usize, orders: usize) -> String {
    format!(
        "create table tenants (id text primary key, zone text);
         create table orders (tenant text, received_at text, channel text, cents integer, customer integer);
         with recursive n(i) as (select 0 union all select i + 1 from n where i < {tenants} - 1)
         insert into tenants select 'tenant-' || i, case i % 2 when 0 then 'UTC' else 'Asia/Kathmandu' end from n;
         with recursive d(i) as (select 0 union all select i + 1 from d where i < {days} - 1),
              o(i) as (select 0 union all select i + 1 from o where i < {orders} - 1)
         insert into orders select id, datetime('2026-11-20 12:00:00', '-' || (d.i * 86400 + o.i * 7919 % 86400) || ' seconds'),
             case o.i % 3 when 0 then 'web' else 'till' end, o.i * 7 % 1000 + d.i, o.i * 31 % 997
         from tenants, d, o;
         create index by_time on orders (tenant, received_at);"
    )
}

/// Keys begin with it: `{tenant-7}:e:...`.
pub(crate) fn owner(key: &str) -> &str {
    key.trim_start_matches('{').split('}').next().unwrap_or_default()
}

pub(crate) struct Kept {
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<ManualClock>,
}

impl Kept {
    async fn open(schema: &str, settings: Settings) -> Self {
        Self::open_with(DEFINITIONS, schema, settings).await
    }

    pub(crate) async fn open_with(definitions: &str, schema: &str, settings: Settings) -> Self {
        let clock = clock_at("2026-11-20T12:00:00Z");
        let folder = tempfile::tempdir().expect("a folder");
        let database = Connection::open(folder.path().join("shop.db")).expect("a database");
        database.execute_batch(schema).expect("tables");
        let told = Clock::Manual(clock.clone());
        Self { desk: Desk::within(folder, definitions, told, Ask::All, settings).await, clock }
    }

    fn file(&self) -> std::path::PathBuf {
        self.desk.folder.path().join("store").join("cache.db")
    }

    /// Keys in a table of the cache's file.
    pub(crate) fn keys(&self, table: &str) -> Vec<String> {
        let file = Connection::open_with_flags(self.file(), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let file = file.expect("it is there");
        let mut keys = file.prepare(&format!("select key from {table}")).expect("a table");
        let keys = keys.query_map([], |row| row.get(0)).expect("keys");
        keys.collect::<rusqlite::Result<_>>().expect("keys")
    }

    /// Whose partials are kept, and how many of them.
    pub(crate) fn partials(&self) -> (BTreeSet<String>, usize) {
        let mut keys = self.keys("entries");
        keys.retain(|it| it.contains(":e:rollup:"));
        (keys.iter().map(|it| owner(it).to_owned()).collect(), keys.len())
    }

    /// What plain SQL says of the days of a range, whose tenants are of UTC and of Nepal in turns.
    pub(crate) fn plain(&self, tenant: usize, (first, last): (&str, &str)) -> Value {
        let query =
            "select count(*), sum(cents), count(distinct customer) from orders where tenant = ?
                     and date(received_at, ?) between ? and ?";
        let zone = ["+0 minutes", "+345 minutes"][tenant % 2];
        let read = |row: &rusqlite::Row<'_>| {
            let [orders, cents, buyers]: [i64; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok(json!({ "totals": { "orders": orders, "cents": cents, "buyers": buyers } }))
        };
        let tenant = format!("tenant-{tenant}");
        let row = self.desk.database().query_row(query, [&tenant, zone, first, last], read);
        row.expect("a row")
    }

    /// And how many queries it took to make it.
    pub(crate) async fn shown(&self, tenant: usize, (first, last): (&str, &str)) -> (Value, u32) {
        let range = format!("{first}..{last}");
        let given = pairs(&[("range", &range)]);
        let answer = self.desk.engine.read("sales", &format!("tenant-{tenant}"), given).await;
        let answer = answer.unwrap_or_else(|error| panic!("tenant-{tenant}: {error}"));
        assert!(answer.is_fresh(), "tenant-{tenant}: {answer:?}");
        (data(&answer), answer.provenance().queries)
    }

    /// How many queries it took to make what plain SQL says.
    pub(crate) async fn totals(&self, tenant: usize, range: (&str, &str)) -> u32 {
        let (shown, queries) = self.shown(tenant, range).await;
        assert_eq!(shown, self.plain(tenant, range), "tenant-{tenant} {range:?}");
        queries
    }

    /// The file, and what of it is in use. The log beside it has a limit of its own.
    async fn stays_within(&self, limit: u64) {
        let store = self.told().await.store;
        assert_eq!(store.memory_limit_bytes, Some(limit));
        assert!(store.memory_bytes <= Some(limit), "{store:?}");
        let file = std::fs::metadata(self.file()).expect("it is there").len();
        assert!(file <= limit, "{file} bytes");
    }

    pub(crate) async fn told(&self) -> Statistics {
        self.desk.engine.statistics().await
    }
}

pub(crate) const THIRTY: (&str, &str) = ("2026-10-20", "2026-11-18");
pub(crate) const NINETY: (&str, &str) = ("2026-08-21", "2026-11-18");

/// Nobody has to do anything: what others write sweeps them out.
#[tokio::test(flavor = "multi_thread")]
async fn partials_that_nobody_asks_for_any_more_go_when_their_time_is_over() {
    let kept = Kept::open(&schema(20, 100, 1), Settings::default()).await;
    for tenant in 0..20 {
        kept.totals(tenant, THIRTY).await;
    }
    assert_eq!(kept.partials().1, 20 * 30);
    kept.clock.advance(Duration::from_secs(31 * 3600));
    // Each of them writes ninety entries, and sweeps more than that.
    for tenant in 0..3 {
        assert_eq!(kept.totals(tenant, NINETY).await, 1, "all of it anew");
    }
    let left = [0, 1, 2].map(|it| format!("tenant-{it}"));
    assert_eq!(kept.partials(), (left.into(), 3 * 90));
    let store = kept.told().await.store;
    assert!(store.expired >= Some(20 * 30), "{store:?}");
    assert_eq!(store.evicted, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_of_the_disk_partials_go_that_nobody_asks_for_and_others_stay() {
    const LIMIT: u64 = 1 << 20;
    let settings = Settings { disk: LIMIT, ..Settings::default() };
    let kept = Kept::open(&schema(30, 100, 20), settings).await;
    assert_eq!(kept.totals(0, THIRTY).await, 1);
    for cold in 1..30 {
        assert_eq!(kept.totals(cold, NINETY).await, 1);
        // So that it is made anew, of partials that are older than all others.
        kept.clock.advance(Duration::from_secs(601));
        assert_eq!(kept.totals(0, THIRTY).await, 0, "after {cold} others");
        kept.stays_within(LIMIT).await;
    }
    let store = kept.told().await.store;
    assert!(store.evicted > Some(1000), "{store:?}");
    assert_eq!(store.last_error, None);
    let (owners, count) = kept.partials();
    assert!(count < 29 * 90 / 2, "{count} partials");
    assert!(owners.contains("tenant-0") && owners.contains("tenant-29"));
    let errors: u64 = kept.desk.cache.counters().iter().map(|(.., it)| it.errors).sum();
    assert_eq!(errors, 0);
}

/// So little that the partials of one tenant are more, and versions more than that.
#[tokio::test(flavor = "multi_thread")]
async fn however_little_finds_room_every_answer_is_right() {
    const LIMIT: u64 = 200 << 10;
    let settings = Settings { disk: LIMIT, ..Settings::default() };
    let kept = Kept::open(&schema(20, 100, 5), settings).await;
    for tenant in 0..20 {
        kept.totals(tenant, NINETY).await;
        kept.stays_within(LIMIT).await;
    }
    let store = kept.told().await.store;
    assert!(store.evicted > Some(1000), "{store:?}");
    assert_eq!(store.last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_is_used_until_its_tag_moves_or_its_time_is_over() {
    let kept = Kept::open(&schema(1, 100, 3), Settings::default()).await;
    assert_eq!(kept.totals(0, THIRTY).await, 1);
    let before = kept.plain(0, THIRTY);
    kept.desk
        .write("insert into orders values ('tenant-0', '2026-10-25 10:00:00', 'web', 7, 9001)");
    for hours in [1, 19] {
        kept.clock.advance(Duration::from_secs(hours * 3600));
        // The widget is made anew, of partials that are as they were.
        assert_eq!(kept.shown(0, THIRTY).await, (before.clone(), 0));
    }
    kept.desk
        .write("insert into orders values ('tenant-0', '2026-11-05 10:00:00', 'web', 5, 9002)");
    kept.desk.invalidate("tenant-0", "orders/2026/11/05").await;
    let (shown, queries) = kept.shown(0, THIRTY).await;
    let cents = |shown: &Value| shown["totals"]["cents"].as_i64().expect("a sum");
    assert_eq!((cents(&shown), queries), (cents(&before) + 5, 1), "that day alone");
    kept.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(kept.totals(0, THIRTY).await, 1);
}

/// Where events tell of hours, a day that goes on is kept in hours: an order costs what came in one of
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_goes_on_costs_an_hour_where_tags_tell_of_hours() {
    const TODAY: (&str, &str) = ("2026-11-16", "2026-11-20");
    let told =
        "[event.\"order.created\"]\ninvalidates = [\"orders/{hour}\"]\nat = \"received_at\"\n";
    let hourly = DEFINITIONS.replace("orders/{day}", "orders/{hour}") + told;
    // On each day an order at half past each hour from midnight to noon, UTC; the clock shows 12:00.
    let schema = "
        create table tenants (id text primary key, zone text);
        insert into tenants values ('tenant-0', 'UTC'), ('tenant-1', 'UTC');
        create table orders (tenant text, received_at text, channel text, cents integer, customer integer);
        with recursive d(i) as (select 0 union all select i + 1 from d where i < 9),
             h(i) as (select 0 union all select i + 1 from h where i < 11)
        insert into orders select id, datetime('2026-11-20 00:30:00', '-' || d.i || ' days', '+' || h.i || ' hours'),
            'web', 100, h.i from tenants, d, h;
        create index by_time on orders (tenant, received_at);";
    let by_hour = ["orders/2026/11/20/03", "orders/2026/11/20/12", "orders/2026/11/20/12"];
    for (definitions, tags, costs) in [
        // The rest of the day depends on all of it: it is folded anew beside an hour that is over.
        (hourly.as_str(), by_hour, [(2, 2), (1, 1), (1, 2)]),
        (DEFINITIONS, ["orders/2026/11/20"; 3], [(1, 13), (1, 14), (1, 15)]),
    ] {
        let kept = Kept::open_with(definitions, schema, Settings::default()).await;
        let rows = async || kept.told().await.sources["shop"].rows;
        let all = 5 * 12 + 2;
        assert_eq!((kept.totals(0, TODAY).await, rows().await), (1, all), "and two tenants");
        let orders = ["03:45:00", "12:15:00", "12:20:00"];
        for ((at, tag), cost) in orders.into_iter().zip(tags).zip(costs) {
            let before = rows().await;
            let order = format!("('tenant-0', '2026-11-20 {at}', 'web', 7, 9001)");
            kept.desk.write(&format!("insert into orders values {order}"));
            kept.desk.invalidate("tenant-0", tag).await;
            let queries = kept.totals(0, TODAY).await;
            assert_eq!((queries, rows().await - before), cost, "{at} {tag}");
        }
    }
}
