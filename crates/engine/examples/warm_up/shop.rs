//! The shop of the commerce pack, and widgets over it for each of which there is plain SQL.

use std::fmt::Write;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rusqlite::{Connection, params};
use samovar_clock::Random;
use samovar_packs::commerce::{self, Order};

pub(crate) const RANGES: [(&str, i64, i64); 5] =
    [("1d", 0, 0), ("yesterday", 1, 1), ("7d", 0, 6), ("30d", 0, 29), ("90d", 0, 89)];
const ROLLUP: &str = r#"
[rollup.days]
source = "shop"
tag = "orders/{hour}"
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
[event."order.created"]
invalidates = ["orders/{hour}"]
at = "received_at"
"#;

/// Where it is nine in the evening or a little later, whatever the time of the run: most of today is
/// over.
pub(crate) fn zone(now: Timestamp) -> TimeZone {
    let east = 21 - i32::from(now.to_zoned(TimeZone::UTC).hour());
    let east = if east > 14 { east - 24 } else { east };
    TimeZone::get(&format!("Etc/GMT{:+}", -east)).expect("from +12 to -14")
}

/// What it shows, and plain SQL for the same; `{}` is where the range and the channel go.
pub(crate) const WIDGETS: [(&str, &str); 8] = [
    (
        "show = \"totals\"\nmeasures = [\"orders\", \"revenue\", \"mean\", \"largest\", \"buyers\"]",
        "select count(*), sum(total), avg(total), max(total), count(distinct customer_id) from orders where {}",
    ),
    (
        "show = \"series\"\nmeasures = [\"revenue\", \"orders\"]",
        "select date(received_at), sum(total), count(*) from orders where {} group by 1 order by 1",
    ),
    (
        "show = \"breakdown\"\nby = \"channel\"\nmeasures = [\"revenue\", \"orders\"]",
        "select channel, sum(total), count(*) from orders where {} group by 1 order by 2 desc",
    ),
    (
        "show = \"top\"\nmeasures = [\"products\"]",
        "select i.value ->> 'sku', sum((i.value ->> 'qty') * (i.value ->> 'price')) from orders, \
         json_each(items) i where {} group by 1 order by 2 desc limit 10",
    ),
    (
        "show = \"totals\"\nmeasures = [\"basket\"]",
        "select total from orders where {} order by total",
    ),
    (
        "show = \"series\"\nby = \"weekday\"\nmeasures = [\"orders\"]",
        "select strftime('%w', received_at), count(*) from orders where {} group by 1",
    ),
    (
        "show = \"series\"\nmeasures = [\"buyers\"]",
        "select date(received_at), count(distinct customer_id) from orders where {} group by 1",
    ),
    (
        "show = \"totals\"\nmeasures = [\"units\"]",
        "select sum(i.value ->> 'qty') from orders, json_each(items) i where {}",
    ),
];

/// With all that there is as a sixth range, if `whole` is the number of its days.
pub(crate) fn definitions(
    url: &str,
    tenants: usize,
    whole: Option<&str>,
    zone: &TimeZone,
) -> String {
    let zone = zone.iana_name().expect("it has one");
    let ids: Vec<_> =
        (0..tenants).map(|id| format!("{{ id = \"t{id}\", time_zone = {zone:?} }}")).collect();
    let mut text = format!("[tenants]\nlist = [{}]\n", ids.join(", "));
    write!(text, "[source.shop]\nurl = \"{url}\"\ntimeout = \"10m\"\n{ROLLUP}").expect("text");
    let ranges = RANGES.iter().map(|(name, ..)| *name).chain(whole);
    let ranges: Vec<_> = ranges.map(|name| format!("\"{name}\"")).collect();
    let channels = commerce::CHANNELS.map(|it| format!("{it:?}")).into_iter();
    let channels: Vec<_> = std::iter::once("\"all\"".to_owned()).chain(channels).collect();
    for (index, (widget, _)) in WIDGETS.iter().enumerate() {
        write!(
            text,
            "[widget.w{index}]\nrollup = \"days\"\nranges = [{}]\n{widget}\n\
             params.channel = {{ default = \"all\", values = [{}] }}\n",
            ranges.join(", "),
            channels.join(", ")
        )
        .expect("text");
    }
    text
}

/// `count` orders of each tenant, without an index.
pub(crate) fn generate(
    connection: &Connection,
    tenants: usize,
    count: u64,
    (now, zone): (Timestamp, &TimeZone),
) {
    connection.execute_batch(commerce::SCHEMA).expect("a table");
    connection.execute_batch("begin").expect("begun");
    let random = Random::seeded(7);
    for tenant in 0..tenants {
        for order in commerce::orders(count, (now, zone), &random) {
            insert(connection, &format!("t{tenant}"), &order);
        }
    }
    connection.execute_batch("commit").expect("written");
    // Nobody's log is as long as this one.
    let checkpoint = "pragma wal_checkpoint(truncate)";
    connection.query_row(checkpoint, [], |_| Ok(())).expect("written");
}

pub(crate) fn insert(connection: &Connection, tenant: &str, order: &Order) {
    let Order { received_at, channel, total, refund, customer, items } = order;
    let at = commerce::text(*received_at);
    let mut insert = connection.prepare_cached(commerce::INSERT).expect("SQL");
    let row = params![tenant, at, channel, total, refund, customer, items];
    insert.execute(row).expect("an order");
}

/// Every widget by plain SQL, of every range, for one channel or all. How many rows came out.
pub(crate) fn by_plain_sql(
    connection: &Connection,
    (last, zone): (Date, &TimeZone),
    channel: &str,
) -> u64 {
    let begin = |day: Date| commerce::text(zone.to_timestamp(day.at(0, 0, 0, 0)).expect("a time"));
    let mut count = 0;
    for (_, sql) in WIDGETS {
        for (_, newest, oldest) in RANGES {
            let range = format!(
                "tenant_id = 't0' and ?1 in ('all', channel) and received_at >= '{}' and received_at < '{}'",
                begin(last - oldest.days()),
                begin(last - (newest - 1).days())
            );
            let mut statement = connection.prepare(&sql.replace("{}", &range)).expect("SQL");
            let mut rows = statement.query([channel]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let _: rusqlite::types::Value = row.get(0).expect("a value");
                count += 1;
            }
        }
    }
    count
}
