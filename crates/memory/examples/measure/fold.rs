//! A realistic workload: orders as JSON, parsed and folded into sums per channel and item, as a
//! warm-up does: with nothing in them but what is folded, and as the API of a point of sale hands
//! them out. Whole processes, bare and metered by turns.

use std::{collections::HashMap, fmt::Write};

use rustix::time::ClockId;
use samovar_memory::Account;
use serde::Deserialize;

use super::{cpu_ns, run, spread};

const PAIRS: usize = 41;
/// Few enough to stay in the cache of the processor, as rows that have just been received do.
const ROWS: usize = 1_000;
const PASSES: usize = 400;

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

pub(super) const LEAN: &str = "fold";
pub(super) const FULL: &str = "fold-full";

pub(super) fn table() -> String {
    let rows: Vec<String> = [(LEAN, "lean"), (FULL, "of a point of sale")].map(compare).into();
    format!(
        "| ms of CPU for {} rows | bare | metered | metered costs | least and most of {PAIRS} pairs \
         |\n|---|---|---|---|---|\n{}",
        ROWS * PASSES,
        rows.concat()
    )
}

fn compare((part, name): (&str, &str)) -> String {
    let (mut bare, mut metered, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let of = |is_bare| run(part, is_bare).parse::<f64>().expect("a number");
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
        "| {name} | {:.1} | {:.1} | {:+.2} % | {:+.2} .. {:+.2} % |\n",
        bare.0, metered.0, ratios.0, ratios.1, ratios.2
    )
}

/// Milliseconds of CPU.
pub(super) fn one_run(part: &str) -> f64 {
    let row = if part == FULL { full_row } else { row };
    // As long as they are, as a driver hands them out.
    let rows: Vec<Box<str>> = (0..ROWS).map(|index| row(index).into_boxed_str()).collect();
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

/// The same order among everything else that is sent along.
fn full_row(index: usize) -> String {
    let mut text = format!(
        r#"{{"id":{index},"location_id":"L{}","channel":"channel {}","state":"COMPLETED",
        "customer":"customer {}","created_at":"2026-11-19T{:02}:{:02}:11.873Z","version":4,
        "updated_at":"2026-11-19T21:04:40.022Z","total_money":{{"amount":{},"currency":"USD"}},
        "total_tax_money":{{"amount":{},"currency":"USD"}},"source":{{"name":"Register 2"}},
        "tenders":[{{"id":"T{index}","type":"CARD","amount_money":{{"amount":{},"currency":"USD"}}}}],
        "items":["#,
        index % 12,
        index % 9,
        index % 1700,
        index % 24,
        index % 60,
        index * 31 % 9000,
        index * 3 % 700,
        index * 31 % 9000
    );
    for item in 0..1 + index % 6 {
        let comma = if item == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"uid":"U{index}-{item}","catalog_object_id":"W62UWFY35CWMYGVWK6TWJDNI",
            "name":"item number {}","quantity":{},"cents":{},"variation_name":"Regular",
            "gross_sales_money":{{"amount":{},"currency":"USD"}},"item_type":"ITEM",
            "total_tax_money":{{"amount":{},"currency":"USD"}},"modifiers":[]}}"#,
            (index + item * 7) % 250,
            1 + item % 3,
            250 + (index * 31) % 1900,
            250 + (index * 31) % 1900,
            index % 190
        )
        .expect("it is text");
    }
    text.push_str("]}");
    text
}

fn fold(rows: &[Box<str>]) -> (HashMap<String, u64>, HashMap<String, (u64, u64)>) {
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
