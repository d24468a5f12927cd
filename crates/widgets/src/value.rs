//! Values on their way into a database and out of it, and how they become JSON.

use std::{borrow::Cow, fmt, io::Write};

use jiff::Timestamp;

/// The value of a parameter of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Bytes(Vec<u8>),
    /// Bound in the form in which the source keeps times.
    Time(Timestamp),
    /// Of `in (:ids)`: one placeholder for each.
    List(Vec<Bound>),
}

/// A value of a row, as its source gave it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'r> {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    /// All of its digits: `-12.50`, without an exponent.
    Decimal(Cow<'r, str>),
    /// Also whatever has no other form: times, durations, identifiers.
    Text(Cow<'r, str>),
    /// A document that the source vouches for.
    Json(Cow<'r, str>),
    Bytes(Cow<'r, [u8]>),
}

/// A double holds every whole number up to here.
const WHOLE: u64 = (1 << 53) - 1;
/// A double gives back every decimal of so many digits.
const DIGITS: usize = 15;

impl Value<'_> {
    /// Appends it as JSON, without loss also for readers whose numbers are doubles: a number is a
    /// JSON number where such a reader gets exactly its value, and else a text with all its digits.
    pub fn write_json(&self, json: &mut Vec<u8>) {
        match self {
            Value::Null => json.extend(b"null"),
            Value::Boolean(true) => json.extend(b"true"),
            Value::Boolean(false) => json.extend(b"false"),
            Value::Integer(number) if number.unsigned_abs() <= WHOLE => print(json, number),
            Value::Integer(number) => print(json, format_args!("\"{number}\"")),
            Value::Unsigned(number) if *number <= WHOLE => print(json, number),
            Value::Unsigned(number) => print(json, format_args!("\"{number}\"")),
            Value::Float(number) if number.is_finite() => {
                serde_json::to_writer(json, number).expect("memory takes everything");
            }
            Value::Float(number) if number.is_nan() => json.extend(b"\"NaN\""),
            Value::Float(number) if *number > 0.0 => json.extend(b"\"Infinity\""),
            Value::Float(_) => json.extend(b"\"-Infinity\""),
            Value::Decimal(text) if fits_a_double(text) => json.extend(text.as_bytes()),
            Value::Decimal(text) | Value::Text(text) => write_text(text, json),
            Value::Json(text) => json.extend(text.as_bytes()),
            Value::Bytes(bytes) => {
                json.push(b'"');
                write_base64(bytes, json);
                json.push(b'"');
            }
        }
    }

    /// The same value, which does not own its text.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::Boolean(flag) => Value::Boolean(*flag),
            Value::Integer(number) => Value::Integer(*number),
            Value::Unsigned(number) => Value::Unsigned(*number),
            Value::Float(number) => Value::Float(*number),
            Value::Decimal(text) => Value::Decimal(Cow::Borrowed(text)),
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Json(text) => Value::Json(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
        }
    }

    /// As a key that another query is given; `None` for null, which is equal to nothing. Keys that
    /// are equal numbers are one, whatever their types: `7`, `7.00`.
    ///
    /// # Errors
    /// What it is that identifies no row.
    pub fn to_key(&self) -> Result<Option<Bound>, &'static str> {
        Ok(Some(match self {
            Value::Null => return Ok(None),
            Value::Boolean(truth) => Bound::Boolean(*truth),
            Value::Integer(number) => Bound::Integer(*number),
            Value::Unsigned(number) => decimal_key(&number.to_string()),
            Value::Float(number) if number.fract() == 0.0 && number.abs() <= WHOLE as f64 => {
                Bound::Integer(*number as i64)
            }
            Value::Float(_) => return Err("a key that is no whole number"),
            Value::Decimal(text) => decimal_key(text),
            Value::Text(text) => Bound::Text(text.to_string()),
            Value::Json(_) => return Err("a key that is JSON"),
            Value::Bytes(bytes) => Bound::Bytes(bytes.to_vec()),
        }))
    }
}

impl Bound {
    /// What a key is called in maps, whatever its type: related columns may have different ones.
    pub(crate) fn name(&self) -> String {
        match self {
            Bound::Text(text) => text.clone(),
            Bound::Integer(number) => number.to_string(),
            Bound::Boolean(truth) => truth.to_string(),
            // No text begins so that is a key of anybody.
            Bound::Bytes(bytes) => format!("\0{}", hex(bytes)),
            other => format!("{other:?}"),
        }
    }
}

/// One of all decimals that are equal, which are plain.
fn decimal_key(decimal: &str) -> Bound {
    let said = match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.'),
        false => decimal,
    };
    said.parse().map_or_else(|_| Bound::Text(said.to_owned()), Bound::Integer)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

pub(crate) fn write_text(text: &str, json: &mut Vec<u8>) {
    serde_json::to_writer(json, text).expect("memory takes everything");
}

fn print(json: &mut Vec<u8>, what: impl std::fmt::Display) {
    write!(json, "{what}").expect("memory takes everything");
}

/// Decimals are plain, so their digits are all there is to them, and zeros that end a fraction say
/// nothing; more zeros than these in front or behind do not occur with so few digits.
fn fits_a_double(decimal: &str) -> bool {
    let digits = decimal.trim_start_matches('-');
    let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let said = if digits.contains('.') { digits.trim_end_matches('0') } else { digits };
    let significant = said.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit);
    is_plain && significant.count() <= DIGITS && digits.len() <= 100
}

/// RFC 4648, with padding.
fn write_base64(bytes: &[u8], text: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { letter } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &Value<'_>) -> String {
        let mut json = Vec::new();
        value.write_json(&mut json);
        String::from_utf8(json).expect("JSON is UTF-8")
    }

    #[test]
    fn numbers_are_numbers_where_a_double_holds_them() {
        for (value, expected) in [
            (Value::Integer(9_007_199_254_740_991), "9007199254740991"),
            (Value::Integer(-9_007_199_254_740_991), "-9007199254740991"),
            (Value::Integer(9_007_199_254_740_992), "\"9007199254740992\""),
            (Value::Integer(i64::MIN), "\"-9223372036854775808\""),
            (Value::Unsigned(7), "7"),
            (Value::Unsigned(u64::MAX), "\"18446744073709551615\""),
            (Value::Float(0.1), "0.1"),
            (Value::Float(-2.5), "-2.5"),
            (Value::Float(f64::NAN), "\"NaN\""),
            (Value::Float(f64::INFINITY), "\"Infinity\""),
            (Value::Float(f64::NEG_INFINITY), "\"-Infinity\""),
            (Value::Decimal("-12.50".into()), "-12.50"),
            (Value::Decimal("0.00".into()), "0.00"),
            (Value::Decimal("0.000000000000001234".into()), "0.000000000000001234"),
            (Value::Decimal("123456789012.345".into()), "123456789012.345"),
            (Value::Decimal("2.5000000000000000".into()), "2.5000000000000000"),
            (Value::Decimal("0.33333333333333333333".into()), "\"0.33333333333333333333\""),
            (Value::Decimal("1000000000000000".into()), "\"1000000000000000\""),
            (Value::Decimal("1234567890123.456".into()), "\"1234567890123.456\""),
            (Value::Decimal("NaN".into()), "\"NaN\""),
        ] {
            assert_eq!(json(&value), expected);
        }
    }

    #[test]
    fn keys_that_are_equal_are_one_and_what_is_no_key_is_told() {
        let key = |value: Value<'_>| value.to_key().map(|key| key.map(|key| key.name()));
        for seven in [
            Value::Integer(7),
            Value::Unsigned(7),
            Value::Float(7.0),
            Value::Decimal("7".into()),
            Value::Decimal("7.00".into()),
        ] {
            assert_eq!(seven.to_key(), Ok(Some(Bound::Integer(7))), "{seven:?}");
        }
        for (value, name) in [
            (Value::Text("7".into()), "7"),
            (Value::Text("7.00".into()), "7.00"),
            (Value::Decimal("-0.00".into()), "0"),
            (Value::Decimal("700".into()), "700"),
            (Value::Decimal("-7.50".into()), "-7.5"),
            (Value::Decimal("18446744073709551615.0".into()), "18446744073709551615"),
            (Value::Unsigned(u64::MAX), "18446744073709551615"),
            (Value::Boolean(true), "true"),
            (Value::Bytes(b"\x00\xff"[..].into()), "\x0000ff"),
        ] {
            assert_eq!(key(value), Ok(Some(name.to_owned())));
        }
        assert_eq!(key(Value::Null), Ok(None));
        for no_key in [Value::Float(0.5), Value::Float(1e300), Value::Float(f64::NAN)] {
            assert_eq!(key(no_key), Err("a key that is no whole number"));
        }
        assert_eq!(key(Value::Json("7".into())), Err("a key that is JSON"));
    }

    #[test]
    fn bytes_are_base64() {
        for (bytes, expected) in [
            (&b""[..], "\"\""),
            (b"f", "\"Zg==\""),
            (b"fo", "\"Zm8=\""),
            (b"foo", "\"Zm9v\""),
            (b"\xff\xfe\xfd\xfc", "\"//79/A==\""),
        ] {
            assert_eq!(json(&Value::Bytes(bytes.into())), expected);
        }
    }

    #[test]
    fn a_decimal_that_is_written_as_a_number_survives_a_double() {
        for text in ["0.1", "999999999999999", "0.30", "-1.00000000000001", "100000000000000000.00"]
        {
            let number: f64 = text.parse().expect("a number");
            let exact = fits_a_double(text);
            let back = format!("{number}");
            let plain = |text: &str| match text.split_once('.') {
                Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                None => text.to_owned(),
            };
            assert!(!exact || plain(&back) == plain(text), "{text}: {back}");
        }
    }
}
