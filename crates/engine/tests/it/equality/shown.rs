//! What a widget has to show, put together from plain SQL and, where the three databases have no
//! words for it, from the rows that it returned; and what is shown instead.

use std::collections::BTreeMap;

use jiff::{ToSpan, civil::Date};
use serde_json::Value as Json;

use super::{
    calendar::{Bucket, Calendar, Unit},
    drawn::{Show, Spec},
    figures::{Figure, Fixed, Key, number_of, told},
    orders::{Bounds, Filters, Order, Shop},
};

type Figures = Vec<(&'static str, Figure)>;

#[derive(Debug)]
pub(super) enum Expected {
    Totals(Line),
    Lines { lines: Vec<Line>, other: Option<Line> },
    Top(Top),
}

/// A row, or what stands for one.
#[derive(Debug, Default)]
pub(super) struct Line {
    head: Vec<(&'static str, Key)>,
    figures: Figures,
    previous: Option<Figures>,
}

#[derive(Debug)]
pub(super) struct Top {
    name: &'static str,
    called: &'static str,
    count: usize,
    weights: Vec<(Key, Fixed)>,
    before: Option<BTreeMap<Key, Fixed>>,
}

/// A widget for a tenant, a range and some filters.
pub(super) struct Wanted<'w> {
    pub(super) spec: &'w Spec,
    pub(super) tenant: &'w str,
    pub(super) calendar: &'w Calendar,
    pub(super) dates: (Date, Date),
    pub(super) filters: Filters,
}

impl Wanted<'_> {
    /// As many days before.
    fn previous(&self) -> (Date, Date) {
        let (first, last) = self.dates;
        let days = super::calendar::days(first, last).count();
        let back = i64::try_from(days).expect("few").days();
        (first - back, last - back)
    }

    async fn orders(&self, shop: &mut Shop, dates: (Date, Date)) -> Vec<Order> {
        shop.orders(self.tenant, self.calendar.bounds(dates), &self.filters).await
    }

    /// Of the rows in a stretch of time, as plain SQL has it where it can.
    async fn figures(&self, shop: &mut Shop, orders: &[Order], bounds: Bounds) -> Figures {
        let (from, to) = bounds;
        let inside: Vec<&Order> = orders.iter().filter(|it| from <= it.at && it.at < to).collect();
        let told = shop.measure(self.tenant, bounds, &self.filters, None).await.remove(0).1;
        self.united(&inside, &told)
    }

    fn united(&self, orders: &[&Order], told: &Figures) -> Figures {
        let figure = |name: &&'static str| {
            let naive = figure(name, orders);
            if let Some((_, told)) = told.iter().find(|(told, _)| told == name) {
                assert!(
                    told.agrees(&naive),
                    "{name} is {told:?} in SQL, and {naive:?} of its rows"
                );
            }
            (*name, naive)
        };
        self.spec.measures.iter().map(figure).collect()
    }

    pub(super) async fn expected(&self, shop: &mut Shop) -> Expected {
        let orders = self.orders(shop, self.dates).await;
        let before = match self.spec.compare {
            true => Some(self.orders(shop, self.previous()).await),
            false => None,
        };
        match self.spec.show {
            Show::Totals => {
                let bounds = self.calendar.bounds(self.dates);
                let figures = self.figures(shop, &orders, bounds).await;
                let mut line = Line { figures, ..Line::default() };
                if let Some(before) = &before {
                    let bounds = self.calendar.bounds(self.previous());
                    line.previous = Some(self.figures(shop, before, bounds).await);
                }
                Expected::Totals(line)
            }
            Show::Series(by) => self.series(shop, by, &orders, before.as_deref()).await,
            Show::Weekdays => {
                let row = |weekday: i8| {
                    let of = |dates, orders: &[Order]| {
                        let days = self.calendar.buckets(dates, Unit::Day);
                        self.of_buckets(orders, &days, |it| day_number(it) == weekday)
                    };
                    Line {
                        head: vec![("weekday", Key::Integer(weekday.into()))],
                        figures: of(self.dates, &orders),
                        previous: before.as_ref().map(|it| of(self.previous(), it)),
                    }
                };
                Expected::Lines { lines: (1..=7).map(row).collect(), other: None }
            }
            Show::HeatMap => {
                let hours = self.calendar.buckets(self.dates, Unit::Hour);
                let row = |(weekday, hour): (i8, i8)| {
                    let is_in = |it: &Bucket| day_number(it) == weekday && it.start.hour() == hour;
                    let figures = self.of_buckets(&orders, &hours, is_in);
                    let head = [("weekday", weekday), ("hour", hour)];
                    let head = head.map(|(name, it)| (name, Key::Integer(it.into())));
                    Line { head: head.to_vec(), figures, previous: None }
                };
                let cells = (1..=7).flat_map(|day| (0..24).map(move |hour| (day, hour)));
                Expected::Lines { lines: cells.map(row).collect(), other: None }
            }
            Show::Breakdown { by, top } => {
                self.breakdown(shop, (by, top), &orders, before.as_deref()).await
            }
            Show::Top { count } => {
                let name = self.spec.measures[0];
                let mut weights: Vec<_> = weights(name, &orders).into_iter().collect();
                weights.sort_by(|(_, a), (_, b)| b.cmp(a));
                let called = if name == "clients" { "customer" } else { "sku" };
                let before = before.map(|it| self::weights(name, &it));
                Expected::Top(Top { name, called, count, weights, before })
            }
        }
    }

    async fn series(
        &self,
        shop: &mut Shop,
        by: Unit,
        orders: &[Order],
        before: Option<&[Order]>,
    ) -> Expected {
        let mut lines = Vec::new();
        for bucket in self.calendar.buckets(self.dates, by) {
            let figures = self.figures(shop, orders, (bucket.from, bucket.to)).await;
            let shown = match by {
                Unit::Hour => bucket.start.strftime("%FT%H").to_string(),
                Unit::Day => bucket.start.strftime("%F").to_string(),
                Unit::Month => bucket.start.strftime("%Y-%m").to_string(),
            };
            let head = vec![(by.word(), Key::Text(shown))];
            lines.push(Line { head, figures, previous: None });
        }
        if let Some(before) = before {
            // Beside each the one at the same place before.
            let buckets = self.calendar.buckets(self.previous(), by);
            for (index, line) in lines.iter_mut().enumerate() {
                line.previous = Some(match buckets.get(index) {
                    Some(it) => self.figures(shop, before, (it.from, it.to)).await,
                    None => self.united(&[], &Vec::new()),
                });
            }
        }
        Expected::Lines { lines, other: None }
    }

    fn of_buckets(
        &self,
        orders: &[Order],
        buckets: &[Bucket],
        is_in: impl Fn(&Bucket) -> bool,
    ) -> Figures {
        let of = |order: &&Order| {
            buckets.iter().any(|it| it.from <= order.at && order.at < it.to && is_in(it))
        };
        let inside: Vec<&Order> = orders.iter().filter(of).collect();
        self.united(&inside, &Vec::new())
    }

    async fn breakdown(
        &self,
        shop: &mut Shop,
        (by, top): (&'static str, Option<usize>),
        orders: &[Order],
        before: Option<&[Order]>,
    ) -> Expected {
        let column = (by != "items.sku").then_some(by);
        let told = match column {
            None => Vec::new(),
            Some(_) => {
                let bounds = self.calendar.bounds(self.dates);
                shop.measure(self.tenant, bounds, &self.filters, column).await
            }
        };
        let groups = groups(by, orders);
        if column.is_some() {
            assert_eq!(told.len(), groups.len(), "values of {by}");
        }
        let groups_before = before.map(|it| self::groups(by, it)).unwrap_or_default();
        let previous = |key: &Key| {
            before.is_some().then(|| {
                let none = Vec::new();
                let orders = groups_before.get(key).unwrap_or(&none);
                self.united(&orders.iter().collect::<Vec<_>>(), &Vec::new())
            })
        };
        let mut lines: Vec<(Key, Line)> = Vec::new();
        for (key, orders) in &groups {
            let is_this = |it: &Option<String>| match key {
                Key::Null => it.is_none(),
                Key::Integer(number) => it.as_ref() == Some(&number.to_string()),
                Key::Text(text) => it.as_ref() == Some(text),
            };
            let told = told.iter().find(|(value, _)| is_this(value)).map(|(_, told)| told.clone());
            let orders: Vec<&Order> = orders.iter().collect();
            let figures = self.united(&orders, &told.unwrap_or_default());
            let head = vec![(by.rsplit('.').next().unwrap_or(by), key.clone())];
            lines.push((key.clone(), Line { head, figures, previous: previous(key) }));
        }
        // Where they are equal they stay in the order of their names.
        lines.sort_by(|(_, a), (_, b)| b.rank().total_cmp(&a.rank()));
        let rest = lines.split_off(lines.len().min(top.unwrap_or(usize::MAX)));
        let other = (!rest.is_empty()).then(|| {
            let is_shown = |key: &&Key| lines.iter().any(|(shown, _)| shown == *key);
            let of = |groups: &BTreeMap<Key, Vec<Order>>| {
                let others = groups.iter().filter(|(key, _)| !is_shown(key));
                let orders: Vec<&Order> = others.flat_map(|(_, orders)| orders).collect();
                self.united(&orders, &Vec::new())
            };
            let previous = before.map(|_| of(&groups_before));
            Line { head: Vec::new(), figures: of(&groups), previous }
        });
        Expected::Lines { lines: lines.into_iter().map(|(_, line)| line).collect(), other }
    }
}

fn day_number(bucket: &Bucket) -> i8 {
    bucket.start.date().weekday().to_monday_one_offset()
}

/// Orders by the value of a dimension. One of items leaves the others out.
fn groups(by: &str, orders: &[Order]) -> BTreeMap<Key, Vec<Order>> {
    let mut groups: BTreeMap<Key, Vec<Order>> = BTreeMap::new();
    for order in orders {
        match by {
            "channel" => {
                let key = Key::text(order.channel.as_deref());
                groups.entry(key).or_default().push(order.clone());
            }
            "branch" => {
                groups.entry(Key::integer(order.branch)).or_default().push(order.clone());
            }
            _ => {
                for item in &order.items {
                    let one = Order { items: vec![item.clone()], ..order.clone() };
                    groups.entry(Key::text(item.sku.as_deref())).or_default().push(one);
                }
            }
        }
    }
    groups
}

fn weights(name: &str, orders: &[Order]) -> BTreeMap<Key, Fixed> {
    let mut weights: BTreeMap<Key, Fixed> = BTreeMap::new();
    let mut add = |key: Key, weight: Option<Fixed>| {
        if let (false, Some(weight)) = (key == Key::Null, weight) {
            let sum = weights.entry(key).or_default();
            *sum = *sum + weight;
        }
    };
    for order in orders {
        if name == "clients" {
            add(Key::integer(order.customer), order.cents);
            continue;
        }
        for item in &order.items {
            let weight = item.qty.zip(item.price).map(|(qty, price)| qty.times(price));
            add(Key::text(item.sku.as_deref()), weight);
        }
    }
    weights
}

/// Straight from the rows.
fn figure(name: &str, orders: &[&Order]) -> Figure {
    let items = || orders.iter().flat_map(|it| &it.items);
    let or_null = |number: Option<Fixed>| number.map_or(Figure::Null, Figure::Number);
    let distinct = |mut keys: Vec<Key>| {
        keys.sort();
        keys.dedup();
        keys.retain(|it| *it != Key::Null);
        Figure::Distinct(keys.len() as u64)
    };
    let sorted = |numbers: Vec<Fixed>| {
        let mut numbers: Vec<f64> = numbers.into_iter().map(Fixed::to_f64).collect();
        numbers.sort_by(f64::total_cmp);
        Figure::Quantiles(numbers)
    };
    let notes = || orders.iter().filter_map(|it| it.note.clone());
    let cents = || orders.iter().filter_map(|it| it.cents);
    let text_prices = || items().filter_map(|it| it.price_text.clone());
    let number_prices = || items().filter(|it| it.price_text.is_none()).filter_map(|it| it.price);
    match name {
        "orders" => Figure::count(orders.len()),
        "notes" => Figure::count(notes().count()),
        "cents" => Figure::sum(cents()),
        "total" => Figure::sum(orders.iter().filter_map(|it| it.total)),
        "volume" => Figure::sum(orders.iter().filter_map(|it| it.volume)),
        "taxed" => Figure::sum(cents().map(|it| {
            let one = Fixed::integer(1);
            (it + one).times(Fixed::integer(3)) - Fixed(it.0 / 4)
        })),
        "mean" => match Figure::sum(cents()) {
            Figure::Number(sum) => {
                let count = u32::try_from(cents().count()).expect("few");
                Figure::Double(sum.to_f64() / f64::from(count))
            }
            other => other,
        },
        "least" => or_null(orders.iter().filter_map(|it| it.total).min()),
        "greatest" => or_null(cents().max()),
        "first_note" => notes().min().map_or(Figure::Null, Figure::Text),
        "last_note" => notes().max().map_or(Figure::Null, Figure::Text),
        "buyers" => distinct(orders.iter().map(|it| Key::integer(it.customer)).collect()),
        "basket" => sorted(cents().collect()),
        "elements" => Figure::count(items().count()),
        "units" => Figure::sum(items().filter_map(|it| it.qty)),
        "turnover" => {
            let both = items().filter_map(|it| it.qty.zip(it.price));
            Figure::sum(both.map(|(qty, price)| qty.times(price)))
        }
        // A number is less than a text.
        "cheapest" => match number_prices().min() {
            None => text_prices().min().map_or(Figure::Null, Figure::Text),
            number => or_null(number),
        },
        "dearest" => match text_prices().max() {
            None => or_null(number_prices().max()),
            Some(text) => Figure::Text(text),
        },
        "skus" => distinct(items().map(|it| Key::text(it.sku.as_deref())).collect()),
        "parcels" => distinct(items().map(|it| Key::text(it.parcel.as_deref())).collect()),
        "prices" => sorted(items().filter_map(|it| it.price).collect()),
        other => panic!("nobody knows {other}"),
    }
}

impl Line {
    fn rank(&self) -> f64 {
        self.figures[0].1.rank()
    }

    fn check(&self, found: &Json) -> Result<(), String> {
        let mut names = self.head.len() + self.figures.len();
        for (name, key) in &self.head {
            if !key.is(&found[*name]) {
                return Err(format!("`{name}` is {}, not {key:?}", told(&found[*name])));
            }
        }
        check_figures(&self.figures, found)?;
        if let Some(previous) = &self.previous {
            names += 1;
            check_figures(previous, &found["previous"])
                .map_err(|difference| format!("before, {difference}"))?;
        }
        match found.as_object().map(serde_json::Map::len) {
            Some(count) if count == names => Ok(()),
            _ => Err(format!("{} has other fields than expected", told(found))),
        }
    }
}

fn check_figures(figures: &Figures, found: &Json) -> Result<(), String> {
    for (name, figure) in figures {
        if found.get(name).is_none_or(|it| !figure.is(it)) {
            return Err(format!("`{name}` is {}, not {figure:?}", told(&found[*name])));
        }
    }
    Ok(())
}

impl Expected {
    /// # Errors
    /// The first difference.
    pub(super) fn check(&self, found: &Json) -> Result<(), String> {
        let rows =
            || found["rows"].as_array().ok_or_else(|| format!("{} has no rows", told(found)));
        match self {
            Expected::Totals(line) => {
                let totals = Line { figures: line.figures.clone(), ..Line::default() };
                totals.check(&found["totals"])?;
                match &line.previous {
                    None if found.get("previous").is_none() => Ok(()),
                    None => Err("something is compared".to_owned()),
                    Some(previous) => {
                        let previous = Line { figures: previous.clone(), ..Line::default() };
                        previous.check(&found["previous"]).map_err(|it| format!("before, {it}"))
                    }
                }
            }
            Expected::Lines { lines, other } => {
                let rows = rows()?;
                if rows.len() != lines.len() {
                    return Err(format!("{} rows, not {}", rows.len(), lines.len()));
                }
                for (index, (line, row)) in lines.iter().zip(rows).enumerate() {
                    let place = |it| format!("row {index} ({:?}): {it}", line.head);
                    line.check(row).map_err(place)?;
                }
                match (other, found.get("other")) {
                    (None, None) => Ok(()),
                    (Some(other), Some(found)) => {
                        other.check(found).map_err(|it| format!("other: {it}"))
                    }
                    (other, found) => Err(format!("other is {found:?}, not {other:?}")),
                }
            }
            Expected::Top(top) => top.check(rows()?, &found["error"]),
        }
    }
}

impl Top {
    /// No weight is further off than the error says, and nothing that is not shown weighs more.
    fn check(&self, rows: &[Json], error: &Json) -> Result<(), String> {
        let parse = |json: &Json| number_of(json).and_then(Fixed::parse);
        let error = parse(error).ok_or_else(|| format!("the error is {error}"))?;
        let exact = error == Fixed::default();
        if exact && rows.len() != self.count.min(self.weights.len()) {
            return Err(format!("{} rows of {}", rows.len(), self.weights.len()));
        }
        let mut last = None;
        for (index, row) in rows.iter().enumerate() {
            let known = self.weights.iter().find(|(key, _)| key.is(&row[self.called]));
            let (key, weight) =
                known.ok_or_else(|| format!("row {index}: {} is unknown", told(row)))?;
            let shown =
                parse(&row[self.name]).ok_or_else(|| format!("{} has no weight", told(row)))?;
            let off = Fixed((shown - *weight).0.abs());
            if off > error || exact && self.weights[index].0 != *key {
                return Err(format!("row {index}: {} weighs {weight}, error {error}", told(row)));
            }
            if last.is_some_and(|last| shown > last) {
                return Err(format!("row {index}: {} weighs more than the one before", told(row)));
            }
            last = Some(shown);
            if let Some(before) = &self.before {
                let expected = before.get(key).map_or(Figure::Null, |it| Figure::Number(*it));
                if !expected.is(&row["previous"][self.name]) {
                    return Err(format!("row {index}: {} weighed {expected:?}", told(row)));
                }
            }
        }
        let full = rows.len() == self.count;
        let most = last.filter(|_| full).map_or(error, |last| (last + error).max(error));
        let is_shown = |key: &Key| rows.iter().any(|row| key.is(&row[self.called]));
        match self.weights.iter().find(|(key, weight)| *weight > most && !is_shown(key)) {
            None => Ok(()),
            Some(missing) => Err(format!("{missing:?} is missing: error {error}")),
        }
    }
}
