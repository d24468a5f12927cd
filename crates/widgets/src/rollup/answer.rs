//! What a widget shows of a range, from the partials of its slots.

use std::{collections::BTreeMap, sync::Arc};

use jiff::civil::{DateTime, Time};

use super::{
    Partial, Rollup, Slot,
    keys::KeyRef,
    partial::{Group, View},
    state::{Kind, State},
};
use crate::{PartitionUnit, SeriesBy, Show, Shown, Value, value::write_text};

/// Takes the partials of a range's slots, in any order, and becomes the data of a widget. It keeps
/// only what the widget shows.
#[derive(Debug)]
pub struct Answer<'r> {
    rollup: &'r Rollup,
    shown: &'r Shown,
    /// Of each measure: its table and place there, the place of its table among those that are
    /// gathered, and its place in that.
    measures: Vec<Place>,
    views: Vec<View>,
    filters: Vec<Filter>,
    /// Each slot has a bucket of its own.
    is_cut_by_slot: bool,
    buckets: BTreeMap<Bucket, Held>,
}

/// What is known of a bucket.
#[derive(Debug)]
enum Held {
    Merged(Partial),
    /// Nothing is merged with it any more: its measures as they are written, which takes far less.
    Written(Arc<[u8]>),
}

/// A dimension must have the value.
#[derive(Debug)]
struct Filter {
    value: String,
    /// Where the dimension is in the table of each view that has it.
    places: Vec<Option<usize>>,
    /// What the value is called in the partial that is added.
    keys: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    at: (usize, usize),
    table: usize,
    state: usize,
    kind: Kind,
}

/// What becomes one row, or one set of rows. In the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bucket {
    All,
    /// The hour, day or month that begins then.
    At(DateTime),
    /// From Monday, which is 1.
    Weekday(i8),
    Hour(i8, i8),
}

impl<'r> Answer<'r> {
    /// `slots` are those of the whole range: what lies in them and has no rows is shown empty.
    /// `filters` are dimensions, by their names in answers, and the value that each must have.
    pub fn new(
        rollup: &'r Rollup,
        shown: &'r Shown,
        filters: &[(String, String)],
        slots: &[Slot],
    ) -> Self {
        let mut views: Vec<View> = Vec::new();
        let mut measures = Vec::new();
        for at in shown.measures.iter().filter_map(|name| rollup.measure(name)) {
            let kind = rollup.kind(at);
            let known = views.iter().position(|view| view.table == at.0);
            let table = known.unwrap_or_else(|| {
                let by = match &shown.show {
                    Show::Breakdown { by, .. } => rollup.dimension(at.0, by),
                    _ => None,
                };
                let dimensions = by.into_iter().collect();
                views.push(View { table: at.0, dimensions, measures: Vec::new() });
                views.len() - 1
            });
            let state = views[table].measures.len();
            views[table].measures.push((at.1, kind));
            measures.push(Place { at, table, state, kind });
        }
        let filter = |(name, value): &(String, String)| {
            let places = views.iter().map(|view| rollup.filtered(view.table, name));
            Filter { value: value.clone(), places: places.collect(), keys: Vec::new() }
        };
        let filters = filters.iter().map(filter).collect();
        let buckets = BTreeMap::new();
        let is_cut_by_slot = matches!(
            (&shown.show, rollup.unit()),
            (Show::Series(SeriesBy::Hour), PartitionUnit::Hour)
                | (Show::Series(SeriesBy::Day), PartitionUnit::Day)
                | (Show::Series(SeriesBy::Month), PartitionUnit::Month)
        );
        let mut answer = Self { rollup, shown, measures, views, filters, is_cut_by_slot, buckets };
        for bucket in answer.all_buckets(slots) {
            let empty = answer.nothing();
            answer.buckets.entry(bucket).or_insert(Held::Merged(empty));
        }
        answer
    }

    fn nothing(&self) -> Partial {
        Partial::with_tables(self.views.len())
    }

    fn all_buckets(&self, slots: &[Slot]) -> Vec<Bucket> {
        match &self.shown.show {
            Show::Totals | Show::Breakdown { .. } | Show::Top { .. } => vec![Bucket::All],
            Show::Series(SeriesBy::Weekday) => (1..=7).map(Bucket::Weekday).collect(),
            Show::HeatMap => {
                let hours = |day| (0..24).map(move |hour| Bucket::Hour(day, hour));
                (1..=7).flat_map(hours).collect()
            }
            Show::Series(_) => slots.iter().map(|slot| self.bucket(slot)).collect(),
        }
    }

    fn bucket(&self, slot: &Slot) -> Bucket {
        let start = slot.partition().start();
        let weekday = start.date().weekday().to_monday_one_offset();
        match &self.shown.show {
            Show::Totals | Show::Breakdown { .. } | Show::Top { .. } => Bucket::All,
            Show::HeatMap => Bucket::Hour(weekday, start.hour()),
            Show::Series(by) => match by {
                SeriesBy::Hour => Bucket::At(start),
                SeriesBy::Day => Bucket::At(start.date().to_datetime(Time::midnight())),
                SeriesBy::Month => {
                    Bucket::At(start.date().first_of_month().to_datetime(Time::midnight()))
                }
                SeriesBy::Weekday => Bucket::Weekday(weekday),
            },
        }
    }

    /// The partial of one of the slots, each once.
    pub fn add(&mut self, slot: &Slot, partial: &Partial) {
        for Filter { value, keys, .. } in &mut self.filters {
            partial.keys.called(value, keys);
        }
        let bucket = self.bucket(slot);
        if self.is_cut_by_slot {
            let mut json = Vec::new();
            self.write_alone(partial, &mut json);
            self.buckets.insert(bucket, Held::Written(json.into()));
            return;
        }
        let empty = Held::Merged(self.nothing());
        if let Held::Merged(merged) = self.buckets.entry(bucket).or_insert(empty) {
            merged.gather(partial, &self.views, |view, group| passes(&self.filters, view, group));
        }
    }

    /// Each slot has a row of its own, which answers of other ranges with the same filters share.
    pub fn has_rows_of_slots(&self) -> bool {
        self.is_cut_by_slot
    }

    /// Instead of its partial the row that an answer of another range has of the slot.
    pub fn share(&mut self, slot: &Slot, other: &Self) {
        let bucket = self.bucket(slot);
        if let Some(Held::Written(row)) = other.buckets.get(&bucket) {
            self.buckets.insert(bucket, Held::Written(row.clone()));
        }
    }

    /// What is shown of one partial, whose measures are written as they are where only one group of
    /// each table is shown.
    fn write_alone(&self, partial: &Partial, json: &mut Vec<u8>) {
        let only = |(index, view): (usize, &View)| {
            let groups = partial.tables[view.table].groups.iter();
            let mut passing = groups.filter(|group| passes(&self.filters, index, group));
            let first = passing.next();
            passing.next().is_none().then_some(first)
        };
        let only: Option<Vec<Option<&Group>>> = self.views.iter().enumerate().map(only).collect();
        match only {
            Some(groups) => self.write_states(json, |place| {
                groups[place.table].map(|group| &group.states[place.at.1])
            }),
            None => {
                let mut alone = self.nothing();
                let passes = |view, group: &Group| passes(&self.filters, view, group);
                alone.gather(partial, &self.views, passes);
                self.write_measures(&alone, None, json);
            }
        }
    }

    /// Appends the data as JSON, beside that of the range before where it is compared.
    pub fn write(&self, previous: Option<&Self>, json: &mut Vec<u8>) {
        let nothing = Held::Merged(self.nothing());
        let empty = Partial::default();
        let all = self.all(&empty);
        let all_before = previous.map(|it| it.all(&empty));
        match &self.shown.show {
            Show::Totals => {
                json.extend(b"{\"totals\":{");
                self.write_measures(all, None, json);
                json.push(b'}');
                if let Some(before) = all_before {
                    json.extend(b",\"previous\":{");
                    self.write_measures(before, None, json);
                    json.push(b'}');
                }
                json.push(b'}');
            }
            Show::Series(_) | Show::HeatMap => {
                let before: Vec<&Held> =
                    previous.iter().flat_map(|it| it.buckets.values()).collect();
                json.extend(b"{\"rows\":[");
                for (index, (bucket, held)) in self.buckets.iter().enumerate() {
                    json.extend(if index == 0 { &b"{"[..] } else { b",{" });
                    self.write_bucket(*bucket, json);
                    self.write_held(held, json);
                    if previous.is_some() {
                        json.extend(b",\"previous\":{");
                        let before = before.get(index).copied().unwrap_or(&nothing);
                        self.write_held(before, json);
                        json.push(b'}');
                    }
                    json.push(b'}');
                }
                json.extend(b"]}");
            }
            Show::Breakdown { by, top } => {
                self.write_breakdown(by, *top, all, all_before, json);
            }
            Show::Top { count } => {
                self.write_top(*count, all, all_before, json);
            }
        }
    }

    fn write_bucket(&self, bucket: Bucket, json: &mut Vec<u8>) {
        let text = match bucket {
            Bucket::All => return,
            Bucket::Weekday(day) => format!("\"weekday\":{day},"),
            Bucket::Hour(day, hour) => format!("\"weekday\":{day},\"hour\":{hour},"),
            Bucket::At(start) => match self.shown.show {
                Show::Series(SeriesBy::Hour) => {
                    format!("\"hour\":\"{}T{:02}\",", start.date(), start.hour())
                }
                Show::Series(SeriesBy::Month) => {
                    format!("\"month\":\"{:04}-{:02}\",", start.year(), start.month())
                }
                _ => format!("\"day\":\"{}\",", start.date()),
            },
        };
        json.extend(text.as_bytes());
    }

    /// What was merged to one, `empty` if nothing was.
    fn all<'a>(&'a self, empty: &'a Partial) -> &'a Partial {
        match self.buckets.get(&Bucket::All) {
            Some(Held::Merged(all)) => all,
            Some(Held::Written(_)) | None => empty,
        }
    }

    fn write_held(&self, held: &Held, json: &mut Vec<u8>) {
        match held {
            Held::Merged(merged) => self.write_measures(merged, None, json),
            Held::Written(written) => json.extend_from_slice(written),
        }
    }

    /// Of the group with these keys in each table, or of all where there are no dimensions.
    fn write_measures(&self, of: &Partial, key: Option<KeyRef<'_>>, json: &mut Vec<u8>) {
        self.write_states(json, |place| self.state(of, place, key));
    }

    fn write_states<'p>(&self, json: &mut Vec<u8>, of: impl Fn(&Place) -> Option<&'p State>) {
        for (index, (name, place)) in self.shown.measures.iter().zip(&self.measures).enumerate() {
            if index > 0 {
                json.push(b',');
            }
            write_text(name, json);
            json.push(b':');
            let empty = State::new(place.kind);
            let state = of(place).unwrap_or(&empty);
            state.write_json(place.kind, &self.shown.quantiles, json);
        }
    }

    fn state<'p>(
        &self,
        of: &'p Partial,
        place: &Place,
        key: Option<KeyRef<'_>>,
    ) -> Option<&'p State> {
        let groups = of.tables.get(place.table)?;
        let group = match key {
            None => groups.find(&[])?,
            Some(key) => groups.find(&[of.keys.find(key)?])?,
        };
        Some(&groups.groups[group].states[place.state])
    }

    fn write_breakdown(
        &self,
        by: &str,
        top: Option<usize>,
        all: &Partial,
        previous: Option<&Partial>,
        json: &mut Vec<u8>,
    ) {
        let Some(first) = self.measures.first() else { return json.extend(b"{\"rows\":[]}") };
        let groups = all.tables.iter().flat_map(|table| &table.groups);
        let mut keys: Vec<KeyRef<'_>> = groups.map(|it| all.keys.get(it.dimensions[0])).collect();
        keys.sort_unstable();
        keys.dedup();
        let rank = |key| self.state(all, first, Some(key)).map(|it| it.rank(first.kind));
        let mut ranked: Vec<_> =
            keys.into_iter().map(|key| (rank(key).unwrap_or(f64::NEG_INFINITY), key)).collect();
        // Where they are equal they stay in the order of their names.
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let count = ranked.len().min(top.unwrap_or(crate::limits::SHOWN_ROWS));
        let (rows, rest) = ranked.split_at(count);
        json.extend(b"{\"rows\":[");
        for (index, (_, key)) in rows.iter().enumerate() {
            json.extend(if index == 0 { &b"{"[..] } else { b",{" });
            self.write_key(short(by), *key, json);
            self.write_measures(all, Some(*key), json);
            if let Some(previous) = previous {
                json.extend(b",\"previous\":{");
                self.write_measures(previous, Some(*key), json);
                json.push(b'}');
            }
            json.push(b'}');
        }
        json.push(b']');
        if !rest.is_empty() {
            json.extend(b",\"other\":{");
            let shown = |key: KeyRef<'_>| rows.iter().any(|(_, it)| *it == key);
            self.write_measures(&self.others(all, shown), None, json);
            if let Some(previous) = previous {
                json.extend(b",\"previous\":{");
                self.write_measures(&self.others(previous, shown), None, json);
                json.push(b'}');
            }
            json.push(b'}');
        }
        json.push(b'}');
    }

    /// All groups but these as one.
    fn others(&self, of: &Partial, is_shown: impl Fn(KeyRef<'_>) -> bool) -> Partial {
        let mut others = Partial::with_tables(self.views.len());
        let view = |(index, view): (usize, &View)| {
            let measures = view.measures.iter().map(|(_, kind)| *kind).enumerate().collect();
            View { table: index, dimensions: Vec::new(), measures }
        };
        let views: Vec<View> = self.views.iter().enumerate().map(view).collect();
        if !of.tables.is_empty() {
            others.gather(of, &views, |_, it| !is_shown(of.keys.get(it.dimensions[0])));
        }
        others
    }

    fn write_top(
        &self,
        count: usize,
        all: &Partial,
        previous: Option<&Partial>,
        json: &mut Vec<u8>,
    ) {
        let Some(place) = self.measures.first() else { return json.extend(b"{\"rows\":[]}") };
        let name = &self.shown.measures[0];
        let written = self.rollup.written(place.at);
        let key_name = short(written.split(' ').next().unwrap_or(written));
        let nothing = super::top::Top::default();
        let top = |of| match self.state(of, place, None) {
            Some(State::Top(top)) => top,
            _ => &nothing,
        };
        let mine = top(all);
        let theirs = previous.map(|previous| (previous, top(previous)));
        json.extend(b"{\"rows\":[");
        for (index, (key, sum)) in mine.heaviest(&all.keys).into_iter().take(count).enumerate() {
            json.extend(if index == 0 { &b"{"[..] } else { b",{" });
            self.write_key(key_name, all.keys.get(key), json);
            write_text(name, json);
            json.push(b':');
            sum.value().write_json(json);
            if let Some((previous, theirs)) = &theirs {
                json.extend(b",\"previous\":{");
                write_text(name, json);
                json.push(b':');
                let key = previous.keys.find(all.keys.get(key));
                let weight = key.and_then(|key| theirs.weight_of(key));
                weight.map_or(Value::Null, super::sum::Sum::value).write_json(json);
                json.push(b'}');
            }
            json.push(b'}');
        }
        json.extend(b"],\"error\":");
        let error = mine.error();
        if error.count() == 0 { Value::Integer(0) } else { error.value() }.write_json(json);
        json.push(b'}');
    }

    fn write_key(&self, name: &str, key: KeyRef<'_>, json: &mut Vec<u8>) {
        write_text(name, json);
        json.push(b':');
        key.value().write_json(json);
        json.push(b',');
    }
}

/// Whether a group of the partial that is being added is shown by a view.
fn passes(filters: &[Filter], view: usize, group: &Group) -> bool {
    filters.iter().all(|Filter { places, keys, .. }| {
        places[view].is_none_or(|at| keys.contains(&group.dimensions[at]))
    })
}

/// Without the list it is a field of.
pub(crate) fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
