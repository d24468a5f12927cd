//! When hours, days and months begin on a clock on the wall, found by watching it minute by minute:
//! slow, and with nothing in common with how ranges are planned.

use std::{cell::RefCell, collections::HashMap};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::TimeZone,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Hour,
    Day,
    Month,
}

/// An hour, a day or a month that there was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) start: DateTime,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) zone: TimeZone,
    /// Of each day that was looked at: when its hours begin.
    days: RefCell<HashMap<Date, [Timestamp; 24]>>,
}

impl Unit {
    pub(super) fn word(self) -> &'static str {
        match self {
            Unit::Hour => "hour",
            Unit::Day => "day",
            Unit::Month => "month",
        }
    }

    /// The one that a moment is in.
    fn of(self, at: DateTime) -> DateTime {
        match self {
            Unit::Hour => at.date().at(at.hour(), 0, 0, 0),
            Unit::Day => at.date().at(0, 0, 0, 0),
            Unit::Month => at.date().first_of_month().at(0, 0, 0, 0),
        }
    }
}

impl Calendar {
    pub(super) fn new(zone: &str) -> Self {
        Self { zone: TimeZone::get(zone).expect("known"), days: RefCell::default() }
    }

    pub(super) fn shows(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    /// The first instant at which the clock shows this hour, or a later one.
    pub(super) fn begins(&self, hour: DateTime) -> Timestamp {
        let mut days = self.days.borrow_mut();
        let hours = days.entry(hour.date()).or_insert_with(|| self.watch(hour.date()));
        hours[usize::try_from(hour.hour()).expect("of a day")]
    }

    pub(super) fn day_begins(&self, date: Date) -> Timestamp {
        self.begins(date.at(0, 0, 0, 0))
    }

    fn watch(&self, date: Date) -> [Timestamp; 24] {
        // No clock is further away from that of Greenwich.
        let mut now = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).expect("a time");
        now -= 16.hours();
        let mut begins = [Timestamp::MAX; 24];
        for (hour, begin) in (0..24).zip(&mut begins) {
            while self.shows(now) < date.at(hour, 0, 0, 0) {
                now += 1.minute();
            }
            *begin = now;
        }
        begins
    }

    /// From the first day to the last one; what the calendar left out is not among them.
    pub(super) fn buckets(&self, (first, last): (Date, Date), unit: Unit) -> Vec<Bucket> {
        let mut starts: Vec<DateTime> = Vec::new();
        for date in days(first, last) {
            for hour in 0..24 {
                let start = unit.of(date.at(hour, 0, 0, 0));
                if starts.last() != Some(&start) {
                    starts.push(start);
                }
            }
        }
        let (begin, end) = self.bounds((first, last));
        let mut buckets: Vec<Bucket> = starts
            .iter()
            .map(|start| Bucket { start: *start, from: self.begins(*start).max(begin), to: end })
            .collect();
        for index in 1..buckets.len() {
            buckets[index - 1].to = buckets[index].from;
        }
        buckets.retain(|it| it.from < it.to);
        buckets
    }

    pub(super) fn bounds(&self, (first, last): (Date, Date)) -> (Timestamp, Timestamp) {
        (self.day_begins(first), self.day_begins(last.tomorrow().expect("a day")))
    }

    /// The day that an instant belongs to.
    pub(super) fn day_of(&self, at: Timestamp) -> Date {
        self.hour_of(at).date()
    }

    pub(super) fn hour_of(&self, at: Timestamp) -> DateTime {
        let shown = self.shows(at).date();
        let around = (shown.yesterday().expect("a day"), shown.tomorrow().expect("a day"));
        let hours = self.buckets(around, Unit::Hour);
        let found = hours.iter().find(|it| it.from <= at && at < it.to);
        found.expect("each instant is of an hour").start
    }
}

pub(super) fn days(first: Date, last: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |date| date.tomorrow().ok())
        .take_while(move |it| *it <= last)
}
