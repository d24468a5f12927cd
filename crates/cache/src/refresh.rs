//! Refreshing on one's own account: for schedulers that know which readings are wanted.

use std::{future::Future, time::Duration};

use samovar_clock::Instant;

use crate::{
    answer::{Answer, ReadError, Value},
    cache::Cache,
    flight::{Outcome, Role},
    freshness::RefreshAhead,
    key::shown,
    local::Usable,
    search::{Led, Want},
    stats::Count,
    ticket::{Parts, Ticket},
    widget::{Bound, Reading, ReadingError},
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
    /// Its class is not refreshed ahead.
    Never,
}

/// Who refreshed a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It is fresh in this process now.
    Here,
    /// Somebody else is at it.
    Elsewhere,
}

/// What became of the wish for a newer value.
#[derive(Debug)]
pub enum Turn {
    Compute(Ticket),
    /// Somebody else has made one.
    Answer(Answer),
    /// Somebody else is making one.
    Elsewhere,
}

/// The commit of no entry: any fresh value is newer.
const NONE: u64 = 0;

impl Cache {
    /// The key of a reading as shown to people.
    pub fn key_of(&self, reading: &Reading<'_>) -> Result<String, ReadingError> {
        let mut key = String::new();
        reading.write_key(&self.0.clock, &mut key)?;
        Ok(shown(&key).to_owned())
    }

    /// Looks at the local tier and counts nothing.
    pub fn due(&self, reading: &Reading<'_>) -> Result<Due, ReadingError> {
        if reading.widget.0.freshness.refresh == RefreshAhead::Never {
            return Ok(Due::Never);
        }
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
    /// else is at it. Counts as a refresh, not as a read. Nothing is computed while the store is down,
    /// or while the reading backs off.
    pub async fn refresh<C, F, V, E>(
        &self,
        reading: &Reading<'_>,
        compute: C,
    ) -> Result<Refreshed, ReadError>
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
    ) -> Result<Refreshed, ReadError>
    where
        C: FnOnce(Parts) -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value> + 'static,
        E: std::fmt::Display + 'static,
    {
        let bound = self.0.bind(reading)?;
        let started = self.0.clock.now();
        let lead = match self.0.join(&bound, started) {
            Role::Follow(flight, _) => {
                self.0.landed(&flight, &bound, started).await?;
                return Ok(Refreshed::Elsewhere);
            }
            Role::Lead(lead) => lead,
        };
        lead.flight.goes_to_background();
        bound.row.count(Count::Refreshes);
        let (inner, want) = (self.0.clone(), self.worn_out(&bound, started));
        let flown = Box::pin(inner.fly(lead, bound, want, None, compute));
        match self.0.to_its_end(flown).await {
            Some(Ok(true)) => Ok(Refreshed::Here),
            Some(Ok(false)) | None => Ok(Refreshed::Elsewhere),
            Some(Err(error)) => Err(error),
        }
    }

    /// The right to compute a reading although there may be a fresh value: one newer than `than`, or
    /// than none: then it counts as a read that missed. Waits for nobody, and respects the back-off of a
    /// reading that fails.
    pub async fn begin_newer(
        &self,
        reading: &Reading<'_>,
        than: Option<&Answer>,
    ) -> Result<Turn, ReadError> {
        let want = Want::Newer { than: than.map_or(NONE, |answer| answer.entry.commit) };
        let turn = self.turn(reading, |_, _| want).await?;
        if let (Turn::Compute(ticket), None) = (&turn, than) {
            ticket.row().count(Count::Misses);
        }
        Ok(turn)
    }

    /// The right to make a divided value, see [`Reading::divided`], anew: unless there is another than
    /// the one with the commit `than` of which nothing has moved. Waits for nobody, and is no read.
    pub async fn begin_divided(
        &self,
        reading: &Reading<'_>,
        than: Option<u64>,
    ) -> Result<Turn, ReadError> {
        let want = Want::Newer { than: than.unwrap_or(NONE) };
        self.turn(reading, |_, _| want).await
    }

    /// [`Cache::refresh`] for computes that are not a closure: the right to make a newer value of what
    /// is old, or about to be. Waits for nobody.
    pub async fn begin_refresh(&self, reading: &Reading<'_>) -> Result<Turn, ReadError> {
        let turn = self.turn(reading, |bound, now| self.worn_out(bound, now)).await?;
        if let Turn::Compute(ticket) = &turn {
            ticket.row().count(Count::Refreshes);
        }
        Ok(turn)
    }

    /// What a refresh wants: anything that is fresh, but not what this node holds if its lead is
    /// reached.
    fn worn_out(&self, bound: &Bound, now: Instant) -> Want {
        let than = match self.0.node.local.get(bound.key.as_str()) {
            Some(entry) => match entry.judge(now, &self.0.node.cells, self.0.laws) {
                Usable::Refresh | Usable::Stale => entry.commit,
                // Whether it is still good is known to the shared tier.
                Usable::Ask | Usable::Fresh | Usable::Spread => NONE,
            },
            None => NONE,
        };
        Want::Newer { than }
    }

    async fn turn(
        &self,
        reading: &Reading<'_>,
        want: impl FnOnce(&Bound, Instant) -> Want,
    ) -> Result<Turn, ReadError> {
        let bound = self.0.bind(reading)?;
        let started = self.0.clock.now();
        let Role::Lead(lead) = self.0.join(&bound, started) else { return Ok(Turn::Elsewhere) };
        lead.flight.goes_to_background();
        let want = want(&bound, started);
        let leading = Box::pin(self.0.clone().lead(lead, bound, want, started, None));
        Ok(match self.0.to_its_end(leading).await {
            Some(Led::Compute(ticket)) => Turn::Compute(*ticket),
            Some(Led::Done(Outcome::Answer(answer, _))) => Turn::Answer(answer),
            Some(Led::Done(Outcome::Failed(error))) => return Err(error),
            Some(Led::Done(Outcome::Again)) | None => Turn::Elsewhere,
        })
    }
}
