//! Values of MySQL's types, out and in, without loss.

use std::borrow::Cow;

use jiff::{Timestamp, tz::TimeZone};
use mysql_async::{
    Column, Row, Value as Raw,
    consts::ColumnType::{self, *},
};

use crate::{Bound, TimeForm, Value, rows::Cells};

/// The character set of what is no text.
const BINARY: u16 = 63;
/// Of times; a column whose number of places is not fixed says more.
const MOST_PLACES: u8 = 6;

/// The name of a type whose values have no form here.
pub(super) fn unreadable(column: &Column) -> Option<&'static str> {
    match column.column_type() {
        MYSQL_TYPE_GEOMETRY => Some("geometry"),
        MYSQL_TYPE_VECTOR => Some("vector"),
        _ if is_undecodable(column) => Some("unknown"),
        _ => None,
    }
}

/// Types that servers keep to themselves, or that were not thought of yet.
pub(super) fn is_undecodable(column: &Column) -> bool {
    matches!(
        column.column_type(),
        MYSQL_TYPE_TIMESTAMP2
            | MYSQL_TYPE_DATETIME2
            | MYSQL_TYPE_TIME2
            | MYSQL_TYPE_TYPED_ARRAY
            | MYSQL_TYPE_UNKNOWN
    )
}

pub(super) fn bind(values: &[&Bound], times: TimeForm) -> Vec<Raw> {
    values.iter().map(|value| bind_one(value, times)).collect()
}

fn bind_one(value: &Bound, times: TimeForm) -> Raw {
    match value {
        Bound::Text(text) => Raw::Bytes(text.clone().into_bytes()),
        Bound::Integer(number) => Raw::Int(*number),
        Bound::Number(number) => Raw::Double(*number),
        Bound::Boolean(truth) => Raw::Int(i64::from(*truth)),
        Bound::Bytes(bytes) => Raw::Bytes(bytes.clone()),
        Bound::Time(at) => match times {
            // It has a type of its own for them.
            TimeForm::Text => time(*at),
            TimeForm::Iso => Raw::Bytes(at.to_string().into_bytes()),
            TimeForm::Seconds => Raw::Int(at.as_second()),
            TimeForm::Milliseconds => Raw::Int(at.as_millisecond()),
        },
        Bound::List(_) => unreachable!("a list is rendered as its elements"),
    }
}

/// In UTC, as is the session.
fn time(at: Timestamp) -> Raw {
    let at = TimeZone::UTC.to_datetime(at);
    let small = |part: i8| u8::try_from(part).unwrap_or_default();
    Raw::Date(
        u16::try_from(at.year()).unwrap_or_default(),
        small(at.month()),
        small(at.day()),
        small(at.hour()),
        small(at.minute()),
        small(at.second()),
        u32::try_from(at.subsec_nanosecond() / 1000).unwrap_or_default(),
    )
}

impl Cells for Row {
    fn cell(&self, index: usize) -> Result<Value<'_>, String> {
        match self.as_ref(index) {
            None | Some(Raw::NULL) => Ok(Value::Null),
            Some(raw) => value(&self.columns_ref()[index], raw),
        }
    }
}

fn value<'r>(column: &Column, raw: &'r Raw) -> Result<Value<'r>, String> {
    if let Some(name) = unreadable(column) {
        return Err(format!("the type {name}"));
    }
    let kind = column.column_type();
    Ok(match raw {
        Raw::NULL => Value::Null,
        Raw::Int(number) => Value::Integer(*number),
        Raw::UInt(number) => Value::Unsigned(*number),
        Raw::Float(number) => Value::Float(shortest(*number)),
        Raw::Double(number) => Value::Float(*number),
        Raw::Date(year, month, day, ..) if matches!(kind, MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE) => {
            Value::Text(format!("{year:04}-{month:02}-{day:02}").into())
        }
        Raw::Date(year, month, day, hour, minute, second, micros) => {
            let fraction = fraction(*micros, column.decimals());
            let zone = if kind == MYSQL_TYPE_TIMESTAMP { "Z" } else { "" };
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
            );
            Value::Text(text.into())
        }
        Raw::Time(is_negative, days, hours, minutes, seconds, micros) => {
            let sign = if *is_negative { "-" } else { "" };
            let hours = days * 24 + u32::from(*hours);
            let fraction = fraction(*micros, column.decimals());
            Value::Text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}").into())
        }
        Raw::Bytes(bytes) => of_bytes(kind, column.character_set(), bytes)?,
    })
}

fn of_bytes(kind: ColumnType, character_set: u16, bytes: &[u8]) -> Result<Value<'_>, String> {
    let text = || std::str::from_utf8(bytes).map_err(|_| "text that is not UTF-8".to_owned());
    Ok(match kind {
        MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => Value::Decimal(without_padding(text()?)),
        MYSQL_TYPE_BIT => {
            let bits = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
            Value::Unsigned(bytes.iter().fold(0, bits))
        }
        MYSQL_TYPE_JSON => Value::Json(text()?.into()),
        MYSQL_TYPE_ENUM | MYSQL_TYPE_SET => Value::Text(text()?.into()),
        _ if character_set == BINARY => Value::Bytes(bytes.into()),
        _ => Value::Text(text()?.into()),
    })
}

/// As many places as the column has. None that says something is left out.
fn fraction(micros: u32, places: u8) -> String {
    match places {
        0 if micros == 0 => String::new(),
        1..MOST_PLACES if micros.is_multiple_of(10_u32.pow(u32::from(MOST_PLACES - places))) => {
            let number = micros / 10_u32.pow(u32::from(MOST_PLACES - places));
            format!(".{number:0width$}", width = usize::from(places))
        }
        places if places > MOST_PLACES && micros == 0 => String::new(),
        _ => format!(".{micros:06}"),
    }
}

/// The double that is written like the float: 0.1, not 0.10000000149011612.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// A column of type `zerofill` pads its decimals, which JSON does not take for numbers.
fn without_padding(decimal: &str) -> Cow<'_, str> {
    let (sign, digits) = match decimal.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", decimal),
    };
    let bare = digits.trim_start_matches('0');
    match bare.bytes().next() {
        Some(b'0'..=b'9') if bare.len() == digits.len() => decimal.into(),
        Some(b'0'..=b'9') => format!("{sign}{bare}").into(),
        _ if digits.len() == bare.len() + 1 => decimal.into(),
        _ => format!("{sign}0{bare}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_the_places_of_their_column() {
        for (micros, places, expected) in [
            (0, 0, ""),
            (0, 3, ".000"),
            (120_000, 3, ".120"),
            (500_000, 1, ".5"),
            (7, 6, ".000007"),
            (0, 6, ".000000"),
            (0, 31, ""),
            (250_000, 39, ".250000"),
            (7, 0, ".000007"),
            (7, 3, ".000007"),
        ] {
            assert_eq!(fraction(micros, places), expected, "{micros} {places}");
        }
    }

    #[test]
    fn decimals_lose_their_padding_and_nothing_else() {
        for (given, expected) in [
            ("0", "0"),
            ("0.00", "0.00"),
            ("-0.50", "-0.50"),
            ("12.30", "12.30"),
            ("000012.30", "12.30"),
            ("-007", "-7"),
            ("000.30", "0.30"),
            ("000", "0"),
            ("", "0"),
        ] {
            assert_eq!(without_padding(given), expected);
        }
    }

    #[test]
    fn types_that_are_no_text_and_no_number_are_told() {
        let column = |kind| Column::new(kind);
        assert_eq!(unreadable(&column(MYSQL_TYPE_GEOMETRY)), Some("geometry"));
        assert_eq!(unreadable(&column(MYSQL_TYPE_VECTOR)), Some("vector"));
        assert_eq!(unreadable(&column(MYSQL_TYPE_TYPED_ARRAY)), Some("unknown"));
        assert_eq!(unreadable(&column(MYSQL_TYPE_JSON)), None);
        let json = value(&column(MYSQL_TYPE_JSON), &Raw::Bytes(b"[1]".to_vec())).map(|it| {
            let mut json = Vec::new();
            it.write_json(&mut json);
            json
        });
        assert_eq!(json, Ok(b"[1]".to_vec()));
    }
}
