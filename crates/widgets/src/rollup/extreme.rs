//! The least or the greatest value: numbers by their value, texts by their bytes and after numbers.

use std::cmp::Ordering;

use super::{
    Exact,
    encoding::{Malformed, Reader, Writer},
    number::Number,
    scalar::Scalar,
    sum::exact_value,
};
use crate::Value;

#[derive(Clone, Debug, Default)]
pub(crate) enum Extreme {
    /// Of nothing.
    #[default]
    Nothing,
    Number(Number),
    Text(Box<str>),
}

impl Extreme {
    /// Keeps the value where it compares as `wanted` to what is kept.
    ///
    /// # Errors
    /// What it is that has no order.
    pub(crate) fn add(&mut self, value: &Scalar<'_>, wanted: Ordering) -> Result<(), &'static str> {
        match value {
            Scalar::Null => {}
            Scalar::Number(number) => self.add_number(*number, wanted),
            Scalar::Boolean(flag) => self.add_number(Number::integer(*flag), wanted),
            Scalar::Text(text) => self.add_text(text, wanted),
            Scalar::Bytes(_) => return Err("bytes"),
        }
        Ok(())
    }

    fn add_number(&mut self, number: Number, wanted: Ordering) {
        let order = match self {
            Extreme::Nothing => wanted,
            Extreme::Number(kept) => number.compare(*kept),
            Extreme::Text(_) => Ordering::Less,
        };
        if order == wanted {
            *self = Extreme::Number(number);
        }
    }

    fn add_text(&mut self, text: &str, wanted: Ordering) {
        let order = match self {
            Extreme::Nothing => wanted,
            Extreme::Number(_) => Ordering::Greater,
            Extreme::Text(kept) => text.cmp(kept),
        };
        if order == wanted {
            *self = Extreme::Text(text.into());
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, wanted: Ordering) {
        match other {
            Extreme::Nothing => {}
            Extreme::Number(number) => self.add_number(*number, wanted),
            Extreme::Text(text) => self.add_text(text, wanted),
        }
    }

    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Extreme::Nothing => Value::Null,
            Extreme::Number(Number::Exact(exact)) => exact_value(*exact),
            Extreme::Number(Number::Float(float)) => Value::Float(*float),
            Extreme::Text(text) => Value::Text((&**text).into()),
        }
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        match self {
            Extreme::Nothing => to.byte(0),
            Extreme::Number(Number::Exact(exact)) => {
                to.byte(1);
                to.byte(exact.scale());
                to.signed(exact.mantissa());
            }
            Extreme::Number(Number::Float(float)) => {
                to.byte(2);
                to.bytes(&float.to_le_bytes());
            }
            Extreme::Text(text) => {
                to.byte(3);
                to.text(text.as_bytes());
            }
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match from.byte()? {
            0 => Extreme::Nothing,
            1 => {
                let scale = from.byte()?;
                let exact = Exact::new(from.signed()?, scale).ok_or(Malformed)?;
                Extreme::Number(Number::Exact(exact))
            }
            2 => Extreme::Number(Number::float(f64::from_le_bytes(from.array()?))),
            3 => {
                let text = std::str::from_utf8(from.text()?).map_err(|_| Malformed)?;
                Extreme::Text(text.into())
            }
            _ => return Err(Malformed),
        })
    }
}
