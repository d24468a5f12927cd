//! The orders of a shop: made by chance, changed late, and asked for with plain SQL.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use samovar_clock::Random;
use serde_json::Value as Json;

use super::{
    calendar::Calendar,
    database::{Database, Row},
    figures::{Figure, Fixed, number_of, read_json},
    pick,
};

/// A row, as plain SQL returned it.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) at: Timestamp,
    pub(super) channel: Option<String>,
    pub(super) branch: Option<i64>,
    pub(super) customer: Option<i64>,
    pub(super) cents: Option<Fixed>,
    pub(super) total: Option<Fixed>,
    pub(super) volume: Option<Fixed>,
    pub(super) note: Option<String>,
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) sku: Option<String>,
    pub(super) qty: Option<Fixed>,
    pub(super) price: Option<Fixed>,
    /// Where it is kept as a text.
    pub(super) price_text: Option<String>,
    pub(super) parcel: Option<String>,
}

/// What a dimension has to be.
pub(super) type Filters = Vec<(&'static str, String)>;

/// A stretch of time, the second instant outside.
pub(super) type Bounds = (Timestamp, Timestamp);

pub(super) struct Shop {
    pub(super) database: Database,
    pub(super) table: String,
    /// Which rows there are, to choose one that is changed: id, tenant, and when.
    known: Vec<(u32, String, Timestamp)>,
    next: u32,
}

const CHANNELS: [&str; 6] = ["web", "Web", "till", "app", "grün", "it's"];
const COLUMNS: &str =
    "id, tenant, received_at, channel, branch, customer, cents, total, volume, note, items";
/// What SQL says of rows by itself, in the order of [`Shop::measure`].
const MEASURED: [&str; 11] = [
    "count(*)",
    "count(note)",
    "sum(cents)",
    "sum(total)",
    "sum((cents + 1) * 3 - cents / 4.0)",
    "count(cents)",
    "min(total)",
    "max(cents)",
    "min(note)",
    "max(note)",
    "count(distinct customer)",
];

impl Shop {
    pub(super) async fn open(mut database: Database, table: String) -> Self {
        let [time, money, volume, json, text] = database.types();
        let create = format!(
            "create table {table} (id int primary key, tenant {text}, received_at {time}, \
             channel {text}, branch int, customer int, cents int, total {money}, \
             volume {volume}, note {text}, items {json})"
        );
        database.execute(&create).await;
        let index = format!("create index {table}_by_time on {table} (tenant, received_at)");
        database.execute(&index).await;
        Self { database, table, known: Vec::new(), next: 0 }
    }

    pub(super) async fn insert(&mut self, random: &Random, tenant: &str, times: &[Timestamp]) {
        for some in times.chunks(500) {
            let mut rows = Vec::new();
            for at in some {
                rows.push(self.row(random, tenant, *at));
                self.known.push((self.next, tenant.to_owned(), *at));
                self.next += 1;
            }
            let insert =
                format!("insert into {} ({COLUMNS}) values {}", self.table, rows.join(", "));
            self.database.execute(&insert).await;
        }
    }

    fn row(&self, random: &Random, tenant: &str, at: Timestamp) -> String {
        let below = |bound| random.below(bound);
        let or_null = |one_in: u64, value: String| match below(one_in) {
            0 => "null".to_owned(),
            _ => value,
        };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let channel = *pick(random, &CHANNELS);
        let channel = or_null(8, quoted(channel));
        // SQLite adds doubles: those that it adds exactly are quarters.
        let hundredths =
            if self.database.is_sqlite() { 25 * below(40_000) } else { below(999_999) };
        let total = below_zero(random, hundredths, 2);
        let volume = below_zero(random, below(1_000_000_000_000_000), 4);
        let volume = if self.database.is_sqlite() { quoted(&volume) } else { volume };
        let cents = i64::try_from(below(20_000)).expect("few") - 300;
        let note = quoted(&format!("{} {}", pick(random, &["Ä", "b", "Z", "zz"]), below(60)));
        format!(
            "({}, '{tenant}', {}, {channel}, {}, {}, {}, {}, {}, {}, {})",
            self.next,
            self.database.instant(at),
            or_null(9, below(4).to_string()),
            or_null(9, below(150).to_string()),
            or_null(20, cents.to_string()),
            or_null(20, total),
            or_null(20, volume),
            or_null(3, note),
            or_null(25, quoted(&items(random))),
        )
    }

    /// One of a tenant's rows.
    pub(super) fn choose(&self, random: &Random, tenant: &str) -> Option<(u32, Timestamp)> {
        let mine: Vec<_> = self.known.iter().filter(|it| it.1 == tenant).collect();
        (!mine.is_empty()).then(|| pick(random, &mine)).map(|it| (it.0, it.2))
    }

    pub(super) async fn delete(&mut self, id: u32) {
        let delete = format!("delete from {} where id = {id}", self.table);
        self.database.execute(&delete).await;
        self.known.retain(|it| it.0 != id);
    }

    pub(super) async fn reprice(&mut self, id: u32, cents: u64) {
        let channel = CHANNELS[id as usize % 4];
        let update = format!(
            "update {} set cents = {cents}, channel = '{channel}', items = '[]' where id = {id}",
            self.table
        );
        self.database.execute(&update).await;
    }

    pub(super) async fn move_to(&mut self, id: u32, at: Timestamp) {
        let time = self.database.instant(at);
        let update = format!("update {} set received_at = {time} where id = {id}", self.table);
        self.database.execute(&update).await;
        self.known.iter_mut().filter(|it| it.0 == id).for_each(|it| it.2 = at);
    }

    fn place(&self, tenant: &str, (from, to): Bounds, filters: &Filters) -> (String, Vec<String>) {
        let places = [1, 2, 3, 4].map(|number| self.database.place(number));
        let mut rest = format!(
            "from {} where tenant = {} and received_at >= {} and received_at < {}",
            self.table, places[0].0, places[1].1, places[2].1
        );
        let mut given = vec![tenant.to_owned(), self.database.bound(from), self.database.bound(to)];
        for (dimension, value) in filters.iter().filter(|(_, value)| value != "all") {
            match *dimension {
                "channel" => {
                    rest += &format!(" and channel = {}", places[3].0);
                    given.push(value.clone());
                }
                "branch" => rest += &format!(" and branch = {value}"),
                _ => {}
            }
        }
        (rest, given)
    }

    pub(super) async fn orders(
        &mut self,
        tenant: &str,
        bounds: Bounds,
        filters: &Filters,
    ) -> Vec<Order> {
        let (rest, given) = self.place(tenant, bounds, filters);
        let columns = [
            self.database.shown_time(),
            "channel",
            "branch",
            "customer",
            "cents",
            "total",
            "volume",
            "note",
            "items",
        ];
        let rows = self.database.ask(&columns, &rest, &given).await;
        let mut orders: Vec<Order> = rows.into_iter().map(Order::read).collect();
        if let Some((_, sku)) =
            filters.iter().find(|(name, value)| *name == "sku" && value != "all")
        {
            orders.iter_mut().for_each(|it| it.items.retain(|it| it.sku.as_ref() == Some(sku)));
        }
        orders
    }

    /// What plain SQL says of each value of a column, or of all rows.
    pub(super) async fn measure(
        &mut self,
        tenant: &str,
        bounds: Bounds,
        filters: &Filters,
        by: Option<&str>,
    ) -> Vec<(Option<String>, Vec<(&'static str, Figure)>)> {
        let (mut rest, given) = self.place(tenant, bounds, filters);
        if let Some(by) = by {
            rest += &format!(" group by {by}");
        }
        // SQLite has no decimals, and their texts are integers without the point.
        let volume = match self.database.is_sqlite() {
            true => "sum(cast(replace(volume, '.', '') as integer))",
            false => "sum(volume)",
        };
        let columns: Vec<&str> = MEASURED.into_iter().chain([volume]).chain(by).collect();
        let is_sqlite = self.database.is_sqlite();
        let rows = self.database.ask(&columns, &rest, &given).await;
        let figures = |row: &Row| {
            let text = |at: usize| row[at].clone().map_or(Figure::Null, Figure::Text);
            let parsed = |at: usize| row[at].as_ref().map(|it| Fixed::parse(it).expect(it));
            let number = |at: usize| parsed(at).map_or(Figure::Null, Figure::Number);
            let mean = match (parsed(2), parsed(5)) {
                (Some(sum), Some(count)) => Figure::Double(sum.to_f64() / count.to_f64()),
                _ => Figure::Null,
            };
            let distinct = row[10].as_ref().and_then(|it| it.parse().ok()).expect("a count");
            let units = |it: Fixed| if is_sqlite { Fixed(it.0 / 10_000) } else { it };
            let volume = parsed(11).map(units).map_or(Figure::Null, Figure::Number);
            vec![
                ("orders", number(0)),
                ("notes", number(1)),
                ("cents", number(2)),
                ("total", number(3)),
                ("taxed", number(4)),
                ("mean", mean),
                ("least", number(6)),
                ("greatest", number(7)),
                ("first_note", text(8)),
                ("last_note", text(9)),
                ("buyers", Figure::Distinct(distinct)),
                ("volume", volume),
            ]
        };
        rows.iter().map(|row| (row.get(12).cloned().flatten(), figures(row))).collect()
    }
}

/// So many units of the last digit, now and then below zero.
fn below_zero(random: &Random, units: u64, digits: u32) -> String {
    let one = 10u64.pow(digits);
    let sign = if random.below(12) == 0 && units > 0 { "-" } else { "" };
    format!("{sign}{}.{:0width$}", units / one, units % one, width = digits as usize)
}

fn items(random: &Random) -> String {
    let below = |bound| random.below(bound);
    let item = |_| {
        let sku = match below(25) {
            0 => "null".to_owned(),
            1 => r#""with \"quotes\" and é""#.to_owned(),
            _ => format!("\"sku-{}\"", below(30)),
        };
        let qty = match below(30) {
            0 => "null".to_owned(),
            1 => "-1".to_owned(),
            _ => below(6).to_string(),
        };
        let price = format!("{}.{:02}", below(90), below(100));
        // Encoders of some languages keep decimals as texts.
        let price = if below(4) == 0 { format!("\"{price}\"") } else { price };
        let parcel = format!("{:x}", below(1 << 40));
        format!(
            r#"{{"extra": {{"sku": ["]}}", {}]}}, "sku": {sku}, "qty": {qty}, "price": {price}, "parcel": "{parcel}"}}"#,
            below(9)
        )
    };
    let items: Vec<String> = (0..below(6)).map(item).collect();
    format!("[{}]", items.join(", "))
}

impl Order {
    fn read(row: Row) -> Self {
        let [at, channel, branch, customer, cents, total, volume, note, items] =
            <[_; 9]>::try_from(row).expect("nine columns");
        let at = at.expect("each has a time").parse::<jiff::civil::DateTime>().expect("a time");
        let integer = |text: Option<String>| text.map(|it| it.parse().expect("an integer"));
        let fixed = |text: Option<String>| text.map(|it| Fixed::parse(&it).expect("a decimal"));
        let items = items.map(|json| read_json(&json));
        let items = items.iter().flat_map(|it| it.as_array().expect("a list"));
        Self {
            at: TimeZone::UTC.to_timestamp(at).expect("a time"),
            channel,
            branch: integer(branch),
            customer: integer(customer),
            cents: fixed(cents),
            total: fixed(total),
            volume: fixed(volume),
            note,
            items: items.map(Item::read).collect(),
        }
    }
}

impl Item {
    fn read(json: &Json) -> Self {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let fixed = |name: &str| {
            let digits = number_of(&json[name]).or_else(|| json[name].as_str());
            digits.map(|it| Fixed::parse(it).expect("a decimal"))
        };
        let price_text = text("price").filter(|_| number_of(&json["price"]).is_none());
        Self {
            sku: text("sku"),
            qty: fixed("qty"),
            price: fixed("price"),
            price_text,
            parcel: text("parcel"),
        }
    }
}

/// When orders come: around the days that are not like others, often at the very moment at which a
/// day or an hour begins, and now and then in between.
pub(super) fn moment(
    random: &Random,
    calendar: &Calendar,
    edges: &[Date],
    (first, last): (Date, Date),
) -> Timestamp {
    let edge = *pick(random, edges);
    let near = edge.checked_add((random.below(5) as i64 - 2).days()).expect("a day");
    match random.below(20) {
        0..3 => {
            let hour = near.at(random.below(24) as i8, 0, 0, 0);
            calendar.begins(hour) + (random.below(3) as i64 - 1).milliseconds()
        }
        3..5 => calendar.day_begins(near) + (random.below(3) as i64 - 1).milliseconds(),
        5..10 => calendar.day_begins(near) + (random.below(86_400_000) as i64).milliseconds(),
        _ => {
            let (from, to) = calendar.bounds((first, last));
            let length = to.as_millisecond() - from.as_millisecond();
            from + (random.below(length as u64) as i64).milliseconds()
        }
    }
}
