//! Values of Rust types, stored as JSON.

use std::future::Future;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    answer::{Answer, ReadError, Value},
    cache::Cache,
    widget::Reading,
};

impl Answer {
    /// The value as a type; `None` for a negative answer.
    pub fn json<T: DeserializeOwned>(&self) -> Result<Option<T>, ReadError> {
        if self.is_absent() {
            return Ok(None);
        }
        let parsed = serde_json::from_slice(&self.bytes()?);
        parsed.map(Some).map_err(|error| ReadError::Typed(error.to_string()))
    }
}

impl Value {
    /// A value as JSON, ready to be committed.
    pub fn json<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(Value::from)
    }
}

impl Cache {
    /// [`Cache::get_or_compute`] for a type. `Ok(None)` from `compute` is "there is nothing": it
    /// is cached too, for the class's negative TTL.
    pub async fn get_or_compute_json<T, C, F, E>(
        &self,
        reading: &Reading<'_>,
        compute: C,
    ) -> Result<(Option<T>, Answer), ReadError>
    where
        T: Serialize + DeserializeOwned + Send,
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Option<T>, E>> + Send + 'static,
        E: std::fmt::Display,
    {
        let encoded = || async move {
            match compute().await.map_err(|error| error.to_string())? {
                Some(value) => Value::json(&value).map_err(|error| error.to_string()),
                None => Ok(Value::Absent),
            }
        };
        let answer = self.get_or_compute(reading, encoded).await?;
        Ok((answer.json()?, answer))
    }
}
