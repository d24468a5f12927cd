//! How long it takes to fold an order: `cargo run --release --example fold [ORDERS]`.
//!
//! Orders of about 2 KB with one to six items are made in memory beforehand, so that only the fold
//! is measured: in the order of time, and shuffled.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{fmt::Write, sync::Arc};

use samovar_clock::{Clock, Random};
use samovar_widgets::{
    Answer, Definitions, Document, Fold, Partial, Range, Rollup, Row, Rows, TimeForm, Value, plan,
};

const CONFIG: &str = r#"
[tenants]
list = [{ id = "north" }]
[source.shop]
url = "sqlite://shop.db"
[rollup.order_days]
source = "shop"
query = "select ..."
partition = { by = "day", at = "received_at" }
unnest.items = { column = "items", fields = ["sku", "qty", "price"] }
dimensions = ["channel"]
[rollup.order_days.measures]
orders = "count"
revenue = { sum = "total" }
buyers = { distinct = "customer_id" }
basket = { quantiles = "total" }
units = { sum = "items.qty" }
products = { top = "items.sku", by = "items.qty * items.price", keep = 200 }
[widget.products]
rollup = "order_days"
show = "top"
measures = ["products"]
ranges = ["90d"]
"#;

struct Order {
    at: String,
    channel: String,
    total: f64,
    customer: i64,
    items: String,
}

/// Over 90 days, in the order of time.
fn orders(count: u64) -> Vec<Order> {
    let random = Random::seeded(7);
    let start: jiff::Timestamp = "2026-08-24T00:00:00Z".parse().expect("a time");
    let filler = "A comfortable piece for every day, made of sound material, washable and light. ";
    let make = |index: u64| {
        let seconds = index * 90 * 86_400 / count;
        let at =
            start.checked_add(jiff::SignedDuration::from_secs(seconds as i64)).expect("a time");
        let mut items = String::from("[");
        let (mut total, amount) = (0, 1 + random.below(6));
        for item in 0..amount {
            let (sku, qty, cents) =
                (random.below(400), 1 + random.below(4), 100 + random.below(9900));
            total += qty * cents;
            let comma = if item > 0 { "," } else { "" };
            let about = filler.repeat((1900 / amount as usize / filler.len()).max(1));
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            write!(
                items,
                "{comma}{{\"id\":{index},\"sku\":\"SKU-{sku:05}\",\"name\":\"Product {sku}\",\
                 \"about\":\"{about}\",\"qty\":{qty},\"price\":{price},\"tags\":[\"a\",\"b\"]}}",
            )
            .expect("memory takes everything");
        }
        items.push(']');
        Order {
            at: at.strftime("%F %T").to_string(),
            channel: format!("channel-{}", random.below(8)),
            total: total as f64 / 100.0,
            customer: random.below(count / 3 + 1) as i64,
            items,
        }
    };
    (0..count).map(make).collect()
}

fn fold(rollup: &Arc<Rollup>, orders: &[Order]) -> Vec<samovar_widgets::Folded> {
    let Ok(Range::Between(dates)) = "2026-08-24..2026-11-21".parse() else { return Vec::new() };
    let slots = plan(dates, rollup.unit(), &jiff::tz::TimeZone::UTC);
    let mut fold = Fold::new(rollup.clone(), slots, TimeForm::Text);
    let names = rollup.columns().to_vec();
    fold.columns(&names).expect("all columns are there");
    for order in orders {
        let value = |name: &String| match name.as_str() {
            "received_at" => Value::Text(order.at.as_str().into()),
            "channel" => Value::Text(order.channel.as_str().into()),
            "total" => Value::Float(order.total),
            "customer_id" => Value::Integer(order.customer),
            _ => Value::Text(order.items.as_str().into()),
        };
        let values: Vec<Value<'_>> = names.iter().map(value).collect();
        fold.row(&Row::of_values(&names, &values)).expect("it folds");
    }
    fold.finish()
}

fn main() {
    let count = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(20_425);
    let document = Document::parse(CONFIG).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    for problem in document.problems() {
        println!("{}: {}", problem.line, problem.reason);
    }
    let rollup = &definitions.rollups[0].rollup;
    let mut orders = orders(count);
    let bytes: usize = orders.iter().map(|order| order.items.len()).sum();
    let items: usize = orders.iter().map(|order| order.items.matches("\"sku\"").count()).sum();
    println!(
        "{count} orders, {:.2} items and {} bytes of JSON each",
        items as f64 / count as f64,
        bytes as u64 / count
    );
    let clock = Clock::System;
    for round in
        ["in order", "in order", "in order", "in order", "in order", "shuffled", "shuffled"]
    {
        if round == "shuffled" {
            let random = Random::seeded(1);
            for index in (1..orders.len()).rev() {
                orders.swap(index, random.below(index as u64 + 1) as usize);
            }
        }
        let start = clock.now();
        let folded = fold(rollup, &orders);
        let took = clock.now().since(start);
        let size: usize = folded.iter().map(|it| it.bytes.len()).sum();
        println!(
            "{round}: {:.0} ns per order, {} KB of partials",
            took.as_nanos() as f64 / count as f64,
            size / 1024
        );
        let start = clock.now();
        let partials: Vec<_> = folded
            .iter()
            .map(|it| (it.slot, Partial::decode(rollup, &it.bytes).expect("as written")))
            .collect();
        let decoded = clock.now().since(start);
        let shown = &definitions.rollup_widgets[0].shown;
        let slots: Vec<_> = folded.iter().map(|it| it.slot).collect();
        let start = clock.now();
        let mut answer = Answer::new(rollup, shown, &[], &slots);
        partials.iter().for_each(|(slot, partial)| answer.add(slot, partial));
        let mut json = Vec::new();
        answer.write(None, &mut json);
        let answered = clock.now().since(start);
        println!("  decoded in {decoded:?}, top of 90 days in {answered:?}, {} bytes", json.len());
    }
}
