//! Orders of the last three years: as many of them on the same day are always the same, but for the hours of today.

use std::fmt::Write;

use jiff::{Span, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use samovar_clock::Random;

use super::products;

/// As many as the demo has.
pub const ORDERS: u64 = 20_425;

pub const CHANNELS: [&str; 8] =
    ["web", "till", "app", "phone", "marketplace", "wholesale", "partner", "kiosk"];

/// Of [`ORDERS`]: how many are no more than so many days old.
const AGES: [(i64, u64); 6] =
    [(0, 237), (1, 463), (6, 1826), (29, 7658), (89, 10_834), (1099, ORDERS)];

const CUSTOMERS: u64 = 5000;
const DAY_SECONDS: u64 = 86_400;
/// Bytes that all items of an order are described in.
const ABOUT_BYTES: usize = 1700;
const ABOUT: &str =
    "A comfortable piece for every day, made of sound material, washable and light. ";

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub received_at: Timestamp,
    pub channel: &'static str,
    pub total: f64,
    /// Of one item that was sent back.
    pub refund: Option<f64>,
    pub customer: i64,
    /// One to six of them, as JSON; an order is about 2 KB long.
    pub items: String,
}

/// The orders of one tenant, the oldest days first. None is later than `now`, by the clock of `zone`.
pub fn orders(
    count: u64,
    (now, zone): (Timestamp, &TimeZone),
    random: &Random,
) -> impl Iterator<Item = Order> {
    let today = zone.to_datetime(now).date();
    (0..count).rev().map(move |place| {
        let age = age(place * ORDERS / count, random);
        order(today - Span::new().days(age), (now, zone), random)
    })
}

/// One order of this day.
pub fn order(day: Date, (now, zone): (Timestamp, &TimeZone), random: &Random) -> Order {
    let (items, total_cents, refund_cents) = items(random);
    let channels = CHANNELS.len() as u64;
    Order {
        received_at: moment(day, (now, zone), random),
        // The first ones are the busiest.
        channel: CHANNELS[random.below(channels).min(random.below(channels)) as usize],
        total: money(total_cents),
        refund: refund_cents.map(money),
        customer: random.below(CUSTOMERS) as i64,
        items,
    }
}

/// As it is stored.
pub fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// In days, of the order at this place from the newest.
fn age(place: u64, random: &Random) -> i64 {
    let mut least = 0;
    for (age, until) in AGES {
        if place < until {
            return least + random.below((age - least + 1) as u64) as i64;
        }
        least = age + 1;
    }
    least
}

/// Most of them around noon. Of today only what is over has orders: all of today's.
fn moment(day: Date, (now, zone): (Timestamp, &TimeZone), random: &Random) -> Timestamp {
    let begin_of = |day: Date| day.to_zoned(zone.clone()).expect("a time").timestamp();
    let (begin, end) = (begin_of(day), begin_of(day.saturating_add(1.day())).min(now));
    let length = (end.as_second() - begin.as_second()).max(1) as u64;
    // As many draws whatever the time: the same orders on each day.
    let second = (random.below(DAY_SECONDS) + random.below(DAY_SECONDS)) / 2 * length / DAY_SECONDS;
    begin + (second as i64).seconds()
}

/// What they cost, and what of it was paid back.
fn items(random: &Random) -> (String, u64, Option<u64>) {
    let count = 1 + random.below(6);
    let about = ABOUT.repeat(ABOUT_BYTES / count as usize / ABOUT.len());
    let (mut items, mut total_cents, mut last_cents) = (String::from("["), 0, 0);
    for item in 0..count {
        let product = products::pick(random);
        let quantity = 1 + random.below(4);
        last_cents = quantity * product.price_cents;
        total_cents += last_cents;
        let comma = if item > 0 { "," } else { "" };
        let (euros, cents) = (product.price_cents / 100, product.price_cents % 100);
        write!(
            items,
            "{comma}{{\"sku\":\"SKU-{:05}\",\"name\":\"{}\",\"category\":\"{}\",\"about\":\"{about}\",\
             \"qty\":{quantity},\"price\":{euros}.{cents:02}}}",
            product.sku, product.name, product.category,
        )
        .expect("memory takes everything");
    }
    items.push(']');
    (items, total_cents, (random.below(25) == 0).then_some(last_cents))
}

fn money(cents: u64) -> f64 {
    cents as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(count: u64, now: &str, zone: &str) -> Vec<Order> {
        let (now, zone) = (now.parse().expect("a time"), TimeZone::get(zone).expect("a zone"));
        let random = Random::seeded(1);
        Vec::from_iter(orders(count, (now, &zone), &random))
    }

    /// How many are no older than so many days, by the calendar of the zone.
    fn ages(orders: &[Order], now: &str, zone: &str) -> Vec<usize> {
        let zone = TimeZone::get(zone).expect("a zone");
        let today = zone.to_datetime(now.parse().expect("a time")).date();
        let since = |days: i64| {
            let first = today - Span::new().days(days);
            orders.iter().filter(|it| zone.to_datetime(it.received_at).date() >= first).count()
        };
        [0, 1, 6, 29, 89, 1099].map(since).to_vec()
    }

    /// Also on days of 23 and 25 hours, and a moment after midnight.
    #[test]
    fn there_are_as_many_as_said_on_each_day_and_none_is_in_the_future() {
        for now in [
            "2026-11-22T12:00:00Z",
            "2026-03-29T20:00:00Z",
            "2026-10-25T20:00:00Z",
            "2026-11-21T23:00:00Z",
            "2026-11-21T23:00:01Z",
        ] {
            let all = generated(ORDERS, now, "Europe/Oslo");
            let expected = AGES.map(|(_, count)| count as usize).to_vec();
            assert_eq!(ages(&all, now, "Europe/Oslo"), expected, "{now}");
            let now: Timestamp = now.parse().expect("a time");
            assert!(all.iter().all(|it| it.received_at <= now), "{now}");
        }
    }

    #[test]
    fn orders_are_the_same_each_time_and_fewer_of_them_are_spread_alike() {
        let now = "2026-11-22T12:00:00Z";
        let (one, other) = (generated(500, now, "UTC"), generated(500, now, "UTC"));
        assert!(one == other && one.len() == 500);
        let ages = ages(&one, now, "UTC");
        assert_eq!(ages, AGES.map(|(_, count)| (count * 500).div_ceil(ORDERS) as usize));
    }

    #[test]
    fn an_order_is_about_two_kilobytes_and_its_items_cost_what_it_says() {
        let all = generated(1000, "2026-11-22T12:00:00Z", "UTC");
        let bytes: usize = all.iter().map(|it| it.items.len()).sum();
        assert!((1500..2500).contains(&(bytes / all.len())), "{}", bytes / all.len());
        let refunds = all.iter().filter(|it| it.refund.is_some()).count();
        assert!((20..80).contains(&refunds), "{refunds}");
        for order in &all {
            let part = |name: &str| {
                let name = format!("\"{name}\":");
                let parts = order.items.split(&name).skip(1);
                let number = |it: &str| it.split([',', '}']).next().expect("one").parse::<f64>();
                parts.map(|it| number(it).expect("a number")).collect::<Vec<_>>()
            };
            let costs: f64 = part("qty").iter().zip(part("price")).map(|(qty, it)| qty * it).sum();
            assert!((costs - order.total).abs() < 0.001, "{order:?}");
            assert!(order.refund.is_none_or(|refund| refund <= order.total));
        }
    }
}
