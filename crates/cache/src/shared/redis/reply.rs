//! Reading what Redis answers, and saying what its errors mean.

use bytes::Bytes;
use samovar_store::redis::{Link, QueryError, Value};

use crate::{
    shared::{Origin, StoreError},
    version::Version,
};

pub(super) fn error(error: &QueryError) -> StoreError {
    let text = error.to_string();
    match error {
        error if error.was_not_executed() => StoreError::Unavailable(text),
        QueryError::Refused { .. } => StoreError::Refused(text),
        _ => StoreError::Unanswered(text),
    }
}

/// The first of two calls, sent together, when the answers of both are lost to one error.
pub(super) fn error_of_first(error: &QueryError) -> StoreError {
    match error {
        QueryError::TurnedAway { index, .. } | QueryError::Refused { index, .. } if *index > 0 => {
            StoreError::Unanswered(error.to_string())
        }
        _ => self::error(error),
    }
}

/// The answer of another program than ours.
pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Unanswered(format!("the answer to {what} is not what was expected"))
}

pub(super) fn origin(link: &Link) -> Origin {
    Origin { incarnation: link.incarnation(), trust: link.trust().clone() }
}

/// A string that may be missing, in the memory it was received in.
pub(super) fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        _ => None,
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

pub(super) fn version(value: &Value) -> Option<Version> {
    match value {
        Value::BulkString(bytes) => Version::decode(bytes),
        _ => None,
    }
}

/// What `TIME` said, in milliseconds.
pub(super) fn time_ms(parts: &[Value]) -> Option<u64> {
    let [seconds, micros, ..] = parts else { return None };
    let number = |value| text(value)?.parse::<u64>().ok();
    Some(number(seconds)? * 1000 + number(micros)? / 1000)
}

#[cfg(test)]
mod tests {
    use samovar_store::redis::Address;

    use super::*;

    fn string(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn the_time_is_read_in_milliseconds() {
        let time = |parts: &[&str]| time_ms(&parts.iter().map(|p| string(p)).collect::<Vec<_>>());
        assert_eq!(time(&["1795219617", "530623"]), Some(1_795_219_617_530));
        assert_eq!(time(&["1795219617", "623"]), Some(1_795_219_617_000));
        assert_eq!(time(&["x", "1"]), None);
        assert_eq!(time(&["1"]), None);
    }

    #[test]
    fn the_second_calls_error_says_nothing_about_the_first() {
        let refused = |index| QueryError::Refused {
            address: Address::new("h", 1),
            index,
            code: "OOM".into(),
            detail: "".into(),
        };
        assert!(matches!(error_of_first(&refused(0)), StoreError::Refused(_)));
        assert!(matches!(error_of_first(&refused(1)), StoreError::Unanswered(_)));
        assert!(matches!(error(&refused(1)), StoreError::Refused(_)));
    }
}
