//! Ranges of days, as readers name them and as a tenant's calendar has them.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};

/// The longest range: ten years.
const MOST_DAYS: i64 = 3660;

/// A range of days. Those with a name move on with the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Range {
    /// Today and the days before it, so many in all.
    LastDays(u16),
    Yesterday,
    /// From Monday until today.
    ThisWeek,
    /// From the first until today.
    ThisMonth,
    Between(Dates),
}

/// From the first to the last day, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dates {
    first: Date,
    last: Date,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    #[error("`{0}` is no range")]
    Unknown(String),
    #[error("`{0}` ends before it begins")]
    Backwards(String),
    #[error("`{0}` is longer than {MOST_DAYS} days")]
    TooLong(String),
}

impl InvalidRange {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            InvalidRange::Unknown(_) => {
                "write today, yesterday, this_week, this_month, a number of days like 7d, or dates \
                 like 2026-11-01..2026-11-15"
            }
            InvalidRange::Backwards(_) => "write the earlier day first",
            InvalidRange::TooLong(_) => "ten years are the most: 3660d",
        }
    }
}

impl Range {
    /// The days it means for a tenant of this time zone now.
    pub fn dates(self, now: Timestamp, zone: &TimeZone) -> Dates {
        let today = zone.to_datetime(now).date();
        let before = |days: i64| today.saturating_sub(days.days());
        let since = |first| Dates { first, last: today };
        match self {
            Range::LastDays(days) => since(before(i64::from(days) - 1)),
            Range::Yesterday => Dates { first: before(1), last: before(1) },
            Range::ThisWeek => since(before(i64::from(today.weekday().since(Weekday::Monday)))),
            Range::ThisMonth => since(today.first_of_month()),
            Range::Between(dates) => dates,
        }
    }
}

impl Dates {
    /// # Errors
    /// When `last` is before `first`, or more than ten years after it.
    pub fn new(first: Date, last: Date) -> Result<Self, InvalidRange> {
        let dates = Self { first, last };
        if last < first {
            return Err(InvalidRange::Backwards(dates.to_string()));
        }
        if dates.count() > MOST_DAYS {
            return Err(InvalidRange::TooLong(dates.to_string()));
        }
        Ok(dates)
    }

    pub fn first(self) -> Date {
        self.first
    }

    pub fn last(self) -> Date {
        self.last
    }

    pub fn count(self) -> i64 {
        let days = (self.last - self.first).get_days();
        i64::from(days) + 1
    }

    /// From the first instant of the first day to the first instant behind the last one. A day that
    /// a change of the clocks makes longer or shorter is one day all the same.
    pub fn instants(self, zone: &TimeZone) -> (Timestamp, Timestamp) {
        let start = |date: Date| {
            let midnight = zone.to_ambiguous_zoned(date.to_datetime(jiff::civil::Time::midnight()));
            // Where midnight is skipped, the day begins later; where it comes twice, with the first.
            midnight.compatible().map_or(Timestamp::MAX, |it| it.timestamp())
        };
        (start(self.first), start(self.last.saturating_add(1.days())))
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let unknown = || InvalidRange::Unknown(text.to_owned());
        Ok(match text {
            "today" => Range::LastDays(1),
            "yesterday" => Range::Yesterday,
            "this_week" => Range::ThisWeek,
            "this_month" => Range::ThisMonth,
            _ => {
                if let Some((first, last)) = text.split_once("..") {
                    return Ok(Range::Between(Dates::new(
                        date(first).ok_or_else(unknown)?,
                        date(last).ok_or_else(unknown)?,
                    )?));
                }
                let days = text.strip_suffix('d').ok_or_else(unknown)?;
                let plain = !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit());
                match days.parse().ok().filter(|_| plain && !days.starts_with('0')) {
                    Some(days) if i64::from(days) <= MOST_DAYS => Range::LastDays(days),
                    Some(_) => return Err(InvalidRange::TooLong(text.to_owned())),
                    None => return Err(unknown()),
                }
            }
        })
    }
}

/// Only as `2026-11-01`: whatever else it could be called would be another key.
pub(crate) fn date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok()?;
    (date.year() >= 0 && date.to_string() == text).then_some(date)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::LastDays(1) => f.write_str("today"),
            Range::LastDays(days) => write!(f, "{days}d"),
            Range::Yesterday => f.write_str("yesterday"),
            Range::ThisWeek => f.write_str("this_week"),
            Range::ThisMonth => f.write_str("this_month"),
            Range::Between(dates) => write!(f, "{dates}"),
        }
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("known")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn ranges_are_cut_by_the_calendar_of_the_tenant() {
        // A Saturday in Berlin, and still Friday in New York.
        let now = at("2026-11-20T23:30:00Z");
        let dates = |text, name| range(text).dates(now, &zone(name)).to_string();
        for (text, berlin, new_york) in [
            ("today", "2026-11-21..2026-11-21", "2026-11-20..2026-11-20"),
            ("1d", "2026-11-21..2026-11-21", "2026-11-20..2026-11-20"),
            ("yesterday", "2026-11-20..2026-11-20", "2026-11-19..2026-11-19"),
            ("7d", "2026-11-15..2026-11-21", "2026-11-14..2026-11-20"),
            ("90d", "2026-08-24..2026-11-21", "2026-08-23..2026-11-20"),
            ("this_week", "2026-11-16..2026-11-21", "2026-11-16..2026-11-20"),
            ("this_month", "2026-11-01..2026-11-21", "2026-11-01..2026-11-20"),
            ("2026-02-27..2026-03-01", "2026-02-27..2026-03-01", "2026-02-27..2026-03-01"),
        ] {
            assert_eq!(dates(text, "Europe/Berlin"), berlin, "{text}");
            assert_eq!(dates(text, "America/New_York"), new_york, "{text}");
        }
        let monday = at("2026-11-16T12:00:00Z");
        let week = range("this_week").dates(monday, &TimeZone::UTC);
        assert_eq!(week.to_string(), "2026-11-16..2026-11-16");
        let first = at("2026-11-01T12:00:00Z");
        assert_eq!(range("this_month").dates(first, &TimeZone::UTC).count(), 1);
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        let hours = |text: &str, name: &str| {
            let Range::Between(dates) = range(text) else { panic!("dates") };
            let (from, to) = dates.instants(&zone(name));
            (from.to_string(), (to - from).get_seconds() / 3600)
        };
        let day = |text, name| hours(&format!("{text}..{text}"), name);
        assert_eq!(day("2026-03-29", "Europe/Berlin"), ("2026-03-28T23:00:00Z".into(), 23));
        assert_eq!(day("2026-10-25", "Europe/Berlin"), ("2026-10-24T22:00:00Z".into(), 25));
        assert_eq!(day("2026-11-21", "Asia/Kolkata"), ("2026-11-20T18:30:00Z".into(), 24));
        // Midnight is skipped: the day begins at one. Then midnight comes twice, after eleven pm.
        assert_eq!(day("2018-11-04", "America/Sao_Paulo"), ("2018-11-04T03:00:00Z".into(), 23));
        assert_eq!(day("2018-02-17", "America/Sao_Paulo"), ("2018-02-17T02:00:00Z".into(), 25));
        // A day that a country left out.
        assert_eq!(day("2011-12-29", "Pacific/Apia").1 + day("2011-12-30", "Pacific/Apia").1, 24);
        let week = hours("2026-10-20..2026-10-26", "Europe/Berlin");
        assert_eq!(week.1, 7 * 24 + 1);
    }

    #[test]
    fn days_follow_each_other_without_a_gap_or_an_overlap() {
        for name in ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "UTC"] {
            let (zone, mut date) = (zone(name), jiff::civil::date(2010, 1, 1));
            let mut ended = None;
            for _ in 0..4000 {
                let (from, to) = Dates { first: date, last: date }.instants(&zone);
                assert!(from <= to && ended.is_none_or(|ended| ended == from), "{name} {date}");
                ended = Some(to);
                date = date.tomorrow().expect("a day");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_would_be_one() {
        for text in [
            "",
            "d",
            "0d",
            "-1d",
            "+7d",
            "07d",
            "7 d",
            "week",
            "2026-11-01",
            "2026-11-1..2026-11-02",
            "2026-11-31..2026-12-01",
            "..",
            "2026-11-01..",
            "20261101..20261102",
        ] {
            let error = text.parse::<Range>().expect_err(text);
            assert_eq!(error.to_string(), format!("`{text}` is no range"));
            assert!(error.hint().contains("this_week, this_month"), "{text}");
        }
        let error = |text: &str| text.parse::<Range>().expect_err(text).to_string();
        assert_eq!(
            error("2026-11-02..2026-11-01"),
            "`2026-11-02..2026-11-01` ends before it begins"
        );
        assert!(error("3661d").contains("longer than 3660 days"));
        assert!(error("2016-01-01..2026-11-21").contains("longer than 3660 days"));
        assert_eq!(range("3660d"), Range::LastDays(3660));
    }

    #[test]
    fn a_range_is_displayed_as_it_is_written() {
        for text in
            ["today", "7d", "yesterday", "this_week", "this_month", "2026-02-27..2026-03-01"]
        {
            assert_eq!(range(text).to_string(), text);
        }
        assert_eq!(range("1d").to_string(), "today");
    }
}
