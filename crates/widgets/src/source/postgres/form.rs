//! Values as the server sends them, in its binary form, and what they are here.

use std::{
    error::Error,
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use tokio_postgres::{
    Row,
    types::{FromSql, Kind, Type},
};

use super::{numeric, time};
use crate::{Value, rows::Cells};

/// How the values of a column are read.
#[derive(Debug)]
pub(super) enum Form {
    Boolean,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    /// The type `"char"`, one byte.
    Byte,
    Uuid,
    Json,
    Jsonb,
    Bytes,
    Date,
    Time,
    TimeWithZone,
    DateTime,
    Instant,
    Interval,
    Network,
    Hardware,
    Array(Box<Form>),
    /// With the name of the type.
    Unreadable(String),
}

/// A row whose columns have these forms.
pub(super) struct TypedRow<'r> {
    pub(super) row: &'r Row,
    pub(super) forms: &'r [Form],
}

/// What the server sent for a value, whatever its type.
pub(super) struct Raw<'r>(pub(super) Option<&'r [u8]>);

/// Bytes that are not what the type of their column says.
#[derive(Debug)]
pub(super) struct Malformed;

impl Form {
    pub(super) fn of(column: &Type) -> Self {
        match *column {
            Type::BOOL => Form::Boolean,
            Type::INT2 => Form::Int2,
            Type::INT4 => Form::Int4,
            Type::INT8 => Form::Int8,
            Type::OID => Form::Oid,
            Type::FLOAT4 => Form::Float4,
            Type::FLOAT8 => Form::Float8,
            Type::NUMERIC => Form::Numeric,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => Form::Text,
            Type::CHAR => Form::Byte,
            Type::UUID => Form::Uuid,
            Type::JSON => Form::Json,
            Type::JSONB => Form::Jsonb,
            Type::BYTEA => Form::Bytes,
            Type::DATE => Form::Date,
            Type::TIME => Form::Time,
            Type::TIMETZ => Form::TimeWithZone,
            Type::TIMESTAMP => Form::DateTime,
            Type::TIMESTAMPTZ => Form::Instant,
            Type::INTERVAL => Form::Interval,
            Type::INET | Type::CIDR => Form::Network,
            Type::MACADDR | Type::MACADDR8 => Form::Hardware,
            _ => Self::of_kind(column),
        }
    }

    fn of_kind(column: &Type) -> Self {
        match column.kind() {
            Kind::Enum(_) => Form::Text,
            Kind::Domain(base) => match Self::of(base) {
                Form::Unreadable(_) => Form::Unreadable(column.to_string()),
                form => form,
            },
            Kind::Array(element) => match Self::of(element) {
                Form::Unreadable(name) => Form::Unreadable(format!("{name}[]")),
                form => Form::Array(Box::new(form)),
            },
            // Of an extension, so its number is not known.
            Kind::Simple if column.name() == "citext" => Form::Text,
            _ => Form::Unreadable(column.to_string()),
        }
    }

    /// The name of the type, where values of it have no form here.
    pub(super) fn unreadable(&self) -> Option<&str> {
        match self {
            Form::Unreadable(name) => Some(name),
            _ => None,
        }
    }

    /// # Errors
    /// What it is that has no form here.
    fn read<'r>(&self, bytes: &'r [u8]) -> Result<Value<'r>, String> {
        if let Form::Unreadable(name) = self {
            return Err(format!("the type {name}"));
        }
        self.known(bytes).map_err(|Malformed| "a value in a form that is not known".to_owned())
    }

    fn known<'r>(&self, bytes: &'r [u8]) -> Result<Value<'r>, Malformed> {
        Ok(match self {
            Form::Boolean => Value::Boolean(whole::<1>(bytes)? != [0]),
            Form::Int2 => Value::Integer(i16::from_be_bytes(whole(bytes)?).into()),
            Form::Int4 => Value::Integer(i32::from_be_bytes(whole(bytes)?).into()),
            Form::Int8 => Value::Integer(i64::from_be_bytes(whole(bytes)?)),
            Form::Oid => Value::Integer(u32::from_be_bytes(whole(bytes)?).into()),
            Form::Float4 => Value::Float(widened(f32::from_be_bytes(whole(bytes)?))),
            Form::Float8 => Value::Float(f64::from_be_bytes(whole(bytes)?)),
            Form::Numeric => numeric::read(bytes)?,
            Form::Text => Value::Text(text(bytes)?.into()),
            Form::Byte => Value::Text(byte(whole(bytes)?).into()),
            Form::Uuid => Value::Text(uuid(whole(bytes)?).into()),
            Form::Json => Value::Json(text(bytes)?.into()),
            // The first byte is the version of the form.
            Form::Jsonb => match bytes {
                [1, document @ ..] => Value::Json(text(document)?.into()),
                _ => return Err(Malformed),
            },
            Form::Bytes => Value::Bytes(bytes.into()),
            Form::Date => Value::Text(time::date(i32::from_be_bytes(whole(bytes)?)).into()),
            Form::Time => Value::Text(time::of_day(i64::from_be_bytes(whole(bytes)?)).into()),
            Form::TimeWithZone => {
                let mut rest = bytes;
                let microseconds = i64::from_be_bytes(next(&mut rest)?);
                let west = i32::from_be_bytes(whole(rest)?);
                Value::Text(time::of_day_with_zone(microseconds, west).into())
            }
            Form::DateTime => {
                Value::Text(time::date_time(i64::from_be_bytes(whole(bytes)?)).into())
            }
            Form::Instant => {
                Value::Text(time::server_instant(i64::from_be_bytes(whole(bytes)?)).into())
            }
            Form::Interval => {
                let mut rest = bytes;
                let microseconds = i64::from_be_bytes(next(&mut rest)?);
                let days = i32::from_be_bytes(next(&mut rest)?);
                let months = i32::from_be_bytes(whole(rest)?);
                Value::Text(time::interval(months, days, microseconds).into())
            }
            Form::Network => Value::Text(network(bytes)?.into()),
            Form::Hardware => Value::Text(hardware(bytes).into()),
            Form::Array(element) => Value::Json(array(element, bytes)?.into()),
            Form::Unreadable(_) => return Err(Malformed),
        })
    }
}

impl Cells for TypedRow<'_> {
    fn cell(&self, index: usize) -> Result<Value<'_>, String> {
        let Raw(bytes) = self.row.try_get(index).map_err(|error| error.to_string())?;
        bytes.map_or(Ok(Value::Null), |bytes| self.forms[index].read(bytes))
    }
}

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, bytes: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(Some(bytes)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Takes the next bytes away.
pub(super) fn next<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (first, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(*first)
}

fn whole<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// To the double with the same shortest digits, which is not the double of the same value: 0.1
/// stays 0.1.
fn widened(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(number.into())
}

/// As newer servers write it.
fn byte([byte]: [u8; 1]) -> String {
    match byte {
        0 => String::new(),
        1..=127 => char::from(byte).to_string(),
        _ => format!("\\{byte:o}"),
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

fn hardware(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// Family, bits of the mask, whether it is a network alone, length, address.
fn network(bytes: &[u8]) -> Result<String, Malformed> {
    let [_, bits, is_network, _, address @ ..] = bytes else { return Err(Malformed) };
    let (mut text, most_bits) = match address.len() {
        4 => (Ipv4Addr::from(whole::<4>(address)?).to_string(), 32),
        16 => (Ipv6Addr::from(whole::<16>(address)?).to_string(), 128),
        _ => return Err(Malformed),
    };
    if *is_network != 0 || *bits != most_bits {
        let _ = write!(text, "/{bits}");
    }
    Ok(text)
}

/// Number of dimensions, whether there are nulls, type, length and lower bound of each dimension,
/// then the elements, each with its length.
fn array(element: &Form, mut bytes: &[u8]) -> Result<String, Malformed> {
    let dimensions = i32::from_be_bytes(next(&mut bytes)?);
    let _: [u8; 8] = next(&mut bytes)?;
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(u32::from_be_bytes(next(&mut bytes)?));
        let _: [u8; 4] = next(&mut bytes)?;
    }
    if lengths.is_empty() {
        return Ok("[]".to_owned());
    }
    let mut json = Vec::new();
    write_array(element, &lengths, &mut bytes, &mut json)?;
    String::from_utf8(json).map_err(|_| Malformed)
}

fn write_array(
    element: &Form,
    lengths: &[u32],
    bytes: &mut &[u8],
    json: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let Some((length, inner)) = lengths.split_first() else {
        let length = i32::from_be_bytes(next(bytes)?);
        // No length stands for null.
        let Ok(length) = usize::try_from(length) else {
            json.extend(b"null");
            return Ok(());
        };
        let (value, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
        *bytes = rest;
        element.known(value)?.write_json(json);
        return Ok(());
    };
    json.push(b'[');
    for index in 0..*length {
        if index > 0 {
            json.push(b',');
        }
        write_array(element, inner, bytes, json)?;
    }
    json.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_form_are_refused_and_never_panic() {
        for form in [
            Form::Boolean,
            Form::Int8,
            Form::Numeric,
            Form::Uuid,
            Form::Jsonb,
            Form::Date,
            Form::TimeWithZone,
            Form::Interval,
            Form::Network,
            Form::Array(Box::new(Form::Int4)),
        ] {
            for length in 0..40 {
                for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    // Whatever it is, it is an answer.
                    let _ = form.read(&vec![byte; length]);
                }
            }
            assert!(form.read(&[0xff; 3]).is_err(), "{form:?}");
        }
    }
}
