//! When a cron expression is due, in a time zone.
//!
//! Where the clock goes forward, an instant named by numbers in the hour that is skipped comes at
//! the end of the gap, and one that comes from `*` or a step is left out. Where it goes back, the
//! first comes once, in the first of the two hours, and the second in both.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, Zoned, tz::TimeZone};

/// An expression and a time zone that were checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    cron: Cron,
    zone: TimeZone,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanFault {
    #[error(
        "the cron expression {cron:?} cannot be read ({why}): write minute, hour, day, month and \
         weekday, as in \"0 3 * * *\", with a field for seconds before them if need be"
    )]
    Cron { cron: String, why: String },
    #[error("the cron expression {cron:?} names a day that never comes: choose another one")]
    Never { cron: String },
    #[error("there is no time zone {zone:?}: write it like \"Europe/Berlin\", or \"UTC\" ({why})")]
    Zone { zone: String, why: String },
}

impl Plan {
    pub(super) fn new(cron: &str, zone: &str) -> Result<Self, PlanFault> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed);
        let parsed = parser
            .build()
            .parse(cron)
            .map_err(|error| PlanFault::Cron { cron: cron.to_owned(), why: error.to_string() })?;
        let found = TimeZone::get(zone)
            .map_err(|error| PlanFault::Zone { zone: zone.to_owned(), why: error.to_string() })?;
        let plan = Self { cron: parsed, zone: found };
        let ever = plan.next_after(0);
        ever.map(|_| plan).ok_or_else(|| PlanFault::Never { cron: cron.to_owned() })
    }

    /// The first instant after this one.
    pub(super) fn next_after(&self, after_ms: u64) -> Option<u64> {
        self.cron.find_next_occurrence(&self.at(after_ms)?, false).ok().as_ref().and_then(millis)
    }

    /// The last instant that is not after this one.
    pub(super) fn last_until(&self, until_ms: u64) -> Option<u64> {
        self.cron.find_previous_occurrence(&self.at(until_ms)?, true).ok().as_ref().and_then(millis)
    }

    /// The last instant before this one.
    pub(super) fn last_before(&self, before_ms: u64) -> Option<u64> {
        self.cron
            .find_previous_occurrence(&self.at(before_ms)?, false)
            .ok()
            .as_ref()
            .and_then(millis)
    }

    pub(super) fn words(&self) -> String {
        self.cron.describe()
    }

    /// To the second: instants have no fractions.
    fn at(&self, at_ms: u64) -> Option<Zoned> {
        let seconds = i64::try_from(at_ms / 1000).ok()?;
        Some(Timestamp::from_second(seconds).ok()?.to_zoned(self.zone.clone()))
    }
}

fn millis(at: &Zoned) -> Option<u64> {
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        let time: Timestamp = text.parse().expect("a time");
        u64::try_from(time.as_millisecond()).expect("since 1970")
    }

    fn plan(cron: &str, zone: &str) -> Plan {
        Plan::new(cron, zone).expect("sound")
    }

    /// All instants after `from` up to `until`, as times in UTC.
    fn all(plan: &Plan, from: &str, until: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut at_ms = ms(from);
        while let Some(next_ms) = plan.next_after(at_ms).filter(|next_ms| *next_ms <= ms(until)) {
            let at = Timestamp::from_millisecond(next_ms as i64).expect("a time");
            found.push(at.to_string());
            at_ms = next_ms;
        }
        found
    }

    #[test]
    fn five_fields_six_fields_and_both_sundays() {
        let day = ("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z");
        for sunday in ["0 12 * * 0", "0 12 * * 7", "0 12 * * SUN", "0 0 12 * * 7"] {
            let found = all(&plan(sunday, "UTC"), day.0, day.1);
            assert_eq!(found, ["2026-03-08T12:00:00Z"], "{sunday}");
        }
        let monday = all(&plan("0 12 * * 1", "UTC"), day.0, day.1);
        assert_eq!(monday, ["2026-03-02T12:00:00Z"], "1 is Monday");
        let seconds =
            all(&plan("*/20 * * * * *", "UTC"), "2026-03-02T00:00:00Z", "2026-03-02T00:01:00Z");
        assert_eq!(seconds.len(), 3);
    }

    /// Berlin, 29 March 2026: 02:00 becomes 03:00, which is 01:00 in UTC.
    #[test]
    fn in_the_hour_that_is_skipped_what_is_named_comes_at_its_end() {
        let night = ("2026-03-28T23:00:00Z", "2026-03-29T02:59:00Z");
        let at = |cron: &str| all(&plan(cron, "Europe/Berlin"), night.0, night.1);
        assert_eq!(at("30 2 * * *"), ["2026-03-29T01:00:00Z"]);
        assert_eq!(at("0 3 * * *"), ["2026-03-29T01:00:00Z"]);
        let half_hours = at("*/30 * * * *");
        assert_eq!(half_hours.len(), 7, "none of the gap: {half_hours:?}");
        assert_eq!(half_hours[1..3], ["2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z"]);
        assert_eq!(half_hours[3], "2026-03-29T01:00:00Z");
    }

    /// Berlin, 25 October 2026: 03:00 becomes 02:00, which is 01:00 in UTC.
    #[test]
    fn in_the_hour_that_comes_twice_what_is_named_comes_once() {
        let night = ("2026-10-24T22:00:00Z", "2026-10-25T01:59:00Z");
        let at = |cron: &str| all(&plan(cron, "Europe/Berlin"), night.0, night.1);
        assert_eq!(at("30 2 * * *"), ["2026-10-25T00:30:00Z"]);
        let half_hours = at("*/30 * * * *");
        assert_eq!(half_hours.len(), 7, "both hours: {half_hours:?}");
        assert_eq!(
            half_hours[4..],
            ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z",]
        );
    }

    /// What is due is looked for backwards, when the next is forwards: they must be the same.
    #[test]
    fn backwards_comes_by_the_same_instants() {
        for cron in ["30 2 * * *", "*/30 * * * *", "0 */2 * * *", "15 1,2,3 * * 0", "0 0 1 * *"] {
            for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
                let plan = plan(cron, zone);
                let (from_ms, until_ms) = (ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"));
                let next = |at_ms: &u64| plan.next_after(*at_ms);
                let forward: Vec<u64> = std::iter::successors(next(&from_ms), next)
                    .take_while(|at_ms| *at_ms <= until_ms)
                    .collect();
                let before = |at_ms: &u64| plan.last_before(*at_ms);
                let mut backward: Vec<u64> =
                    std::iter::successors(plan.last_until(until_ms), before)
                        .take_while(|at_ms| *at_ms > from_ms)
                        .collect();
                backward.reverse();
                assert!(forward == backward, "{cron} in {zone} differs by direction");
            }
        }
    }

    #[test]
    fn a_fault_says_what_where_and_what_to_do() {
        let fault = |cron, zone| Plan::new(cron, zone).expect_err("a fault").to_string();
        let message = fault("61 * * * *", "UTC");
        assert!(
            message.starts_with("the cron expression \"61 * * * *\" cannot be read"),
            "{message}"
        );
        assert!(message.contains("write minute, hour"), "{message}");
        for cron in ["", "* * * *", "0 0 3 * * * 2026", "a b c d e"] {
            assert!(fault(cron, "UTC").contains("cannot be read"), "{cron}");
        }
        assert!(fault("0 0 30 2 *", "UTC").contains("never comes"));
        let message = fault("0 3 * * *", "Europe/Nowhere");
        assert!(message.starts_with("there is no time zone \"Europe/Nowhere\""), "{message}");
    }

    /// A machine without a database of time zones has to fire at the same times.
    #[test]
    fn time_zones_come_with_the_program() {
        let bundled = jiff::tz::TimeZoneDatabase::bundled();
        bundled.get("Europe/Berlin").expect("it is bundled");
    }
}
