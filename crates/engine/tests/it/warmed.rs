//! What is made together by a warm-up, of several ranges and filters, is what each makes by itself.

use std::fmt::Write as _;

use samovar_clock::Clock;
use samovar_engine::{Clearing, Tier, WarmUp};

use crate::{
    desk::{Desk, clock_at, data},
    warm::{ended, worker},
};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north", time_zone = "Europe/Oslo" }]

[source.shop]
url = "sqlite://shop.db"

[rollup.days]
source = "shop"
partition = { by = "day", at = "received_at" }
tag = "orders/{day}"
query = "select received_at, channel, customer, total from orders where tenant = :tenant and received_at >= :from and received_at < :to"
dimensions = ["channel"]

[rollup.days.measures]
orders = "count"
revenue = { sum = "total" }
buyers = { distinct = "customer" }
basket = { quantiles = "total" }
clients = { top = "customer", by = "total", keep = 5 }

[widget.totals]
rollup = "days"
show = "totals"
measures = ["orders", "revenue", "buyers", "basket"]
compare = "previous"
ranges = ["1d", "7d", "30d"]
params.channel = { default = "all", values = ["all", "web", "till", "phone"] }

[widget.by_day]
rollup = "days"
show = "series"
measures = ["revenue", "buyers"]
ranges = ["1d", "7d", "30d"]
params.channel = { default = "all", values = ["all", "web", "till", "phone"] }

[widget.by_day_before]
rollup = "days"
show = "series"
measures = ["orders"]
compare = "previous"
ranges = ["7d", "30d"]

[widget.by_weekday]
rollup = "days"
show = "series"
by = "weekday"
measures = ["orders", "basket"]
ranges = ["7d", "30d"]

[widget.mix]
rollup = "days"
show = "breakdown"
by = "channel"
measures = ["revenue", "buyers"]
ranges = ["1d", "7d", "30d"]

[widget.clients]
rollup = "days"
show = "top"
measures = ["clients"]
ranges = ["1d", "7d", "30d"]
params.channel = { default = "all", values = ["all", "web", "till", "phone"] }
"#;

/// No two days, channels or ranges are alike.
fn schema() -> String {
    let mut sql =
        "create table orders (tenant text, channel text, customer integer, total integer, \
                   received_at text);"
            .to_owned();
    for order in 0..700_u32 {
        let channel = ["web", "web", "till", "phone"][order as usize % 4];
        let (customer, total) = (order * order % 97, 100 + order * 37 % 1009);
        let minutes = order * 125;
        write!(
            sql,
            "insert into orders values ('north', '{channel}', {customer}, {total}, \
             datetime('2026-11-20 12:00:00', '-{minutes} minutes'));"
        )
        .expect("memory takes everything");
    }
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_together_is_what_each_makes_by_itself() {
    let clock = Clock::Manual(clock_at("2026-11-20T13:00:00Z"));
    let desk = Desk::open_at(DEFINITIONS, &schema(), clock).await;
    let worker = worker(&desk, "cache", 1);
    let warming = desk.engine.warm(&WarmUp::default()).await.expect("dispatched");
    assert_eq!(ended(&desk, &warming.batch).await.failed, 0);
    worker.drain().await;
    let mut readings = Vec::new();
    for (widget, ranges, channels) in [
        ("totals", &["1d", "7d", "30d"][..], &["all", "web", "till", "phone"][..]),
        ("by_day", &["1d", "7d", "30d"], &["all", "web", "till", "phone"]),
        ("by_day_before", &["7d", "30d"], &[]),
        ("by_weekday", &["7d", "30d"], &[]),
        ("mix", &["1d", "7d", "30d"], &[]),
        ("clients", &["1d", "7d", "30d"], &["all", "web", "till", "phone"]),
    ] {
        for range in ranges {
            let given = vec![("range", *range)];
            let with = |channel: &&'static str| {
                given.iter().copied().chain([("channel", *channel)]).collect()
            };
            let filtered: Vec<Vec<_>> = channels.iter().map(with).collect();
            let all = if channels.is_empty() { vec![given] } else { filtered };
            readings.extend(all.into_iter().map(|given| (widget, given)));
        }
    }
    let mut together = Vec::new();
    for (widget, given) in &readings {
        let answer = desk.read(widget, given).await;
        assert_ne!(answer.tier(), Tier::Computed, "{widget} {given:?}");
        together.push(data(&answer));
    }
    let everything = Clearing { all: true, ..Clearing::default() };
    desk.engine.clear(&everything).await.expect("cleared");
    for ((widget, given), together) in readings.iter().zip(together) {
        let answer = desk.read(widget, given).await;
        assert_eq!(answer.tier(), Tier::Computed, "{widget} {given:?}");
        assert_eq!(data(&answer), together, "{widget} {given:?}");
    }
}
