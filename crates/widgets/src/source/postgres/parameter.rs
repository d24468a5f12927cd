//! Values on their way to the server: as texts, which it reads as whatever type it expects.

use std::{borrow::Cow, error::Error, fmt};

use bytes::BytesMut;
use jiff::Timestamp;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::time;
use crate::{Bound, TimeForm, value::hex};

pub(super) struct Parameter<'b>(Cow<'b, str>);

impl<'b> Parameter<'b> {
    pub(super) fn all(values: &[&'b Bound], times: TimeForm) -> Vec<Self> {
        values.iter().map(|value| Self(text(value, times))).collect()
    }
}

fn text(value: &Bound, times: TimeForm) -> Cow<'_, str> {
    match value {
        Bound::Text(text) => Cow::Borrowed(text),
        Bound::Integer(number) => number.to_string().into(),
        Bound::Number(number) if number.is_infinite() => {
            Cow::Borrowed(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Bound::Number(number) => number.to_string().into(),
        Bound::Boolean(truth) => truth.to_string().into(),
        Bound::Bytes(bytes) => format!("\\x{}", hex(bytes)).into(),
        Bound::Time(at) => time_text(*at, times).into(),
        Bound::List(_) => unreachable!("a list is rendered as its elements"),
    }
}

/// PostgreSQL has a type for times, so both forms of text are one.
fn time_text(at: Timestamp, times: TimeForm) -> String {
    match times {
        TimeForm::Text | TimeForm::Iso => {
            let microseconds = at.as_nanosecond().div_euclid(1000);
            time::instant(i64::try_from(microseconds).expect("jiff ends with the year 9999"))
        }
        TimeForm::Seconds => at.as_second().to_string(),
        TimeForm::Milliseconds => at.as_millisecond().to_string(),
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(ty, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }
}

/// The driver prints what it sends, and a value may be a secret.
impl fmt::Debug for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
