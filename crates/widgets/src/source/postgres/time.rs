//! Days and times as texts that give back exactly what the server has, over all of its range:
//! 4714 BC to the year 5,874,897, more than other libraries have.
//!
//! Every text is one that PostgreSQL itself reads.

/// Days and microseconds are counted from 2000-01-01 by the server, from 1970-01-01 by others.
const DAYS_TO_2000: i64 = 10_957;
const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;

pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => {
            let day = Day::of(i64::from(days) + DAYS_TO_2000);
            format!("{}{}", day.text, day.era)
        }
    }
}

pub(super) fn date_time(microseconds: i64) -> String {
    endless(microseconds).unwrap_or_else(|| at(microseconds, ""))
}

pub(super) fn server_instant(microseconds: i64) -> String {
    endless(microseconds).unwrap_or_else(|| at(microseconds, "Z"))
}

/// Since 1970.
pub(super) fn instant(microseconds: i64) -> String {
    at(microseconds - DAYS_TO_2000 * DAY, "Z")
}

/// Up to 24:00:00.
pub(super) fn of_day(microseconds: i64) -> String {
    let (hour, minute) = (microseconds / HOUR, microseconds / MINUTE % 60);
    let seconds = seconds(microseconds % MINUTE, 2);
    format!("{hour:02}:{minute:02}:{seconds}")
}

/// `west` of Greenwich by so many seconds.
pub(super) fn of_day_with_zone(microseconds: i64, west: i32) -> String {
    let sign = if west > 0 { '-' } else { '+' };
    let offset = west.unsigned_abs();
    let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
    let seconds = if seconds == 0 { String::new() } else { format!(":{seconds:02}") };
    format!("{}{sign}{hours:02}:{minutes:02}{seconds}", of_day(microseconds))
}

/// A duration of ISO 8601. Months, days and time are apart, each with its own sign: how long a
/// month or a day is depends on when it is.
pub(super) fn interval(months: i32, days: i32, microseconds: i64) -> String {
    match (months, days, microseconds) {
        (i32::MAX, i32::MAX, i64::MAX) => return "infinity".to_owned(),
        (i32::MIN, i32::MIN, i64::MIN) => return "-infinity".to_owned(),
        (0, 0, 0) => return "PT0S".to_owned(),
        _ => {}
    }
    let part = |number: i64, unit: &str| match number {
        0 => String::new(),
        number => format!("{number}{unit}"),
    };
    let mut text = format!(
        "P{}{}{}",
        part((months / 12).into(), "Y"),
        part((months % 12).into(), "M"),
        part(days.into(), "D")
    );
    if microseconds != 0 {
        text.push('T');
        text.push_str(&part(microseconds / HOUR, "H"));
        text.push_str(&part(microseconds / MINUTE % 60, "M"));
        let rest = microseconds % MINUTE;
        if rest != 0 {
            text.push_str(if rest < 0 { "-" } else { "" });
            text.push_str(&seconds(rest.abs(), 1));
            text.push('S');
        }
    }
    text
}

fn endless(microseconds: i64) -> Option<String> {
    match microseconds {
        i64::MAX => Some("infinity".to_owned()),
        i64::MIN => Some("-infinity".to_owned()),
        _ => None,
    }
}

fn at(microseconds: i64, zone: &str) -> String {
    let day = Day::of(microseconds.div_euclid(DAY) + DAYS_TO_2000);
    format!("{}T{}{zone}{}", day.text, of_day(microseconds.rem_euclid(DAY)), day.era)
}

/// With as many digits of the fraction as there are.
fn seconds(microseconds: i64, width: usize) -> String {
    let (seconds, fraction) = (microseconds / SECOND, microseconds % SECOND);
    match fraction {
        0 => format!("{seconds:0width$}"),
        fraction => {
            let fraction = format!("{fraction:06}");
            format!("{seconds:0width$}.{}", fraction.trim_end_matches('0'))
        }
    }
}

struct Day {
    /// `2026-11-21`
    text: String,
    era: &'static str,
}

impl Day {
    /// In the calendar of today, also for the time before it. The calculation begins its years in
    /// March, so that the day that is sometimes missing is the last one, and counts in eras of 400
    /// years, which are all equally long.
    fn of(since_1970: i64) -> Self {
        const ERA: i64 = 146_097;
        let days = since_1970 + 719_468;
        let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        // There is no year 0.
        let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
        Self { text: format!("{year:04}-{month:02}-{day:02}"), era }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let mut day: jiff::civil::Date = "0001-01-01".parse().expect("a day");
        let epoch: jiff::civil::Date = "2000-01-01".parse().expect("a day");
        let first = day.since(epoch).expect("in range").get_days();
        for days in (first..2_921_000).step_by(97) {
            assert_eq!(date(days), day.to_string());
            day = match day.checked_add(jiff::Span::new().days(97)) {
                Ok(day) => day,
                Err(_) => break,
            };
        }
        assert_eq!(date(0), "2000-01-01");
        assert_eq!(date(first - 1), "0001-12-31 BC");
    }

    #[test]
    fn durations_keep_each_sign() {
        for (months, days, microseconds, expected) in [
            (14, 3, 4 * HOUR + 5 * MINUTE + 6_789_000, "P1Y2M3DT4H5M6.789S"),
            (-14, -3, -(4 * HOUR + 5 * MINUTE + 6 * SECOND), "P-1Y-2M-3DT-4H-5M-6S"),
            (1, -1, 0, "P1M-1D"),
            (0, 0, -1, "PT-0.000001S"),
            (0, 0, -90 * MINUTE, "PT-1H-30M"),
            (0, 0, 0, "PT0S"),
            (0, 0, i64::MIN, "PT-2562047788H-54.775808S"),
        ] {
            assert_eq!(interval(months, days, microseconds), expected);
        }
    }
}
