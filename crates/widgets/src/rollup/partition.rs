//! Partitions: hours, days or months of a tenant's calendar, and which of them a range takes.

use std::fmt;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::Dates;

/// What one partial holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartitionUnit {
    Hour,
    Day,
    Month,
}

/// One of them, by when it begins on the wall clock of its tenant. Displayed as tags and keys name
/// it: `2026/11/19`, `2026/11` or `2026/11/19/08`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    unit: PartitionUnit,
    start: DateTime,
}

/// A stretch of time that is folded by itself: a whole partition, or the part of one that a range
/// needs and nobody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    partition: Partition,
    from: Timestamp,
    to: Timestamp,
    /// Its first day and its last one.
    days: (Date, Date),
    is_whole: bool,
    /// It goes on behind the partition it is called after.
    is_rest: bool,
}

/// What covers the days of a range without a gap or an overlap, in the order of time. Only months
/// can be cut: then the first slot or the last is not whole.
///
/// What the calendar left out has no slot: an hour skipped by the clocks, a day by a country. An
/// hour that comes twice is one that lasts longer.
pub fn plan(dates: Dates, unit: PartitionUnit, zone: &TimeZone) -> Vec<Slot> {
    let mut slots = Vec::new();
    match unit {
        PartitionUnit::Hour => {
            for date in days(dates) {
                hours(date, zone, &mut slots);
            }
        }
        PartitionUnit::Day => {
            for date in days(dates) {
                slots.push(Slot::new(unit, date.into(), (date, date), bounds(date, date, zone)));
            }
        }
        PartitionUnit::Month => months(dates, zone, &mut slots),
    }
    slots.retain(|slot| slot.from < slot.to);
    slots
}

fn days(dates: Dates) -> impl Iterator<Item = Date> {
    dates.first().series(1.day()).take_while(move |date| *date <= dates.last())
}

fn bounds(first: Date, last: Date, zone: &TimeZone) -> (Timestamp, Timestamp) {
    let dates = Dates::new(first, last).expect("at most a month");
    dates.instants(zone)
}

fn hours(date: Date, zone: &TimeZone, slots: &mut Vec<Slot>) {
    let (mut from, end) = bounds(date, date, zone);
    for hour in 0..24 {
        let to = match hour {
            23 => end,
            _ => begin(date.at(hour + 1, 0, 0, 0), zone).clamp(from, end),
        };
        let start = date.at(hour, 0, 0, 0);
        slots.push(Slot::new(PartitionUnit::Hour, start, (date, date), (from, to)));
        from = to;
    }
}

/// The first instant at which a clock shows this or, where it never does, something later.
fn begin(at: DateTime, zone: &TimeZone) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(at);
    let is_skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let Ok(shown) = ambiguous.compatible() else { return Timestamp::MAX };
    if !is_skipped {
        return shown;
    }
    // All that is skipped begins when the clocks are put forward.
    let change = shown.checked_add(1.nanosecond()).ok().and_then(|it| zone.preceding(it).next());
    change.map_or(shown, |change| change.timestamp())
}

fn months(dates: Dates, zone: &TimeZone, slots: &mut Vec<Slot>) {
    let mut first = dates.first();
    loop {
        let last = first.last_of_month().min(dates.last());
        let month = first.first_of_month();
        let bounds = bounds(first, last, zone);
        let mut slot = Slot::new(PartitionUnit::Month, month.into(), (first, last), bounds);
        slot.is_whole = first == month && last == first.last_of_month();
        slots.push(slot);
        match last.tomorrow() {
            Ok(next) if next <= dates.last() => first = next,
            _ => return,
        }
    }
}

impl Slot {
    fn new(
        unit: PartitionUnit,
        start: DateTime,
        days: (Date, Date),
        (from, to): (Timestamp, Timestamp),
    ) -> Self {
        let partition = Partition { unit, start };
        Self { partition, from, to, days, is_whole: true, is_rest: false }
    }

    /// What is over of it as whole partitions of something finer, and the rest as one. The rest can be
    /// kept if this can, or if it is no more than such a partition.
    pub fn pieces(&self, unit: PartitionUnit, zone: &TimeZone, now: Timestamp) -> Vec<Self> {
        let dates = Dates::new(self.days.0, self.days.1).expect("it was planned so");
        let mut pieces = plan(dates, unit, zone);
        let over = pieces.partition_point(|it| it.to <= now);
        pieces.truncate(over + 1);
        if let Some(rest) = pieces.get_mut(over).filter(|it| it.to < self.to) {
            (rest.to, rest.is_whole, rest.is_rest) = (self.to, self.is_whole, true);
        }
        pieces
    }

    /// The one it is, or is a part of.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// The first instant behind it.
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// Whether it is what [`Slot::pieces`] left of something, and more than a partition.
    pub fn is_rest(&self) -> bool {
        self.is_rest
    }

    /// What its partial is kept as: no two that can be kept have the same.
    pub fn name(&self) -> String {
        format!("{}{}", self.partition, if self.is_rest { "+" } else { "" })
    }

    /// Whether its partial can be kept for others.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

impl Partition {
    /// The one in which an instant lies. `None` far outside of any calendar.
    ///
    /// It is found among the slots that are planned, so that both agree where clocks are put back over
    /// midnight: the second time belongs to the day that had begun.
    pub fn at(unit: PartitionUnit, at: Timestamp, zone: &TimeZone) -> Option<Self> {
        let date = zone.to_datetime(at).date();
        let near = [Some(date), date.tomorrow().ok(), date.yesterday().ok()];
        near.into_iter().flatten().filter(|date| date.year() > 0).find_map(|date| {
            let dates = Dates::new(date, date).ok()?;
            let slots = plan(dates, unit, zone);
            let found = slots.iter().find(|slot| slot.from <= at && at < slot.to)?;
            Some(found.partition)
        })
    }

    pub fn unit(self) -> PartitionUnit {
        self.unit
    }

    /// What it is one of: of an hour its day, of a day its month.
    pub fn parent(self) -> Option<Self> {
        let start = self.start.date();
        match self.unit {
            PartitionUnit::Hour => Some(Self { unit: PartitionUnit::Day, start: start.into() }),
            PartitionUnit::Day => {
                Some(Self { unit: PartitionUnit::Month, start: start.first_of_month().into() })
            }
            PartitionUnit::Month => None,
        }
    }

    /// All those of which it is the parent, in the order of time.
    pub fn children(self, zone: &TimeZone) -> Vec<Slot> {
        let first = self.start.date();
        let (unit, last) = match self.unit {
            PartitionUnit::Hour => return Vec::new(),
            PartitionUnit::Day => (PartitionUnit::Hour, first),
            PartitionUnit::Month => (PartitionUnit::Day, first.last_of_month()),
        };
        plan(Dates::new(first, last).expect("at most a month"), unit, zone)
    }

    /// When it begins, on the wall clock of its tenant.
    pub fn start(self) -> DateTime {
        self.start
    }

    /// A tag with `{month}`, `{day}` and `{hour}` filled in. Something finer than it is at the end of
    /// the tag, and becomes what lies above all of that in it.
    pub fn fill(self, template: &str) -> String {
        let named = [
            ("{month}", PartitionUnit::Month),
            ("{day}", PartitionUnit::Day),
            ("{hour}", PartitionUnit::Hour),
        ];
        named.into_iter().fold(template.to_owned(), |tag, (placeholder, unit)| {
            let unit = unit.max(self.unit);
            tag.replace(placeholder, &Partition { unit, start: self.start }.to_string())
        })
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time): (Date, Time) = (self.start.date(), self.start.time());
        write!(f, "{:04}/{:02}", date.year(), date.month())?;
        if self.unit != PartitionUnit::Month {
            write!(f, "/{:02}", date.day())?;
        }
        if self.unit == PartitionUnit::Hour {
            write!(f, "/{:02}", time.hour())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Range;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("known")
    }

    fn dates(text: &str) -> Dates {
        let Ok(Range::Between(dates)) = text.parse() else { panic!("{text} is no range") };
        dates
    }

    fn minutes(slot: &Slot) -> i64 {
        (slot.to - slot.from).get_seconds() / 60
    }

    /// Each slot as its name and its minutes.
    fn planned(text: &str, unit: PartitionUnit, name: &str) -> Vec<(String, i64)> {
        let slots = plan(dates(text), unit, &zone(name));
        slots.iter().map(|slot| (slot.partition.to_string(), minutes(slot))).collect()
    }

    #[test]
    fn days_are_as_long_as_the_clocks_make_them() {
        for (day, name, expected) in [
            ("2026-03-29", "Europe/Oslo", 23 * 60),
            ("2026-10-25", "Europe/Oslo", 25 * 60),
            ("2026-03-08", "America/New_York", 23 * 60),
            ("2026-11-01", "America/New_York", 25 * 60),
            ("2026-10-04", "Australia/Lord_Howe", 23 * 60 + 30),
            ("2026-04-05", "Australia/Lord_Howe", 24 * 60 + 30),
            ("2026-11-01", "Asia/Kathmandu", 24 * 60),
        ] {
            let found = planned(&format!("{day}..{day}"), PartitionUnit::Day, name);
            assert_eq!(found, [(day.replace('-', "/"), expected)], "{name}");
        }
        let apia = planned("2011-12-29..2011-12-31", PartitionUnit::Day, "Pacific/Apia");
        assert_eq!(apia, [("2011/12/29".to_owned(), 1440), ("2011/12/31".to_owned(), 1440)]);
    }

    #[test]
    fn a_partition_is_one_of_the_children_of_its_parent() {
        for (range, name, unit, parent, children) in [
            ("2026-02-27..2026-02-28", "Europe/Oslo", PartitionUnit::Day, "2026/02", 28),
            ("2011-12-29..2011-12-31", "Pacific/Apia", PartitionUnit::Day, "2011/12", 30),
            ("2026-03-29..2026-03-29", "Europe/Oslo", PartitionUnit::Hour, "2026/03/29", 23),
            ("2026-10-25..2026-10-25", "Europe/Oslo", PartitionUnit::Hour, "2026/10/25", 24),
        ] {
            let zone = zone(name);
            for slot in plan(dates(range), unit, &zone) {
                let of = slot.partition.parent().expect("one");
                let all = of.children(&zone);
                assert_eq!((of.to_string().as_str(), all.len()), (parent, children), "{range}");
                assert!(all.contains(&slot), "{range} {slot:?}");
            }
        }
        let month = plan(dates("2026-02-01..2026-02-28"), PartitionUnit::Month, &TimeZone::UTC);
        assert_eq!(month[0].partition.parent(), None);
    }

    #[test]
    fn an_hour_that_comes_twice_is_long_and_one_that_is_skipped_is_not_there() {
        let hours = |day: &str, name| {
            let planned = planned(&format!("{day}..{day}"), PartitionUnit::Hour, name);
            let total: i64 = planned.iter().map(|(_, minutes)| minutes).sum();
            let odd = planned.iter().filter(|(_, minutes)| *minutes != 60).cloned();
            (planned.len(), total, odd.collect::<Vec<_>>())
        };
        let long = |name: &str, minutes| vec![(name.to_owned(), minutes)];
        assert_eq!(hours("2026-03-29", "Europe/Oslo"), (23, 23 * 60, vec![]));
        let twice = long("2026/10/25/02", 120);
        assert_eq!(hours("2026-10-25", "Europe/Oslo"), (24, 25 * 60, twice));
        let twice = long("2026/11/01/01", 120);
        assert_eq!(hours("2026-11-01", "America/New_York"), (24, 25 * 60, twice));
        let twice = long("2026/04/05/01", 90);
        assert_eq!(hours("2026-04-05", "Australia/Lord_Howe"), (24, 24 * 60 + 30, twice));
        let half = long("2026/10/04/02", 30);
        assert_eq!(hours("2026-10-04", "Australia/Lord_Howe"), (24, 23 * 60 + 30, half));
        assert_eq!(hours("2026-11-01", "Asia/Kathmandu"), (24, 1440, vec![]));
        assert_eq!(hours("2011-12-30", "Pacific/Apia"), (0, 0, vec![]));
        assert_eq!(hours("2011-12-31", "Pacific/Apia"), (24, 1440, vec![]));
        // Midnight is skipped.
        assert_eq!(hours("2018-11-04", "America/Sao_Paulo"), (23, 23 * 60, vec![]));
    }

    #[test]
    fn a_range_that_begins_inside_of_a_month_has_edges() {
        let shown = |text: &str| -> Vec<(String, bool, i64)> {
            let slots = plan(dates(text), PartitionUnit::Month, &zone("Europe/Oslo"));
            let shown = |it: &Slot| (it.partition.to_string(), it.is_whole, minutes(it) / 1440);
            slots.iter().map(shown).collect()
        };
        let slot = |name: &str, is_whole, days| (name.to_owned(), is_whole, days);
        assert_eq!(shown("2026-11-01..2026-11-30"), [slot("2026/11", true, 30)]);
        assert_eq!(shown("2026-11-03..2026-11-09"), [slot("2026/11", false, 7)]);
        assert_eq!(
            shown("2026-10-31..2027-01-01"),
            [
                slot("2026/10", false, 1),
                slot("2026/11", true, 30),
                slot("2026/12", true, 31),
                slot("2027/01", false, 1),
            ]
        );
        assert_eq!(shown("2024-02-01..2024-02-28"), [slot("2024/02", false, 28)]);
        assert_eq!(shown("2024-02-01..2024-02-29"), [slot("2024/02", true, 29)]);
    }

    #[test]
    fn slots_cover_every_range_of_every_zone_without_a_gap_or_an_overlap() {
        for name in jiff::tz::db().available() {
            let zone = zone(name.as_str());
            for year in [1996, 2011, 2018, 2026] {
                let all = dates(&format!("{year}-01-15..{year}-12-31"));
                let (from, to) = all.instants(&zone);
                for unit in [PartitionUnit::Month, PartitionUnit::Day, PartitionUnit::Hour] {
                    let slots = plan(all, unit, &zone);
                    let joined = slots.windows(2).all(|pair| {
                        pair[0].to == pair[1].from && pair[0].partition < pair[1].partition
                    });
                    let ends = (slots[0].from, slots.last().expect("some").to);
                    assert!(joined && ends == (from, to), "{name} {year} {unit:?}");
                }
            }
        }
    }

    #[test]
    fn an_instant_lies_in_the_partition_whose_slot_has_it() {
        for (at, name, hour) in [
            ("2026-11-19T22:59:59Z", "Europe/Oslo", "2026/11/19/23"),
            ("2026-11-19T23:00:00Z", "Europe/Oslo", "2026/11/20/00"),
            ("2026-11-19T23:00:00Z", "America/Lima", "2026/11/19/18"),
            // The hour that comes twice, and the one behind the skipped one.
            ("2026-10-25T00:30:00Z", "Europe/Oslo", "2026/10/25/02"),
            ("2026-10-25T01:30:00Z", "Europe/Oslo", "2026/10/25/02"),
            ("2026-03-29T01:00:00Z", "Europe/Oslo", "2026/03/29/03"),
            // At a minute past midnight the clocks went back to the day before.
            ("2010-11-07T02:31:30Z", "America/St_Johns", "2010/11/07/00"),
        ] {
            let at = at.parse().expect("a time");
            let found = |unit| Partition::at(unit, at, &zone(name)).expect("one").to_string();
            assert_eq!(found(PartitionUnit::Hour), hour, "{at} {name}");
            assert_eq!(found(PartitionUnit::Day), hour[..10], "{at} {name}");
            assert_eq!(found(PartitionUnit::Month), hour[..7], "{at} {name}");
        }
        for outside in [Timestamp::MIN, Timestamp::from_second(-62_200_000_000).expect("one")] {
            assert_eq!(Partition::at(PartitionUnit::Day, outside, &TimeZone::UTC), None);
        }
    }

    #[test]
    fn tags_are_filled_as_deep_as_the_partition_is_fine() {
        let at = |unit| Partition { unit, start: jiff::civil::date(2026, 11, 9).at(8, 0, 0, 0) };
        let fill = |unit| at(unit).fill("a/{month}|b/{day}|c/{hour}");
        assert_eq!(fill(PartitionUnit::Hour), "a/2026/11|b/2026/11/09|c/2026/11/09/08");
        assert_eq!(fill(PartitionUnit::Day), "a/2026/11|b/2026/11/09|c/2026/11/09");
        assert_eq!(fill(PartitionUnit::Month), "a/2026/11|b/2026/11|c/2026/11");
    }

    #[test]
    fn a_slot_is_cut_into_what_is_over_and_the_rest() {
        let pieces = |range: &str, unit, finer, now: &str| -> Vec<(String, bool, i64)> {
            let zone = zone("Europe/Oslo");
            let slots = plan(dates(range), unit, &zone);
            let pieces = slots[0].pieces(finer, &zone, now.parse().expect("a time"));
            assert_eq!(pieces[0].from, slots[0].from);
            assert_eq!(pieces.last().expect("some").to, slots[0].to);
            assert!(pieces.windows(2).all(|pair| pair[0].to == pair[1].from));
            pieces.iter().map(|it| (it.name(), it.is_whole, minutes(it))).collect()
        };
        let hours = |day: &str, now| {
            pieces(&format!("{day}..{day}"), PartitionUnit::Day, PartitionUnit::Hour, now)
        };
        let piece = |name: &str, minutes| (name.to_owned(), true, minutes);
        assert_eq!(
            hours("2026-11-09", "2026-11-09T01:00:00Z"),
            [
                piece("2026/11/09/00", 60),
                piece("2026/11/09/01", 60),
                piece("2026/11/09/02+", 22 * 60)
            ]
        );
        // The hour that comes twice is not over after the first time.
        let twice = hours("2026-10-25", "2026-10-25T01:00:00Z");
        assert_eq!(twice[2..], [piece("2026/10/25/02+", 23 * 60)]);
        assert_eq!(hours("2026-11-09", "2026-11-01T00:00:00Z"), [piece("2026/11/09/00+", 1440)]);
        assert_eq!(hours("2026-11-09", "2026-11-12T00:00:00Z").len(), 24);
        let days = |range, now| pieces(range, PartitionUnit::Month, PartitionUnit::Day, now);
        assert_eq!(
            days("2026-11-01..2026-11-30", "2026-11-02T12:00:00Z"),
            [piece("2026/11/01", 1440), piece("2026/11/02+", 29 * 1440)]
        );
        // It ends today, as most ranges do.
        assert_eq!(
            days("2026-11-08..2026-11-09", "2026-11-09T12:00:00Z"),
            [piece("2026/11/08", 1440), piece("2026/11/09", 1440)]
        );
        let cut = days("2026-11-08..2026-11-20", "2026-11-09T12:00:00Z");
        assert_eq!(cut[1], ("2026/11/09+".to_owned(), false, 12 * 1440));
    }
}
