//! Single values as measures and dimensions take them: of columns, and of elements of JSON lists.

use std::borrow::Cow;

use super::{
    keys::{KeyRef, Tag},
    number::Number,
};
use crate::Value;

#[derive(Clone, Debug)]
pub(crate) enum Scalar<'v> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'v, str>),
    Bytes(Cow<'v, [u8]>),
}

impl<'v> Scalar<'v> {
    /// # Errors
    /// What it is that cannot be measured.
    pub(crate) fn of_value(value: Value<'v>) -> Result<Self, &'static str> {
        Ok(match value {
            Value::Null => Scalar::Null,
            Value::Boolean(flag) => Scalar::Boolean(flag),
            Value::Integer(number) => Scalar::Number(Number::integer(number)),
            Value::Unsigned(number) => Scalar::Number(Number::integer(number)),
            Value::Float(number) => Scalar::Number(Number::float(number)),
            Value::Decimal(text) => {
                Scalar::Number(Number::parse(&text).ok_or("a decimal in an unknown form")?)
            }
            Value::Text(text) => Scalar::Text(text),
            Value::Bytes(bytes) => Scalar::Bytes(bytes),
            Value::Json(_) => return Err("JSON"),
        })
    }

    pub(crate) fn borrowed(&self) -> Scalar<'_> {
        match self {
            Scalar::Null => Scalar::Null,
            Scalar::Boolean(flag) => Scalar::Boolean(*flag),
            Scalar::Number(number) => Scalar::Number(*number),
            Scalar::Text(text) => Scalar::Text(Cow::Borrowed(text)),
            Scalar::Bytes(bytes) => Scalar::Bytes(Cow::Borrowed(bytes)),
        }
    }

    /// A number, or a text that is one: some databases and encoders keep decimals as texts.
    ///
    /// # Errors
    /// What it is instead.
    pub(crate) fn number(&self) -> Result<Option<Number>, &'static str> {
        match self {
            Scalar::Null => Ok(None),
            Scalar::Number(number) => Ok(Some(*number)),
            Scalar::Boolean(flag) => Ok(Some(Number::integer(*flag))),
            Scalar::Text(text) => match Number::parse(text.trim()) {
                Some(number) => Ok(Some(number)),
                None => Err("a text that is no number"),
            },
            Scalar::Bytes(_) => Err("bytes"),
        }
    }

    /// As the value of a dimension, or as what a top is of.
    ///
    /// # Errors
    /// What it is that cannot be one.
    pub(crate) fn with_key<T>(
        &self,
        take: impl FnOnce(KeyRef<'_>) -> T,
    ) -> Result<T, &'static str> {
        let key = |tag, bytes| KeyRef { tag, bytes };
        Ok(match self {
            Scalar::Null => take(key(Tag::Null, b"")),
            Scalar::Boolean(flag) => take(key(Tag::Boolean, &[u8::from(*flag)])),
            Scalar::Text(text) => take(key(Tag::Text, text.as_bytes())),
            Scalar::Number(Number::Exact(exact)) => {
                let exact = exact.canonical();
                match i64::try_from(exact.mantissa()) {
                    Ok(integer) if exact.scale() == 0 => {
                        take(key(Tag::Integer, &KeyRef::integer(integer)))
                    }
                    _ => take(key(Tag::Decimal, exact.digits().as_bytes())),
                }
            }
            Scalar::Number(Number::Float(float)) => {
                let text = float.to_string();
                take(key(Tag::Decimal, text.as_bytes()))
            }
            Scalar::Bytes(_) => return Err("bytes"),
        })
    }
}
