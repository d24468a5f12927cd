//! Reading what the scripts answer, and saying what errors mean.

use samovar_store::redis::{QueryError, Value};

use crate::{
    name::{BatchId, JobId, QueueName},
    store::{Refusal, StoreError},
};

/// What is behind the word with which an answer begins.
#[derive(Debug)]
pub(super) struct Answer(std::vec::IntoIter<Value>);

/// Nothing when there is nothing of that name.
pub(super) fn read(value: Value, queue: &QueueName) -> Result<Option<Answer>, StoreError> {
    let Value::Array(values) = value else { return Err(unexpected()) };
    let mut answer = Answer(values.into_iter());
    let word = answer.text()?;
    match word.as_str() {
        "ok" => Ok(Some(answer)),
        "none" | "there" => Ok(None),
        _ => Err(refusal(&word, answer, queue)?),
    }
}

fn refusal(word: &str, mut answer: Answer, queue: &QueueName) -> Result<StoreError, StoreError> {
    let queue = queue.clone();
    Ok(StoreError::Refused(match word {
        "newer" => {
            let format = answer.text()?;
            return Ok(StoreError::Damaged(format!(
                "the queue {queue} was written by a newer release (format {format}), which this \
                 one cannot read: update it"
            )));
        }
        "id_taken" => Refusal::IdTaken { id: JobId::from_u64(answer.id()?) },
        "no_batch" => Refusal::NoBatch { batch: BatchId::from_u64(answer.id()?) },
        "batch_finished" => Refusal::BatchFinished { batch: BatchId::from_u64(answer.id()?) },
        "many_kinds" => Refusal::TooManyKinds { queue, limit: answer.integer()? },
        "full" => Refusal::QueueFull { queue, found: answer.size()?, limit: answer.size()? },
        "many_results" => Refusal::TooManyResults { recorded: answer.integer()? },
        _ => return Err(unexpected()),
    }))
}

/// Who speaks like this is no script of ours.
pub(super) fn unexpected() -> StoreError {
    StoreError::Damaged("an answer of Redis is not what was expected".to_owned())
}

pub(super) fn damaged(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what}: {error}"))
}

pub(super) fn error(error: &QueryError) -> StoreError {
    let text = error.to_string();
    match error {
        QueryError::Refused { code, .. } if &**code == "WRONGTYPE" || &**code == "ERR" => {
            StoreError::Damaged(text)
        }
        QueryError::Protocol(_) => StoreError::Damaged(text),
        QueryError::Unanswered { .. } => StoreError::Unavailable(format!(
            "{text}; it is not known whether it was done, repeating is safe"
        )),
        _ => StoreError::Unavailable(text),
    }
}

impl Iterator for Answer {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }
}

impl Answer {
    fn some(&mut self) -> Result<Value, StoreError> {
        self.0.next().ok_or_else(unexpected)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        bytes(self.some()?).ok_or_else(unexpected)
    }

    /// That may be missing.
    pub(super) fn maybe(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        // Lua drops what is missing at the end of a list.
        match self.0.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(value) => bytes(value).map(Some).ok_or_else(unexpected),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(|_| unexpected())
    }

    pub(super) fn integer(&mut self) -> Result<i64, StoreError> {
        integer(&self.some()?).ok_or_else(unexpected)
    }

    /// An empty text is none.
    pub(super) fn maybe_integer(&mut self) -> Result<Option<i64>, StoreError> {
        let value = self.some()?;
        if matches!(&value, Value::BulkString(bytes) if bytes.is_empty()) {
            return Ok(None);
        }
        integer(&value).map(Some).ok_or_else(unexpected)
    }

    pub(super) fn size(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.integer()?).map_err(|_| unexpected())
    }

    pub(super) fn id(&mut self) -> Result<u64, StoreError> {
        let bytes = self.bytes()?.try_into().map_err(|_| unexpected())?;
        Ok(u64::from_be_bytes(bytes))
    }

    pub(super) fn list(&mut self) -> Result<Answer, StoreError> {
        list(self.some()?)
    }

    pub(super) fn integers(self) -> Result<Vec<i64>, StoreError> {
        self.0.map(|value| integer(&value).ok_or_else(unexpected)).collect()
    }
}

pub(super) fn list(value: Value) -> Result<Answer, StoreError> {
    match value {
        Value::Array(values) => Ok(Answer(values.into_iter())),
        _ => Err(unexpected()),
    }
}

pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// Redis tells numbers it keeps as texts.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use samovar_store::redis::{Address, Lost};

    use super::*;

    #[test]
    fn what_cannot_be_done_now_is_told_from_what_is_damaged() {
        let refused = |code: &str| QueryError::Refused {
            address: Address::new("h", 1),
            index: 0,
            code: code.into(),
            detail: "".into(),
        };
        for code in ["OOM", "MISCONF", "NOREPLICAS", "NOPERM"] {
            let error = error(&refused(code));
            assert!(matches!(&error, StoreError::Unavailable(text) if text.contains(code)));
        }
        assert!(matches!(error(&refused("WRONGTYPE")), StoreError::Damaged(_)));
        let lost =
            QueryError::Unanswered { address: Address::new("h", 1), reason: Lost::Connection };
        assert!(error(&lost).to_string().contains("repeating is safe"));
    }

    #[test]
    fn what_a_newer_release_wrote_is_refused_clearly() {
        let queue = QueueName::new("mail").expect("a name");
        let answer = ["newer", "2"].map(|text| Value::BulkString(text.into())).to_vec();
        let refused = read(Value::Array(answer), &queue).expect_err("newer").to_string();
        assert!(refused.contains("newer release (format 2)"), "{refused}");
        assert!(matches!(read(Value::Int(1), &queue), Err(StoreError::Damaged(_))));
    }
}
