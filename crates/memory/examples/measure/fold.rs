//! A realistic workload: orders as JSON, parsed and folded into sums per channel and item, as a
//! warm-up does. Whole processes, bare and metered by turns.

use std::{collections::HashMap, fmt::Write};

use rustix::time::ClockId;
use samovar_memory::Account;
use serde::Deserialize;

use super::{cpu_ns, run, spread};

const PAIRS: usize = 41;
const ROWS: usize = 20_000;
const PASSES: usize = 20;

#[derive(Deserialize)]
struct Order {
    id: u64,
    channel: String,
    customer: Option<String>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    quantity: u32,
    cents: u64,
}

pub(super) fn table() -> String {
    let (mut bare, mut metered, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let of = |is_bare| run("fold", is_bare).parse::<f64>().expect("a number");
        let (a, b) = if pair % 2 == 0 {
            let a = of(true);
            (a, of(false))
        } else {
            let b = of(false);
            (of(true), b)
        };
        bare.push(a);
        metered.push(b);
        ratios.push((b / a - 1.0) * 100.0);
    }
    let (bare, metered, ratios) = (spread(bare), spread(metered), spread(ratios));
    format!(
        "| | bare | metered | metered costs | least and most of {PAIRS} pairs |\n|---|---|---|---|---|\n\
         | ms of CPU for {} rows | {:.1} | {:.1} | {:+.2} % | {:+.2} .. {:+.2} % |\n",
        ROWS * PASSES,
        bare.0,
        metered.0,
        ratios.0,
        ratios.1,
        ratios.2
    )
}

/// Milliseconds of CPU.
pub(super) fn one_run() -> f64 {
    let rows: Vec<String> = (0..ROWS).map(row).collect();
    let account = Account::unlimited("fold");
    account.scope(|| fold(&rows));
    let start = cpu_ns(ClockId::ProcessCPUTime);
    for _ in 0..PASSES {
        std::hint::black_box(account.scope(|| fold(&rows)));
    }
    (cpu_ns(ClockId::ProcessCPUTime) - start) as f64 / 1e6
}

fn row(index: usize) -> String {
    let mut text = format!(
        r#"{{"id":{index},"channel":"channel {}","customer":"customer {}","note":null,"items":["#,
        index % 9,
        index % 1700
    );
    for item in 0..1 + index % 6 {
        let comma = if item == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"name":"item number {}","quantity":{},"cents":{}}}"#,
            (index + item * 7) % 250,
            1 + item % 3,
            250 + (index * 31) % 1900
        )
        .expect("it is text");
    }
    text.push_str("]}");
    text
}

fn fold(rows: &[String]) -> (HashMap<String, u64>, HashMap<String, (u64, u64)>) {
    let (mut channels, mut items) = (HashMap::new(), HashMap::new());
    for row in rows {
        let order: Order = serde_json::from_str(row).expect("it is an order");
        let mut total = order.id % 2 + order.customer.map_or(0, |it| it.len() as u64);
        for Item { name, quantity, cents } in order.items {
            let sum = u64::from(quantity) * cents;
            total += sum;
            let of_item = items.entry(name).or_insert((0, 0));
            of_item.0 += u64::from(quantity);
            of_item.1 += sum;
        }
        *channels.entry(order.channel).or_insert(0) += total;
    }
    (channels, items)
}
