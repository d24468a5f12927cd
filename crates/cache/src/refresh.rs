//! Refreshing on one's own account: for schedulers that know which readings are wanted.

use std::{future::Future, time::Duration};

use crate::{
    answer::{ReadError, Value},
    cache::Cache,
    flight::Role,
    key::shown,
    local::Usable,
    search::Want,
    stats::Count,
    ticket::Parts,
    widget::{Reading, ReadingError},
};

/// When a reading should be refreshed, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is fresh until then.
    In(Duration),
    /// Its lead is reached, it is stale, or only the shared tier can tell.
    Now,
    /// This process holds no value of it.
    Unknown,
}

impl Cache {
    /// The key of a reading as shown to people.
    pub fn key_of(&self, reading: &Reading<'_>) -> Result<String, ReadingError> {
        let mut key = String::new();
        reading.write_key(&self.0.clock, &mut key)?;
        Ok(shown(&key).to_owned())
    }

    /// Looks at the local tier and counts nothing.
    pub fn due(&self, reading: &Reading<'_>) -> Result<Due, ReadingError> {
        let mut key = String::new();
        reading.write_key(&self.0.clock, &mut key)?;
        let now = self.0.clock.now();
        let Some(entry) = self.0.node.local.get(&key) else { return Ok(Due::Unknown) };
        Ok(match entry.judge(now, &self.0.node.cells, self.0.laws) {
            Usable::Fresh => Due::In(entry.refresh_at.since(now)),
            Usable::Spread => Due::In(entry.turn_at.map_or(Duration::ZERO, |at| at.since(now))),
            Usable::Refresh | Usable::Stale | Usable::Ask => Due::Now,
        })
    }

    /// Sees to it that this process holds a fresh value, and one newer than that whose lead is
    /// reached: from the shared tier, or from `compute`. Returns when that is done, or when somebody
    /// else is at it. Counts as a refresh, not as a read.
    pub async fn refresh<C, F, V, E>(
        &self,
        reading: &Reading<'_>,
        compute: C,
    ) -> Result<(), ReadError>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value> + 'static,
        E: std::fmt::Display + 'static,
    {
        self.refresh_composed(reading, |_| compute()).await
    }

    /// [`Cache::refresh`] for a value that is made of other readings.
    pub async fn refresh_composed<C, F, V, E>(
        &self,
        reading: &Reading<'_>,
        compute: C,
    ) -> Result<(), ReadError>
    where
        C: FnOnce(Parts) -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value> + 'static,
        E: std::fmt::Display + 'static,
    {
        let bound = self.0.bind(reading)?;
        let started = self.0.clock.now();
        let lead = match self.0.join(&bound, started) {
            Role::Follow(flight, _) => return self.0.landed(&flight, &bound, started).await,
            Role::Lead(lead) => lead,
        };
        lead.flight.goes_to_background();
        bound.row.count(Count::Refreshes);
        let want = match self.0.node.local.get(bound.key.as_str()) {
            Some(entry) => match entry.judge(started, &self.0.node.cells, self.0.laws) {
                Usable::Refresh | Usable::Stale => Want::Newer { than: entry.commit },
                // Whether it is still good is known to the shared tier.
                Usable::Ask | Usable::Fresh | Usable::Spread => Want::Value,
            },
            None => Want::Value,
        };
        let inner = self.0.clone();
        let flown = Box::pin(inner.fly(lead, bound, want, None, compute));
        self.0.to_its_end(flown).await.unwrap_or(Ok(()))
    }
}
