//! Widgets over rollups: they show what plain SQL says, and history is not read twice.

use std::time::Duration;

use samovar_clock::{Clock, Random};
use samovar_engine::{Ask, Change, Clearing, Tier};
use serde_json::{Value, json};

use crate::{
    desk::{Desk, clock_at, data, pairs},
    servers::until,
};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north", time_zone = "Europe/Oslo" }, { id = "south" }]

[source.shop]
url = "sqlite://shop.db"

[rollup.order_days]
source = "shop"
partition = { by = "day", at = "received_at" }
tag = "orders/{day}"
query = "select received_at, channel, total, items from orders where tenant = :tenant and received_at >= :from and received_at < :to"
unnest.items = { column = "items", fields = ["sku", "qty", "price"] }
dimensions = ["channel"]
measures = { orders = "count", revenue = { sum = "total" }, sold = { sum = "items.qty" }, products = { top = "items.sku", by = "items.qty * items.price", keep = 200 } }

[widget.sales]
rollup = "order_days"
show = "totals"
measures = ["orders", "revenue", "sold"]
ranges = ["7d", "today", "yesterday", "30d", "90d"]
params.channel = { default = "all", values = "select distinct channel from orders where tenant = :tenant" }
freshness = "statistics"

[widget.by_day]
rollup = "order_days"
show = "series"
by = "day"
measures = ["revenue"]
ranges = ["7d"]

[widget.compared]
rollup = "order_days"
show = "totals"
measures = ["orders"]
ranges = ["7d"]
compare = "previous"

[widget.best]
rollup = "order_days"
show = "top"
measures = ["products"]
top = 2
ranges = ["30d"]

[board.all]
widgets = ["sales", "by_day", "best"]
"#;

const SCHEMA: &str =
    "create table orders (id integer primary key, tenant text, channel text, total integer,
        received_at text, items text);
    create index by_time on orders (tenant, received_at);
    create table reads (id integer);";

/// Some orders of the last hundred days, the same each time.
fn orders() -> String {
    let random = Random::seeded(11);
    let mut sql = String::from("begin;");
    for id in 0..2000 {
        let (back, channel) = (random.below(100 * 86_400), ["web", "till", "app"][id % 3]);
        let tenant = if id % 10 == 0 { "south" } else { "north" };
        let (qty, sku) = (1 + random.below(5), random.below(7));
        sql += &format!(
            "insert into orders values ({id}, '{tenant}', '{channel}', {}, datetime('2026-11-20 12:00:00', '-{back} seconds'), \
             '[{{\"sku\":\"s{sku}\",\"qty\":{qty},\"price\":3}}, {{\"sku\":\"s1\",\"qty\":1,\"price\":2}}]');",
            random.below(1000)
        );
    }
    sql + "commit;"
}

async fn open() -> (std::sync::Arc<samovar_clock::ManualClock>, Desk) {
    let clock = clock_at("2026-11-20T12:00:00Z");
    let desk = Desk::open_at(DEFINITIONS, SCHEMA, Clock::Manual(clock.clone())).await;
    desk.write(&orders());
    (clock, desk)
}

/// What plain SQL says of the days of a range, cut by the clock of Oslo, an hour ahead.
fn plain(desk: &Desk, channel: &str, first: &str, last: &str) -> Value {
    let query =
        "select count(*), sum(total), (select sum(json_extract(item.value, '$.qty')) from orders o,
            json_each(o.items) item where o.tenant = 'north' and (?1 = 'all' or o.channel = ?1)
            and date(o.received_at, '+1 hour') between ?2 and ?3)
        from orders where tenant = 'north' and (?1 = 'all' or channel = ?1)
            and date(received_at, '+1 hour') between ?2 and ?3";
    let read = |row: &rusqlite::Row<'_>| {
        let (orders, revenue, sold): (i64, Option<i64>, Option<i64>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(json!({ "totals": { "orders": orders, "revenue": revenue, "sold": sold } }))
    };
    desk.database().query_row(query, [channel, first, last], read).expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_are_those_of_plain_sql_for_every_range_and_filter() {
    let (_, desk) = open().await;
    // After the end of summer time, so that Oslo is one hour ahead.
    for (first, last) in [
        ("2026-11-20", "2026-11-20"),
        ("2026-11-14", "2026-11-20"),
        ("2026-10-26", "2026-11-03"),
        ("2026-11-19", "2026-11-19"),
    ] {
        for channel in ["all", "web", "till", "nowhere"] {
            let range = format!("{first}..{last}");
            let answer = desk.read("sales", &[("range", &range), ("channel", channel)]).await;
            assert_eq!(data(&answer), plain(&desk, channel, first, last), "{range} {channel}");
        }
    }
}

/// How many days were folded so far, and how many queries that took.
async fn folded(desk: &Desk, widget: &str, given: &[(&str, &str)]) -> (Tier, u32) {
    let answer = desk.read(widget, given).await;
    (answer.tier(), answer.provenance().queries)
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_once_whatever_the_ranges_and_widgets() {
    let (_, desk) = open().await;
    // 30 days in one query.
    assert_eq!(folded(&desk, "sales", &[("range", "30d")]).await, (Tier::Computed, 1));
    // All of them are known, whoever shows them.
    assert_eq!(folded(&desk, "sales", &[("range", "7d")]).await, (Tier::Computed, 0));
    assert_eq!(
        folded(&desk, "sales", &[("range", "30d"), ("channel", "web")]).await,
        (Tier::Computed, 0)
    );
    assert_eq!(folded(&desk, "by_day", &[]).await, (Tier::Computed, 0));
    assert_eq!(folded(&desk, "best", &[]).await, (Tier::Computed, 0));
    assert_eq!(folded(&desk, "compared", &[]).await, (Tier::Computed, 0));
    // The sixty days before.
    assert_eq!(folded(&desk, "sales", &[("range", "90d")]).await, (Tier::Computed, 1));
    assert_eq!(folded(&desk, "sales", &[("range", "90d")]).await, (Tier::Local, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn late_data_recomputes_the_days_it_belongs_to_and_those_alone() {
    let (_, desk) = open().await;
    let ninety = [("range", "2026-08-23..2026-11-20")];
    let shown = async || data(&desk.read("sales", &ninety).await)["totals"].clone();
    let before = shown().await;
    desk.write(
        "insert into orders values (9001, 'north', 'web', 50, '2026-10-03 10:00:00', '[]');
         insert into orders values (9002, 'north', 'web', 70, '2026-10-21 22:30:00', '[]');",
    );
    assert_eq!(shown().await, before, "nobody has told");
    desk.invalidate("north", "orders/2026/10/03").await;
    // In Oslo it is the 22nd, by half an hour.
    desk.invalidate("north", "orders/2026/10/22").await;
    let answer = desk.read("sales", &ninety).await;
    assert_eq!((answer.tier(), answer.provenance().queries), (Tier::Computed, 2), "two days");
    let after = data(&answer)["totals"].clone();
    let revenue = |totals: &Value| totals["revenue"].as_i64().expect("a sum");
    assert_eq!(revenue(&after), revenue(&before) + 120);
    assert_eq!(after["orders"].as_i64(), before["orders"].as_i64().map(|it| it + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_over_a_rollup_reads_its_days_once_and_the_open_day_is_as_fresh_as_asked() {
    let (clock, desk) = open().await;
    let board = desk.engine.read_board("all", "north", Vec::new()).await.expect("an answer");
    let queries: Vec<_> = board
        .tiles
        .iter()
        .map(|it| it.answer.as_ref().expect("read").provenance().queries)
        .collect();
    assert_eq!(queries, [1, 1, 1], "all of them from one scan");
    assert!(!board.agree, "its parts are of many moments");
    let series = data(board.tiles[1].answer.as_ref().expect("read"));
    assert_eq!(series["rows"].as_array().map(Vec::len), Some(7));
    assert_eq!(series["rows"][6]["day"], "2026-11-20");

    desk.write("insert into orders values (9003, 'north', 'web', 1, '2026-11-20 12:00:00', '[]')");
    let orders = async || {
        data(&desk.read("sales", &[("range", "today")]).await)["totals"]["orders"].as_i64()
    };
    let before = orders().await.expect("a count");
    // Its class has five minutes, and five more in which it may be stale.
    clock.advance(Duration::from_secs(601));
    assert_eq!(orders().await, Some(before + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_does_not_age_what_is_made_of_it_and_an_open_day_is_shared_while_it_is_young()
{
    let (clock, desk) = open().await;
    desk.read("sales", &[("range", "30d")]).await;
    // Its class has five minutes.
    let read = async |range: &str| {
        let answer = desk.read("sales", &[("range", range)]).await;
        (answer.tier(), answer.provenance().queries, answer.age())
    };
    clock.advance(Duration::from_secs(140));
    assert_eq!(read("7d").await, (Tier::Computed, 0, Duration::from_secs(140)), "as old as today");
    clock.advance(Duration::from_secs(20));
    assert_eq!(read("today").await, (Tier::Computed, 1, Duration::ZERO), "it was too old to share");
    clock.advance(Duration::from_secs(3600));
    let (tier, queries, age) = read("30d").await;
    assert_eq!((tier, queries, age), (Tier::Computed, 1, Duration::ZERO), "today alone");
    assert_eq!(read("30d").await.0, Tier::Local);
    assert_eq!(read("yesterday").await, (Tier::Computed, 0, Duration::ZERO), "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_month_leaves_a_range_as_it_is() {
    let (_, desk) = open().await;
    for range in ["today", "30d"] {
        desk.read("sales", &[("range", range)]).await;
    }
    let tier = async |range: &str| desk.read("sales", &[("range", range)]).await.tier();
    desk.invalidate("north", "orders/2026/09/30").await;
    assert_eq!((tier("today").await, tier("30d").await), (Tier::Local, Tier::Local));
    desk.invalidate("north", "orders/2026/11/19").await;
    assert_eq!((tier("today").await, tier("30d").await), (Tier::Local, Tier::Computed));
    // What compares depends on the days before as well.
    desk.read("compared", &[("range", "7d")]).await;
    desk.invalidate("north", "orders/2026/11/08").await;
    assert_eq!(desk.read("compared", &[("range", "7d")]).await.tier(), Tier::Computed);
    for everything in ["orders/2026", "orders"] {
        assert_eq!(tier("today").await, Tier::Local);
        desk.invalidate("north", everything).await;
        assert_eq!(tier("today").await, Tier::Computed, "{everything}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_partials_of_their_own_and_other_zones_other_days() {
    let (_, desk) = open().await;
    desk.read("sales", &[("range", "30d")]).await;
    let south = desk.try_read("sales", "south", &[("range", "30d")]).await.expect("an answer");
    assert_eq!(south.provenance().queries, 1);
    let query = "select count(*) from orders where tenant = 'south' and date(received_at) between '2026-10-22' and '2026-11-20'";
    let count: i64 = desk.database().query_row(query, [], |row| row.get(0)).expect("a count");
    assert_eq!(data(&south)["totals"]["orders"], count);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_a_widget_means_what_it_is_made_of() {
    let (_, desk) = open().await;
    let orders = async || {
        let answer = desk.read("sales", &[("range", "30d")]).await;
        (data(&answer)["totals"]["orders"].as_i64().expect("a count"), answer.provenance().queries)
    };
    let (before, _) = orders().await;
    desk.write("insert into orders values (9005, 'north', 'web', 1, '2026-11-10 12:00:00', '[]')");
    let widget = Some("sales".to_owned());
    let change = Change { widget: widget.clone(), ..Change::default() };
    desk.engine.invalidate(&change).await.expect("invalidated");
    assert_eq!(orders().await, (before + 1, 1), "all days are folded anew");
    desk.write("delete from orders where id = 9005");
    desk.engine.clear(&Clearing { widget, ..Clearing::default() }).await.expect("cleared");
    assert_eq!(orders().await, (before, 1));
}

/// Partials whose time was over were offered, stale as they were, to whoever came while somebody else
/// made them anew. Of two widgets that were opened together the second found them so again and again,
/// and failed: "others did not finish what they were making".
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_while_partials_are_made_anew_waits_for_them() {
    let clock = clock_at("2026-11-20T12:00:00Z");
    let folder = tempfile::tempdir().expect("a folder");
    // Without a log beside it, whoever writes keeps others from reading.
    let lock = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    lock.execute_batch(&format!("{SCHEMA}; {}", orders())).expect("tables");
    let desk = Desk::over(folder, DEFINITIONS, Clock::Manual(clock.clone()), Ask::All).await;
    let range = [("range", "2026-11-01..2026-11-10")];
    let before = data(&desk.read("sales", &range).await);
    // Their time is over, and they may still be served as stale.
    clock.advance(Duration::from_secs(25 * 3600));
    lock.execute_batch("begin exclusive").expect("locked");
    let read = |widget: &'static str| {
        let engine = desk.engine.clone();
        let given = pairs(&range);
        tokio::spawn(async move { engine.read(widget, "north", given).await })
    };
    let leases = |of: &str| {
        let mut found = desk.cache.counters();
        found.retain(|(widget, ..)| widget.starts_with(of));
        found.iter().map(|(.., it)| it.leases_won).sum::<u64>()
    };
    let first = read("sales");
    until("all of them to be taken", async || leases("rollup") == 20).await;
    let second = read("by_day");
    until("the other to begin", async || leases("by_day") == 1).await;
    // Whoever does not wait is done meanwhile.
    for _ in 0..50 {
        desk.engine.statistics().await;
    }
    lock.execute_batch("commit").expect("unlocked");
    let (first, second) = (first.await.expect("it ends"), second.await.expect("it ends"));
    assert_eq!(data(&first.expect("an answer")), before);
    let second = second.expect("an answer");
    assert_eq!(second.provenance().queries, 0);
    assert_eq!(data(&second)["rows"].as_array().map(Vec::len), Some(10));
}
