//! Rollups with every kind of measure, and widgets over them that are drawn by chance.

use std::fmt::Write as _;

use samovar_clock::Random;

use super::{calendar::Unit, figures::POINTS, pick};

/// A widget over a rollup.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) show: Show,
    pub(super) measures: Vec<&'static str>,
    pub(super) compare: bool,
    pub(super) params: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Totals,
    Series(Unit),
    Weekdays,
    HeatMap,
    Breakdown { by: &'static str, top: Option<usize> },
    Top { count: usize },
}

const OF_ROWS: [(&str, &str); 13] = [
    ("orders", "\"count\""),
    ("notes", "{ count = \"note\" }"),
    ("cents", "{ sum = \"cents\" }"),
    ("total", "{ sum = \"total\" }"),
    ("volume", "{ sum = \"volume\" }"),
    ("taxed", "{ sum = \"(cents + 1) * 3 - cents / 4\" }"),
    ("mean", "{ average = \"cents\" }"),
    ("least", "{ min = \"total\" }"),
    ("greatest", "{ max = \"cents\" }"),
    ("first_note", "{ min = \"note\" }"),
    ("last_note", "{ max = \"note\" }"),
    ("buyers", "{ distinct = \"customer\" }"),
    ("basket", "{ quantiles = \"cents\" }"),
];
const OF_ITEMS: [(&str, &str); 8] = [
    ("elements", "{ count = \"items\" }"),
    ("units", "{ sum = \"items.qty\" }"),
    ("turnover", "{ sum = \"items.qty * items.price\" }"),
    ("cheapest", "{ min = \"items.price\" }"),
    ("dearest", "{ max = \"items.price\" }"),
    ("skus", "{ distinct = \"items.sku\" }"),
    ("parcels", "{ distinct = \"items.parcel\" }"),
    ("prices", "{ quantiles = \"items.price\" }"),
];
/// The first keeps all that there are, the others let some go.
const TOPS: [(&str, &str); 3] = [
    ("products", "{ top = \"items.sku\", by = \"items.qty * items.price\", keep = 100 }"),
    ("few", "{ top = \"items.sku\", by = \"items.qty * items.price\", keep = 9 }"),
    ("clients", "{ top = \"customer\", by = \"cents\", keep = 30 }"),
];
/// By which rows can be ordered without a doubt.
const ORDERED_BY: [&str; 3] = ["orders", "cents", "taxed"];
const ITEMS_ORDERED_BY: [&str; 3] = ["elements", "units", "turnover"];

/// Of a board: the first ones of a rollup.
pub(super) const TILES: usize = 5;

impl Show {
    fn word(self) -> &'static str {
        match self {
            Show::Totals => "totals",
            Show::Series(_) | Show::Weekdays => "series",
            Show::HeatMap => "heatmap",
            Show::Breakdown { .. } => "breakdown",
            Show::Top { .. } => "top",
        }
    }
}

impl Spec {
    fn write(&self, text: &mut String) {
        let Self { name, unit, show, measures, compare, params } = self;
        write!(
            text,
            "[widget.{name}]\nrollup = \"{}s\"\nranges = [\"7d\"]\nfreshness = \"own\"\n\
             show = \"{}\"\nmeasures = {measures:?}\n",
            unit.word(),
            show.word()
        )
        .expect("room");
        match show {
            Show::Series(by) => *text += &format!("by = \"{}\"\n", by.word()),
            Show::Weekdays => *text += "by = \"weekday\"\n",
            Show::Breakdown { by, top } => {
                *text += &format!("by = \"{by}\"\n");
                if let Some(top) = top {
                    *text += &format!("top = {top}\n");
                }
            }
            Show::Top { count } => *text += &format!("top = {count}\n"),
            Show::Totals | Show::HeatMap => {}
        }
        if *compare {
            *text += "compare = \"previous\"\n";
        }
        if measures.iter().any(|it| ["basket", "prices"].contains(it)) {
            *text += &format!("quantiles = {POINTS:?}\n");
        }
        for param in params {
            *text += &format!("params.{param} = {{ default = \"all\" }}\n");
        }
    }
}

/// Some of both kinds, or of one.
fn measures(random: &Random, most: u64, with_rows: bool) -> Vec<&'static str> {
    let all = OF_ITEMS.iter().chain(OF_ROWS.iter().filter(|_| with_rows));
    let mut names: Vec<_> = all.map(|(name, _)| *name).collect();
    let mut drawn = Vec::new();
    for _ in 0..=random.below(most) {
        drawn.push(names.swap_remove(random.below(names.len() as u64) as usize));
    }
    drawn
}

fn ordered(first: &'static str, mut measures: Vec<&'static str>) -> Vec<&'static str> {
    measures.retain(|it| *it != first);
    measures.insert(0, first);
    measures
}

/// Each way to show each rollup, with measures, comparisons and filters that chance decides.
pub(super) fn draw(random: &Random) -> Vec<Spec> {
    let mut specs: Vec<Spec> = Vec::new();
    for unit in [Unit::Hour, Unit::Day, Unit::Month] {
        let mut add = |show, measures: Vec<&'static str>, params: &[&'static str], compare| {
            let name = format!("w{}", specs.len());
            let params = params.iter().filter(|_| random.below(3) > 0).copied().collect();
            specs.push(Spec { name, unit, show, measures, compare, params });
        };
        let maybe = || random.below(2) == 0;
        let of_rows = ["channel", "branch"];
        let of_items = ["channel", "branch", "sku"];
        for _ in 0..2 {
            add(Show::Totals, measures(random, 8, true), &of_rows, maybe());
        }
        add(Show::Totals, measures(random, 6, false), &of_items, maybe());
        for by in [Unit::Hour, Unit::Day, Unit::Month] {
            if by >= unit {
                add(Show::Series(by), measures(random, 4, true), &of_rows, maybe());
            }
        }
        if unit < Unit::Month {
            add(Show::Weekdays, measures(random, 4, true), &of_rows, maybe());
        }
        if unit == Unit::Hour {
            add(Show::HeatMap, measures(random, 2, true), &of_rows, false);
        }
        for by in of_rows {
            let first = *pick(random, &ORDERED_BY);
            let top = maybe().then(|| 1 + random.below(3) as usize);
            let measures = ordered(first, measures(random, 5, true));
            add(Show::Breakdown { by, top }, measures, &of_rows, maybe());
        }
        let first = *pick(random, &ITEMS_ORDERED_BY);
        let top = maybe().then(|| 1 + random.below(12) as usize);
        let by = "items.sku";
        let items = ordered(first, measures(random, 4, false));
        add(Show::Breakdown { by, top }, items, &of_items, maybe());
        let count = 3 + random.below(10) as usize;
        add(Show::Top { count }, vec!["products"], &of_items, maybe());
        add(Show::Top { count }, vec!["few"], &of_items, false);
        add(Show::Top { count }, vec!["clients"], &of_rows, false);
    }
    specs
}

/// How much the engine hears of changes, which is always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No event says so: partials live for a day.
    Unsaid,
    /// They live for a month, and are bundled.
    Told,
    /// By tags that are finer than partitions: those that go on are kept in pieces.
    Finer,
}

/// Nothing is refreshed behind the back of the test, and nothing is served when its time is over.
pub(super) fn definitions(
    url: &str,
    table: &str,
    tenants: &[&str],
    specs: &[Spec],
    heard: Heard,
) -> String {
    let tenants: Vec<String> = tenants
        .iter()
        .map(|zone| format!("{{ id = {:?}, time_zone = {zone:?} }}", id_of(zone)))
        .collect();
    let mut text = format!(
        "[tenants]\nlist = [{}]\n[source.shop]\nurl = \"{url}\"\nconnections = 2\n\
         [freshness.own]\nttl = \"10m\"\ngrace = \"0s\"\nrefresh_ahead = false\n",
        tenants.join(", ")
    );
    let finer = heard == Heard::Finer;
    if heard != Heard::Unsaid {
        text += "[event.\"order.changed\"]\ninvalidates = [\"orders/{hour}\"]\nat = \"at\"\n";
    }
    for unit in [Unit::Hour, Unit::Day, Unit::Month] {
        let tagged = match unit {
            Unit::Day if finer => Unit::Hour,
            Unit::Month if finer => Unit::Day,
            unit => unit,
        };
        let (unit, tagged) = (unit.word(), tagged.word());
        write!(
            text,
            "[rollup.{unit}s]\nsource = \"shop\"\ntag = \"orders/{{{tagged}}}\"\n\
             partition = {{ by = \"{unit}\", at = \"received_at\" }}\n\
             query = \"select received_at, channel, branch, customer, cents, total, volume, note, \
             items from {table} where tenant = :tenant and received_at >= :from and \
             received_at < :to\"\n\
             unnest.items = {{ column = \"items\", fields = [\"sku\", \"qty\", \"price\", \
             \"parcel\"] }}\n\
             dimensions = [\"channel\", \"branch\", \"items.sku\"]\n[rollup.{unit}s.measures]\n"
        )
        .expect("room");
        for (name, measure) in OF_ROWS.iter().chain(&OF_ITEMS).chain(&TOPS) {
            writeln!(text, "{name} = {measure}").expect("room");
        }
    }
    specs.iter().for_each(|it| it.write(&mut text));
    for unit in [Unit::Hour, Unit::Day, Unit::Month] {
        let of_unit = specs.iter().filter(|it| it.unit == unit).take(TILES);
        let names: Vec<&str> = of_unit.map(|it| it.name.as_str()).collect();
        writeln!(text, "[board.{}]\nwidgets = {names:?}", unit.word()).expect("room");
    }
    text
}

/// What a tenant in this zone is called.
pub(super) fn id_of(zone: &str) -> String {
    zone.rsplit('/').next().unwrap_or(zone).to_lowercase()
}
