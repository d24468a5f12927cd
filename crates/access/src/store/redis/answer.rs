//! Reading what the scripts answer, and saying what errors mean.

use samovar_store::redis::{QueryError, Value};

use crate::store::{Refusal, StoreError};

/// What is behind the word with which an answer begins.
#[derive(Debug)]
pub(super) struct Answer(std::vec::IntoIter<Value>);

/// Nothing when there is nothing of that name.
pub(super) fn read(value: Value) -> Result<Option<Answer>, StoreError> {
    let Value::Array(values) = value else { return Err(unexpected()) };
    let mut answer = Answer(values.into_iter());
    Err(match answer.text()?.as_str() {
        "ok" => return Ok(Some(answer)),
        "none" => return Ok(None),
        "newer" => StoreError::Damaged(format!(
            "it was written by a newer release (format {}), which this one cannot read: update it",
            answer.text()?
        )),
        "many_tokens" => Refusal::TooManyTokens { limit: crate::limits::TOKENS }.into(),
        "many_users" => Refusal::TooManyUsers { limit: crate::limits::USERS }.into(),
        "user_exists" => Refusal::UserExists.into(),
        _ => unexpected(),
    })
}

/// Who speaks like this is no script of ours.
pub(super) fn unexpected() -> StoreError {
    StoreError::Damaged("an answer of Redis is not what was expected".to_owned())
}

pub(super) fn error(error: &QueryError) -> StoreError {
    let text = error.to_string();
    match error {
        QueryError::Refused { code, .. } if &**code == "WRONGTYPE" || &**code == "ERR" => {
            StoreError::Damaged(text)
        }
        QueryError::Protocol(_) => StoreError::Damaged(text),
        _ => StoreError::Unavailable(text),
    }
}

impl Answer {
    pub(super) fn is_over(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        let bytes = match self.0.next() {
            Some(Value::BulkString(bytes)) => bytes,
            Some(Value::SimpleString(text)) => return Ok(text),
            _ => return Err(unexpected()),
        };
        String::from_utf8(bytes).map_err(|_| unexpected())
    }

    pub(super) fn yes(&mut self) -> Result<bool, StoreError> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number > 0),
            _ => Err(unexpected()),
        }
    }

    pub(super) fn ms(&mut self) -> Result<u64, StoreError> {
        number(&self.text()?)
    }

    /// An empty text is none.
    pub(super) fn maybe_ms(&mut self) -> Result<Option<u64>, StoreError> {
        let text = self.text()?;
        (!text.is_empty()).then(|| number(&text)).transpose()
    }
}

pub(super) fn number(text: &str) -> Result<u64, StoreError> {
    text.parse().map_err(|_| unexpected())
}

/// So many words, and what is behind them.
pub(super) fn words<const N: usize>(row: &str) -> Result<([&str; N], &str), StoreError> {
    let (mut words, mut rest) = ([""; N], row);
    for word in &mut words {
        (*word, rest) = rest.split_once(' ').ok_or_else(unexpected)?;
    }
    Ok((words, rest))
}
