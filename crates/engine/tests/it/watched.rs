//! Readings that are read often are refreshed before anybody has to wait for them.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, ManualClock};
use samovar_engine::Tier;
use samovar_testkit::wait;

use crate::desk::{Desk, PATIENCE, clock_at, data, pairs};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north", time_zone = "Europe/Oslo" }]

[freshness.minute]
ttl = "1m"
grace = "1m"
jitter = 0.0
refresh_ahead = 0.5

# While refreshes wait for a processor, the test lets hours pass.
[freshness.month]
ttl = "30d"
jitter = 0.0

[source.shop]
url = "sqlite://shop.db"

[widget.orders]
source = "shop"
query = "select count(*) as orders from orders where :tenant <> ''"
freshness = "minute"

[widget.stock]
source = "shop"
query = "select 1 as stock where :tenant <> ''"
freshness = "minute"

[widget.today]
source = "shop"
query = "select :first_day as day where :tenant <> '' and :last_day <> ''"
ranges = ["today"]
freshness = "daily"

[widget.seldom]
source = "shop"
query = "select 1 as seldom where :tenant <> ''"
freshness = "month"

[widget.broken]
source = "shop"
query = "select json_extract('{', '$') as x, (select count(*) from orders) as orders where :tenant <> ''"
freshness = "minute"

[board.shop]
widgets = ["orders", "stock"]
agree = true

[board.mixed]
widgets = ["orders", "seldom", "broken"]
"#;

/// The scheduler sees a clock that is moved by hand as often as it looks at it.
struct Moving {
    clock: Arc<ManualClock>,
    desk: Desk,
}

impl Moving {
    async fn open(time: &str) -> Self {
        let clock = clock_at(time);
        let schema = "create table orders (id integer)";
        let desk = Desk::open_at(DEFINITIONS, schema, Clock::Manual(clock.clone())).await;
        Self { clock, desk }
    }

    async fn refreshes(&self, widget: &str) -> u64 {
        let statistics = self.desk.engine.statistics().await;
        statistics.widgets.get(widget).map_or(0, |it| it.refreshes)
    }

    /// Time passes until `done`, a second at a time.
    async fn pass_until<T>(&self, what: &str, done: impl AsyncFn() -> Option<T>) -> T {
        let step = || async {
            let found = done().await;
            if found.is_none() {
                self.clock.advance(Duration::from_secs(1));
            }
            found
        };
        wait::until_async(PATIENCE, what, step).await.expect(what)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_often_is_refreshed_and_what_is_not_is_left() {
    let moving = Moving::open("2026-11-20T12:00:00Z").await;
    let desk = &moving.desk;
    for _ in 0..3 {
        desk.read("orders", &[]).await;
    }
    desk.read("stock", &[]).await;
    assert_eq!(desk.engine.watched(), 1, "what is read once takes no room");
    desk.write("insert into orders values (1)");
    let refreshed = async || (moving.refreshes("orders").await == 1).then_some(());
    moving.pass_until("a refresh", refreshed).await;
    // Before its time was over, and without anybody who asked.
    let shown = async || {
        let answer = desk.read("orders", &[]).await;
        (data(&answer)["rows"][0]["orders"] == 1).then(|| answer.tier())
    };
    assert_eq!(moving.pass_until("the new value", shown).await, Tier::Local);
    assert_eq!(moving.refreshes("stock").await, 0, "it was read once");
    // Nobody reads any more: it is refreshed once for the read above, and then forgotten.
    let forgotten = async || (desk.engine.watched() == 0).then_some(());
    moving.pass_until("it is forgotten", forgotten).await;
    assert_eq!(moving.refreshes("orders").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tiles_of_a_board_are_refreshed_together() {
    let moving = Moving::open("2026-11-20T12:00:00Z").await;
    let desk = &moving.desk;
    let read = async || desk.engine.read_board("shop", "north", pairs(&[])).await.expect("read");
    let first = read().await;
    assert!(first.agree);
    read().await;
    desk.write("insert into orders values (1)");
    let moved = async || {
        let board = read().await;
        let answer = board.tiles[0].answer.as_ref().expect("an answer");
        (data(answer)["rows"][0]["orders"] == 1).then_some(board)
    };
    let later = moving.pass_until("a refresh of the board", moved).await;
    assert!(later.agree, "one was due, and all were made in one snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_midnight_of_the_tenant_the_new_day_is_made_beforehand() {
    // An hour before midnight in Oslo.
    let moving = Moving::open("2026-11-20T22:00:00Z").await;
    let desk = &moving.desk;
    for _ in 0..3 {
        assert_eq!(data(&desk.read("today", &[]).await)["rows"][0]["day"], "2026-11-20");
    }
    moving.clock.advance(Duration::from_secs(3590));
    let made = async || (moving.refreshes("today").await == 1).then_some(());
    moving.pass_until("a new day", made).await;
    let answer = async || {
        let answer = desk.read("today", &[]).await;
        (answer.tier() == Tier::Local).then(|| data(&answer))
    };
    let shown = moving.pass_until("the new day in memory", answer).await;
    assert_eq!(shown["rows"][0]["day"], "2026-11-21");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tile_is_refreshed_by_its_own_freshness_and_one_that_fails_is_left() {
    let moving = Moving::open("2026-11-20T12:00:00Z").await;
    let desk = &moving.desk;
    let read = async || desk.engine.read_board("mixed", "north", pairs(&[])).await.expect("read");
    let figures = async |widget: &str| {
        let statistics = desk.engine.statistics().await;
        let found = statistics.widgets.get(widget);
        found.map_or((0, 0, 0), |it| (it.refreshes, it.computes, it.errors))
    };
    for _ in 0..3 {
        assert!(read().await.tiles[2].answer.is_err());
    }
    let failures = figures("broken").await.2;
    // Ten minutes in which the board is read twice a minute, but for the one that fails.
    for _ in 0..20 {
        moving.clock.advance(Duration::from_secs(30));
        let refreshed = async || {
            let answer = desk.read("orders", &[]).await;
            (answer.age() < Duration::from_secs(30)).then_some(())
        };
        moving.pass_until("a young value", refreshed).await;
        desk.read("seldom", &[]).await;
    }
    assert!(figures("orders").await.0 >= 10);
    assert_eq!(figures("seldom").await, (0, 1, 0), "its time is a month");
    assert_eq!(figures("broken").await.2, failures, "nobody asked for it");
}
