//! A random walk of transactions, kills and cuts, at the end of which no reading differs from its source.

use std::fmt;

use samovar_clock::Random;
use samovar_testkit::wait;
use serde_json::Value;

use super::shop::{Client, Shop, Source};
use crate::{
    http::{self, Response},
    shop::{LIMIT, Served},
};

/// Writers at the same time. SQLite has one.
const WRITERS: usize = 3;
/// Steps between two comparisons of everything.
const STEPS: usize = 60;
const CHANNELS: [&str; 3] = ["web", "till", "phone"];
const WIDGETS: [&str; 3] = ["by_channel", "counted", "latest"];
const RANGES: [(u64, u64); 4] = [(1, 10), (1, 1), (4, 6), (3, 9)];
/// By which the days of a tenant begin before those of UTC.
const TENANTS: [(&str, &str); 2] = [("north", "00:00"), ("south", "18:15")];

#[derive(Default)]
pub(super) struct Counts {
    transactions: usize,
    rolled_back: usize,
    kills: usize,
    cuts: usize,
    truncated: usize,
    readings: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transactions, rolled_back, kills, cuts, truncated, readings } = self;
        write!(
            f,
            "{transactions} transactions ({rolled_back} rolled back, {truncated} truncations), {kills} \
             kills, {cuts} cuts; {readings} readings compared, 0 differences"
        )
    }
}

pub(super) struct Walk {
    shop: Shop,
    random: Random,
    writers: Vec<Writer>,
    /// Who looks, and never writes.
    looker: Client,
    served: Option<Served>,
    is_cut: bool,
    next_id: u64,
    counts: Counts,
}

struct Writer {
    client: Client,
    /// A transaction has begun, with a savepoint in it.
    is_open: bool,
    has_savepoint: bool,
}

impl Walk {
    pub(super) async fn begin(shop: Shop, seed: u64) -> Self {
        shop.install();
        let writers = if matches!(shop.source, Source::Sqlite) { 1 } else { WRITERS };
        let mut all = Vec::new();
        for _ in 0..writers {
            let client = shop.client().await;
            all.push(Writer { client, is_open: false, has_savepoint: false });
        }
        let (looker, served) = (shop.client().await, Some(shop.serve()));
        let (random, counts) = (Random::seeded(seed), Counts::default());
        Self { shop, random, writers: all, looker, served, is_cut: false, next_id: 1, counts }
    }

    pub(super) async fn go(mut self, transactions: usize) -> Counts {
        while self.counts.transactions < transactions {
            for _ in 0..STEPS {
                self.step().await;
            }
            self.compare().await;
        }
        self.counts
    }

    async fn step(&mut self) {
        match self.below(100) {
            0 => self.kill(),
            1 => self.cut(),
            2 => self.truncate().await,
            3..20 => self.read(),
            _ => self.write().await,
        }
        // Down for a few steps, so that changes are made meanwhile.
        if self.served.is_none() && self.below(10) == 0 {
            self.served = Some(self.shop.serve());
        }
        if self.is_cut && self.below(10) == 0 {
            self.heal();
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn kill(&mut self) {
        if let Some(served) = self.served.take() {
            served.process.kill();
            self.counts.kills += 1;
        }
    }

    fn cut(&mut self) {
        let Some(proxy) = &self.shop.proxy else { return };
        self.counts.cuts += 1;
        match self.below(2) {
            0 => proxy.reset_connections(),
            _ => {
                proxy.cut();
                self.is_cut = true;
            }
        }
    }

    fn heal(&mut self) {
        if let Some(proxy) = self.shop.proxy.as_ref().filter(|_| self.is_cut) {
            proxy.heal().expect("it passes again");
            self.is_cut = false;
        }
    }

    /// Only PostgreSQL sees it, and it waits for everybody else.
    async fn truncate(&mut self) {
        if matches!(self.shop.source, Source::Postgres(_)) && self.below(4) == 0 {
            self.end_all().await;
            self.writers[0].client.run("truncate orders").await;
            self.counts.truncated += 1;
        }
    }

    /// So that something is there that may be stale later.
    fn read(&mut self) {
        let (widget, tenant, range) = self.draw();
        if let Some(served) = &self.served {
            let _ = get(served, widget, tenant, range);
        }
    }

    fn draw(&self) -> (&'static str, &'static str, (u64, u64)) {
        let of = |many: usize| self.below(many as u64) as usize;
        (WIDGETS[of(3)], TENANTS[of(2)].0, RANGES[of(4)])
    }

    async fn write(&mut self) {
        let number = self.below(self.writers.len() as u64) as usize;
        let statement = self.statement(number);
        let (chance, other) = (self.below(100), self.below(100));
        let writer = &mut self.writers[number];
        if !writer.is_open {
            writer.client.run("begin").await;
            writer.is_open = true;
        }
        match chance {
            0..25 => {
                self.counts.rolled_back += usize::from(other < 20);
                writer.client.run(if other < 20 { "rollback" } else { "commit" }).await;
                (writer.is_open, writer.has_savepoint) = (false, false);
                self.counts.transactions += 1;
            }
            25..35 if !writer.has_savepoint => {
                writer.client.run("savepoint here").await;
                writer.has_savepoint = true;
            }
            25..35 => {
                let back = other < 60;
                let end =
                    if back { "rollback to savepoint here" } else { "release savepoint here" };
                writer.client.run(end).await;
                writer.has_savepoint = back;
            }
            _ => writer.client.run(&statement).await,
        }
    }

    /// Over rows of this writer only.
    fn statement(&mut self, writer: usize) -> String {
        let some = format!("writer = {writer} and id % 5 = {}", self.below(5));
        let (day, hour) = (1 + self.below(10), self.below(24));
        let at = format!("'2026-11-{day:02} {hour:02}:00:00'");
        let channel = CHANNELS[self.below(3) as usize];
        let tenant = TENANTS[self.below(2) as usize].0;
        let total = self.below(1000);
        match self.below(10) {
            0..5 => {
                let rows = (0..=self.below(5)).map(|_| {
                    self.next_id += 1;
                    let id = self.next_id;
                    format!("({id}, {writer}, '{tenant}', '{channel}', {at}, {total})")
                });
                let rows: Vec<String> = rows.collect();
                format!("insert into orders values {}", rows.join(", "))
            }
            5 => format!("update orders set total = total + 1 where writer = {writer}"),
            6 => format!("update orders set total = {total}, channel = '{channel}' where {some}"),
            7 => format!("update orders set at = {at} where {some}"),
            8 => format!("update orders set tenant = '{tenant}' where {some}"),
            _ => format!("delete from orders where {some}"),
        }
    }

    /// In the order of chance, which is not that of their numbers in the outbox.
    async fn end_all(&mut self) {
        let first = self.below(self.writers.len() as u64) as usize;
        let count = self.writers.len();
        for offset in 0..count {
            let writer = &mut self.writers[(first + offset) % count];
            if writer.is_open {
                writer.client.run("commit").await;
                (writer.is_open, writer.has_savepoint) = (false, false);
                self.counts.transactions += 1;
            }
        }
    }

    async fn compare(&mut self) {
        self.end_all().await;
        self.heal();
        if self.served.is_none() {
            self.served = Some(self.shop.serve());
        }
        self.looker.wait_until_applied().await;
        for widget in WIDGETS {
            for tenant in TENANTS {
                for range in RANGES {
                    let shown = self.shown(widget, tenant.0, range);
                    let expected = self.expected(tenant, range).await;
                    let name = self.shop.name();
                    assert_eq!(
                        shown, expected,
                        "{name}: {widget} {tenant:?} {range:?}: {}",
                        self.counts
                    );
                    self.counts.readings += 1;
                }
            }
        }
    }

    /// By channel: orders and revenue. What is marked stale says so: one waits until nothing is.
    fn shown(&self, widget: &str, tenant: &str, range: (u64, u64)) -> Vec<Vec<String>> {
        let served = self.served.as_ref().expect("it runs");
        let fresh = wait::until(LIMIT, "a fresh answer", || {
            let answer = get(served, widget, tenant, range);
            (answer.status == 200 && answer.header("samovar-state") == "fresh").then_some(answer)
        });
        let answer = fresh.expect("an answer").json();
        let rows = answer["data"]["rows"].as_array().expect("rows");
        let number = |value: &Value| format!("{}", value.as_f64().expect("a number"));
        let mut rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let channel = row["channel"].as_str().expect("a channel").to_owned();
                vec![channel, number(&row["orders"]), number(&row["revenue"])]
            })
            .collect();
        rows.sort();
        rows
    }

    async fn expected(
        &mut self,
        (tenant, begins): (&str, &str),
        (first, last): (u64, u64),
    ) -> Vec<Vec<String>> {
        // A day that begins at a quarter past six begins on the day before.
        let day = |day: u64| if begins == "00:00" { day } else { day - 1 };
        let at = |day: u64| match day {
            0 => format!("'2026-10-31 {begins}:00'"),
            day => format!("'2026-11-{day:02} {begins}:00'"),
        };
        let sql = format!(
            "select channel, count(*), sum(total) from orders where tenant = '{tenant}' \
             and at >= {} and at < {} group by channel order by channel",
            at(day(first)),
            at(day(last + 1)),
        );
        self.looker.ask(&sql).await
    }
}

fn get(served: &Served, widget: &str, tenant: &str, (first, last): (u64, u64)) -> Response {
    let range = format!("2026-11-{first:02}..2026-11-{last:02}");
    let path = format!("/v1/widgets/{widget}?tenant={tenant}&range={range}");
    http::get(&served.address, &path, &[])
}
