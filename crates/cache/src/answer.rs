//! What a reader gets: a value with its age, tier and state, or a clear error.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use samovar_clock::Instant;

use crate::{
    entry::{Coding, EntryError, Provenance},
    local::Entry,
    shared::StoreError,
    stats::Count,
    widget::ReadingError,
};

/// A value from the cache, or just computed. Cheap to clone.
#[derive(Clone)]
pub struct Answer {
    pub(crate) entry: Arc<Entry>,
    pub(crate) state: State,
    pub(crate) tier: Tier,
    pub(crate) stored: bool,
    pub(crate) read_at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Fresh,
    Stale(StaleBecause),
}

/// Why a value is not fresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StaleBecause {
    /// Its TTL is over; it is being refreshed.
    Age,
    /// Its data changed; recomputing takes longer than the reader would wait, or fails.
    Change,
    /// Its data was declared changed with `over`; its turn has not come.
    Spread,
    /// The store was replaced or restarted: it cannot vouch for the value any more.
    Incarnation,
    /// The store cannot be asked.
    StoreDown,
}

impl StaleBecause {
    /// One word for headers and people.
    pub fn name(self) -> &'static str {
        match self {
            StaleBecause::Age => "age",
            StaleBecause::Change => "change",
            StaleBecause::Spread => "spread",
            StaleBecause::Incarnation => "incarnation",
            StaleBecause::StoreDown => "store-down",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    Local,
    Shared,
    Computed,
}

impl Answer {
    /// The value as the compute returned it. Empty for a negative answer.
    pub fn bytes(&self) -> Result<Bytes, EntryError> {
        let first = self.entry.decoded.get().is_none();
        let bytes = self.entry.decoded()?.clone();
        if first
            && self.entry.coding != Coding::Identity
            && let Some(home) = self.entry.home.upgrade()
        {
            home.reweigh(&self.entry);
        }
        Ok(bytes)
    }

    /// The value as it is stored, ready to be sent to whoever accepts its coding.
    pub fn stored_bytes(&self) -> (&Bytes, Coding) {
        (&self.entry.value, self.entry.coding)
    }

    /// "There is nothing": the compute said so, and that was cached.
    pub fn is_absent(&self) -> bool {
        self.entry.absent
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn is_fresh(&self) -> bool {
        self.state == State::Fresh
    }

    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// False when the store was down or the lease was lost: nobody else will find this value.
    pub fn is_stored(&self) -> bool {
        self.stored
    }

    /// How old the data is: since its stamps were captured, or those of its oldest part.
    pub fn age(&self) -> Duration {
        self.read_at.since(self.entry.as_of)
    }

    pub fn fresh_for(&self) -> Duration {
        match self.state {
            State::Fresh => self.entry.fresh_until.since(self.read_at),
            State::Stale(_) => Duration::ZERO,
        }
    }

    pub fn compute_time(&self) -> Duration {
        self.entry.compute
    }

    /// As its compute said.
    pub fn provenance(&self) -> Provenance {
        self.entry.provenance
    }

    /// The same for equal content, whoever computed it and when.
    pub fn content_hash(&self) -> u64 {
        self.entry.content_hash
    }

    /// Names this value: another one has another, also when their content is equal.
    pub fn commit(&self) -> u64 {
        self.entry.commit
    }

    /// The key as shown to people.
    pub fn key(&self) -> &str {
        self.entry.key.shown()
    }

    /// A hit of the local tier, now that it is served.
    #[inline]
    pub(crate) fn counted(self) -> Self {
        let fresh = self.state == State::Fresh;
        self.entry.row.count(if fresh { Count::LocalHits } else { Count::StaleHits });
        self
    }

    pub(crate) fn stale(mut self, because: StaleBecause) -> Self {
        self.state = State::Stale(because);
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("key", &self.key())
            .field("state", &self.state)
            .field("tier", &self.tier)
            .field("stored", &self.stored)
            .field("age", &self.age())
            .field("bytes", &self.entry.value.len())
            .finish()
    }
}

/// What a compute returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bytes(Bytes),
    /// With where its data was read.
    Read(Bytes, Provenance),
    /// "There is nothing", cached for the class's negative TTL.
    Absent,
}

impl<T: Into<Bytes>> From<T> for Value {
    fn from(bytes: T) -> Self {
        Value::Bytes(bytes.into())
    }
}

/// Why a reader gets no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("the computation failed: {error}")]
    Failed { error: String, retry_after: Duration },
    #[error("the computation failed {failures} times and is retried in {retry_after:?}: {error}")]
    BackingOff { error: String, failures: u32, retry_after: Duration },
    #[error("no value within {waited:?}: somebody is still computing it")]
    Deadline { waited: Duration },
    #[error("the value has {bytes} bytes, at most {limit} are allowed: raise the value limit")]
    TooLarge { bytes: u64, limit: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error("the value is not what was expected: {0}")]
    Typed(String),
}

impl ReadError {
    /// When another attempt may do better, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ReadError::Failed { retry_after, .. } | ReadError::BackingOff { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
