//! A cold warm-up without a cache: `cargo run --release --example warm_up [ORDERS]`.
//!
//! Orders with JSON items are in a SQLite file. One scan a month folds them; then five ranges by nine
//! values of the channel by eight widgets are answered from the partials. Beside it, plain SQL for one
//! channel and the longest range.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{fmt::Write, fs, time::Duration};

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use rusqlite::{Connection, params};
use samovar_clock::{Clock, Random};
use samovar_widgets::{
    Answer, Bound, Dates, Definitions, Document, Fold, Partial, Query, Slot, Source, SourceKind,
    TimeForm, plan,
};

const CONFIG: &str = r#"
[tenants]
list = [{ id = "north" }]
[source.shop]
url = "sqlite://shop.db"
timeout = "10m"
[rollup.days]
source = "shop"
query = """
select received_at, channel, total, customer_id, items from orders
where tenant_id = :tenant and received_at >= :from and received_at < :to order by received_at"""
partition = { by = "day", at = "received_at" }
unnest.items = { column = "items", fields = ["sku", "qty", "price"] }
dimensions = ["channel"]
[rollup.days.measures]
orders = "count"
revenue = { sum = "total" }
mean = { average = "total" }
largest = { max = "total" }
buyers = { distinct = "customer_id" }
basket = { quantiles = "total" }
units = { sum = "items.qty" }
products = { top = "items.sku", by = "items.qty * items.price", keep = 200 }
"#;
const WIDGETS: [&str; 8] = [
    "show = \"totals\"\nmeasures = [\"orders\", \"revenue\", \"mean\", \"largest\", \"buyers\"]",
    "show = \"series\"\nmeasures = [\"revenue\", \"orders\"]",
    "show = \"breakdown\"\nby = \"channel\"\nmeasures = [\"revenue\", \"units\"]",
    "show = \"top\"\nmeasures = [\"products\"]",
    "show = \"totals\"\nmeasures = [\"basket\"]",
    "show = \"series\"\nby = \"weekday\"\nmeasures = [\"orders\"]",
    "show = \"series\"\nmeasures = [\"buyers\"]",
    "show = \"totals\"\nmeasures = [\"units\"]",
];
const PLAIN: &str = "select count(*), sum(o.total), avg(o.total), max(o.total), \
    count(distinct customer_id), (select count(*) from (select i.value ->> 'sku' as sku, \
    sum((i.value ->> 'qty') * (i.value ->> 'price')) as w from orders p, json_each(p.items) i \
    where p.tenant_id = 'north' and p.received_at >= ?1 group by sku order by w desc limit 10)) \
    from orders o where o.tenant_id = 'north' and o.received_at >= ?1";

fn generate(connection: &Connection, count: u64, last: Date) {
    let table = "create table orders (tenant_id text, received_at text, channel text, total real, \
                 customer_id integer, items text); begin";
    connection.execute_batch(table).expect("a table");
    let random = Random::seeded(7);
    let filler = "A comfortable piece for every day, made of sound material, washable and light. ";
    // As the demo has them: half in the last 90 days, the rest in the years before.
    let days = |index: u64| {
        let recent = index * 2 > count;
        if recent { random.below(90) } else { 90 + random.below(1000) }
    };
    let insert = "insert into orders values ('north', ?, ?, ?, ?, ?)";
    let mut insert = connection.prepare(insert).expect("SQL");
    for index in 0..count {
        let day = last - (days(index) as i64).days();
        let second = random.below(86_400);
        let at = format!("{day} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        let (mut items, mut total, amount) = (String::from("["), 0, 1 + random.below(6));
        for item in 0..amount {
            let (sku, qty) = (random.below(400), 1 + random.below(4));
            let cents = 100 + random.below(9900);
            total += qty * cents;
            let comma = if item > 0 { "," } else { "" };
            let about = filler.repeat((1800 / amount as usize / filler.len()).max(1));
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            let written = write!(
                items,
                "{comma}{{\"id\":{index},\"sku\":\"SKU-{sku:05}\",\"name\":\"Product {sku}\",\
                 \"about\":\"{about}\",\"qty\":{qty},\"price\":{price}}}",
            );
            written.expect("memory takes everything");
        }
        items.push(']');
        let channel = format!("channel-{}", random.below(8));
        let values = params![at, channel, total as f64 / 100.0, random.below(5000) as i64, items];
        insert.execute(values).expect("an order");
    }
    connection
        .execute_batch("commit; create index by_time on orders (tenant_id, received_at)")
        .expect("an index");
}

/// The most memory that the process has had, and forgets it.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    // Where it cannot be reset the peak is that of the whole run.
    let _ = fs::write("/proc/self/clear_refs", "5");
    kib.unwrap_or(0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(20_425);
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("shop.db")).expect("a database");
    let last: Date = "2026-11-21".parse().expect("a date");
    generate(&connection, count, last);
    let mut text = CONFIG.to_owned();
    for (index, widget) in WIDGETS.iter().enumerate() {
        write!(text, "[widget.w{index}]\nrollup = \"days\"\nranges = [\"90d\"]\n{widget}\n")
            .expect("memory takes everything");
        text += "params.channel = { default = \"all\" }\n";
    }
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let rollup = &definitions.rollups[0];
    let clock = Clock::System;
    let source = Source::open(&definitions.sources[0], folder.path(), clock.clone()).expect("open");
    let query = Query::parse(SourceKind::Sqlite, &rollup.query.value).expect("a select");

    let plain = |days: i64| {
        let from = (last - (days - 1).days()).to_string();
        let start = clock.now();
        connection.query_row(PLAIN, [from], |_| Ok(())).expect("an answer");
        clock.now().since(start)
    };
    plain(90);
    let by_sql = plain(90);
    drop(connection);

    let zone = TimeZone::UTC;
    let back = |days: i64| Dates::new(last - (days - 1).days(), last).expect("a range");
    let before = peak_kib();
    let start = clock.now();
    let (mut partials, mut rows): (Vec<(Slot, Vec<u8>)>, u64) = (Vec::new(), 0);
    let all = plan(back(1100), rollup.rollup.unit(), &zone);
    for month in all.chunk_by(|a, b| a.partition().month() == b.partition().month()) {
        let bindings = [
            ("tenant".to_owned(), Bound::Text("north".to_owned())),
            ("from".to_owned(), Bound::Time(month[0].from())),
            ("to".to_owned(), Bound::Time(month[month.len() - 1].to())),
        ];
        let fold = Fold::new(rollup.rollup.clone(), month.to_vec(), TimeForm::Text);
        let mut snapshot = source.snapshot().await.expect("a connection");
        let fold = snapshot.read(&query, &bindings, fold).await.expect("it folds");
        rows += fold.rows();
        partials.extend(fold.finish().into_iter().map(|it| (it.slot, it.bytes)));
    }
    let folded = clock.now().since(start);
    let folding = peak_kib().saturating_sub(before);
    let size: usize = partials.iter().map(|(_, bytes)| bytes.len()).sum();

    let start = clock.now();
    let (mut answers, mut bytes) = (0, 0);
    for dates in [
        back(1),
        Dates::new(last - 1.days(), last - 1.days()).expect("a day"),
        back(7),
        back(30),
        back(90),
    ] {
        let slots = plan(dates, rollup.rollup.unit(), &zone);
        let channels: Vec<String> = (0..8).map(|it| format!("channel-{it}")).collect();
        let mut open = Vec::new();
        for widget in &definitions.rollup_widgets {
            for channel in std::iter::once("all").chain(channels.iter().map(String::as_str)) {
                let filters = widget.filters(&[("channel".to_owned(), channel.to_owned())]);
                open.push(Answer::new(&rollup.rollup, &widget.shown, &filters, &slots));
            }
        }
        for slot in &slots {
            let (_, kept) = partials.iter().find(|(it, _)| it == slot).expect("it was folded");
            let partial = Partial::decode(&rollup.rollup, kept).expect("as written");
            open.iter_mut().for_each(|answer| answer.add(slot, &partial));
        }
        for answer in &open {
            let mut json = Vec::new();
            answer.write(None, &mut json);
            (answers, bytes) = (answers + 1, bytes + json.len());
        }
    }
    let answered = clock.now().since(start);
    let answering = peak_kib().saturating_sub(before);
    let each = |took: Duration, of: u64| took.as_nanos() as f64 / of as f64 / 1000.0;
    println!("{rows} rows read of {count} orders: each once");
    println!(
        "folded in {folded:?}, {:.2} µs per order, peak growth {folding} KiB",
        each(folded, rows)
    );
    println!("{} partials, {} KiB", partials.len(), size / 1024);
    println!("{answers} answers, {bytes} bytes, in {answered:?}; peak growth {answering} KiB");
    println!(
        "together {:?}; plain SQL, totals and top of 90 days, all channels: {by_sql:?}",
        folded + answered
    );
}
