//! When a row or an event happened, from whatever its database or its application keeps times as.

use jiff::Timestamp;

use crate::{TimeForm, Value};

const SECOND: i64 = 1_000_000;
/// As seconds it is the year 5138, as milliseconds 1973: what is less counts seconds.
const MILLISECONDS_FROM: f64 = 1e11;

/// When something happened, by a field of JSON: a text as databases write them, or a number of
/// seconds or milliseconds since 1970, as large as they are.
pub fn instant(value: &serde_json::Value) -> Option<Timestamp> {
    let microseconds = match value {
        serde_json::Value::String(text) => of_text(text.as_bytes())?,
        serde_json::Value::Number(number) => {
            let size = number.as_f64()?;
            let form = match size.abs() < MILLISECONDS_FROM {
                true => TimeForm::Seconds,
                false => TimeForm::Milliseconds,
            };
            let whole = number.as_i64().map(Value::Integer);
            microseconds(&whole.unwrap_or(Value::Float(size)), form)?
        }
        _ => return None,
    };
    Timestamp::from_microsecond(microseconds).ok()
}

/// In microseconds since 1970. Texts without an offset are in UTC, and dates are their midnight.
pub(crate) fn microseconds(value: &Value<'_>, form: TimeForm) -> Option<i64> {
    let scale = match form {
        TimeForm::Milliseconds => 1000,
        TimeForm::Seconds | TimeForm::Text | TimeForm::Iso => SECOND,
    };
    match value {
        Value::Text(text) => of_text(text.as_bytes()),
        Value::Integer(number) => number.checked_mul(scale),
        Value::Unsigned(number) => i64::try_from(*number).ok()?.checked_mul(scale),
        Value::Float(number) => {
            let microseconds = (number * scale as f64).floor();
            // Far inside of what an integer holds.
            #[expect(clippy::cast_possible_truncation, reason = "looked at before")]
            (microseconds.abs() < 9e18).then_some(microseconds as i64)
        }
        Value::Null | Value::Boolean(_) | Value::Decimal(_) | Value::Json(_) | Value::Bytes(_) => {
            None
        }
    }
}

/// `2026-11-21`, `2026-11-21 09:30`, `2026-11-21T09:30:00.123456+01:00`, `...Z`.
fn of_text(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let days = days_since_1970(year, two(m1, m2)?, two(d1, d2)?)?;
    let midnight = days * 86_400;
    let Some((separator, rest)) = rest.split_first() else { return Some(midnight * SECOND) };
    if !matches!(separator, b' ' | b'T') {
        return None;
    }
    let (&[h1, h2, b':', m1, m2], mut rest) = rest.split_first_chunk()? else { return None };
    let mut seconds = two(h1, h2)? * 3600 + two(m1, m2)? * 60;
    let mut fraction = 0;
    if let [b':', s1, s2, after @ ..] = rest {
        seconds += two(*s1, *s2)?;
        rest = after;
        if let [b'.', digits @ ..] = rest {
            let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let known = digits[..count].iter().chain(std::iter::repeat(&b'0')).take(6);
            fraction = known.fold(0, |all, digit| all * 10 + i64::from(digit - b'0'));
            rest = &digits[count..];
        }
    }
    Some((midnight + seconds - offset(rest)?) * SECOND + fraction)
}

/// In seconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [] | [b'Z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => (two(*h1, *h2)?, 0),
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => (two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let is_number = tens.is_ascii_digit() && ones.is_ascii_digit();
    is_number.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// By the calendar that is counted back as it is now, as databases do.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTHS.get(usize::try_from(month - 1).ok()?)?;
    if day < 1 || day > length + i64::from(is_leap && month == 2) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<i64> {
        microseconds(&Value::Text(text.into()), TimeForm::Text)
    }

    #[test]
    fn every_form_that_a_database_gives_is_understood() {
        let expected = |text: &str| text.parse::<Timestamp>().expect("a time").as_microsecond();
        for (written, instant) in [
            ("2026-11-21", "2026-11-21T00:00:00Z"),
            ("2026-11-21 09:30", "2026-11-21T09:30:00Z"),
            ("2026-11-21 09:30:05", "2026-11-21T09:30:05Z"),
            ("2026-11-21T09:30:05Z", "2026-11-21T09:30:05Z"),
            ("2026-11-21T09:30:05.25Z", "2026-11-21T09:30:05.25Z"),
            ("2026-11-21T09:30:05.123456789+05:45", "2026-11-21T03:45:05.123456Z"),
            ("2026-11-21 09:30:05-0330", "2026-11-21T13:00:05Z"),
            ("2026-11-21 09:30:05+01", "2026-11-21T08:30:05Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("1900-03-01T00:00:00Z", "1900-03-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(text(written), Some(expected(instant)), "{written}");
        }
        let at = expected("2026-11-20T23:05:07Z");
        let number = |value, form| microseconds(&value, form);
        assert_eq!(number(Value::Integer(1_795_215_907), TimeForm::Seconds), Some(at));
        assert_eq!(number(Value::Unsigned(1_795_215_907_000), TimeForm::Milliseconds), Some(at));
        assert_eq!(number(Value::Float(1_795_215_907.5), TimeForm::Seconds), Some(at + 500_000));
    }

    #[test]
    fn numbers_in_json_count_seconds_or_milliseconds() {
        let at: Timestamp = "2026-11-20T23:05:07Z".parse().expect("a time");
        for json in ["1795215907", "1795215907000", "1795215907.0", "\"2026-11-21T00:05:07+01:00\""]
        {
            let json = serde_json::from_str(json).expect("JSON");
            assert_eq!(instant(&json), Some(at), "{json}");
        }
        let fraction = instant(&serde_json::json!(1_795_215_907.25)).expect("a time");
        assert_eq!((fraction - at).total(jiff::Unit::Millisecond).ok(), Some(250.0));
        for json in ["true", "null", "[]", "\"1795215907\"", "1e300", "9007199254740993000"] {
            let json = serde_json::from_str(json).expect("JSON");
            assert_eq!(instant(&json), None, "{json}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for wrong in [
            "",
            "infinity",
            "2026-11-2",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "1900-02-29",
            "2026-11-21x09:30",
            "2026-11-21 9:30:00",
            "2026-11-21 09",
            "2026-11-21 09:30:00 CET",
            "2026-11-21 09:30:5",
        ] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
        assert_eq!(microseconds(&Value::Null, TimeForm::Text), None);
        assert_eq!(microseconds(&Value::Float(f64::NAN), TimeForm::Seconds), None);
        assert_eq!(microseconds(&Value::Integer(i64::MAX), TimeForm::Milliseconds), None);
    }
}
