//! The shared tier: entries, versions, leases and back-offs, each operation atomic at the master
//! that holds the tenant.
//!
//! A closed set of three: SQLite in this process, Redis, and the simulation. All pass one
//! conformance suite. Decisions are made elsewhere: a store compares tokens, nothing more.

#[cfg(test)]
mod conformance;
mod embedded;
mod message;
mod redis;
#[cfg(feature = "simulation")]
pub mod simulated;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use samovar_clock::Instant;
use samovar_store::Trust;

pub(crate) use self::{embedded::EmbeddedTier, message::Message, redis::RedisTier};
use crate::{
    key::EntryKey,
    version::{Ids, Version, VersionKey},
};

#[derive(Debug)]
pub(crate) enum Shared {
    Embedded(EmbeddedTier),
    Redis(RedisTier),
    #[cfg(feature = "simulation")]
    Simulated(simulated::Connection),
}

/// Where a reply came from, and how long what this master holds may be believed unasked.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) incarnation: u64,
    pub(crate) trust: Arc<Trust>,
}

/// The masters of one reading: the tenant's, and the one that holds what all tenants share.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    pub(crate) tenant: Origin,
    pub(crate) global: Origin,
}

impl Origins {
    pub(crate) fn of(&self, key: &VersionKey) -> &Origin {
        if key.is_global() { &self.global } else { &self.tenant }
    }

    /// Whether everything that these masters had published a bound ago has been heard.
    pub(crate) fn trusted(&self, now: Instant) -> bool {
        self.tenant.trust.holds(now) && self.global.trust.holds(now)
    }
}

/// What one look at the shared tier asks for.
#[derive(Clone, Debug)]
pub(crate) struct LookUp {
    pub(crate) entry: EntryKey,
    /// None for a look at the entry alone.
    pub(crate) versions: Arc<[VersionKey]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) entry: Option<Bytes>,
    /// In the order they were asked for; `None` is missing.
    pub(crate) versions: Vec<Option<Version>>,
    pub(crate) origins: Origins,
    /// The time of the tenant's master.
    pub(crate) now_ms: u64,
}

/// Asks for the lease of a reading, and for the versions its value will be stamped with.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub(crate) at: LookUp,
    pub(crate) token: u64,
    /// Names the process, so that a clean-up can tell a dead one's leases.
    pub(crate) node: u64,
    pub(crate) lease: Duration,
    /// The commit of the entry the caller decided upon; if there is another by now, nobody should
    /// compute.
    pub(crate) seen: Option<u64>,
    /// For versions that are missing: made by the client, set if absent.
    pub(crate) fresh: Vec<Ids>,
    /// Versions live at least this long from now.
    pub(crate) keep: Duration,
    /// Computes although the reading backs off: somebody asked for it.
    pub(crate) force: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Begun {
    Won(Won),
    /// Somebody else computes, for so long at most unless they renew.
    Busy {
        left: Duration,
    },
    /// Somebody else has committed since the caller looked.
    Changed,
    /// The last compute failed and it is too early for another.
    BackOff(BackOff),
}

#[derive(Clone, Debug)]
pub(crate) struct Won {
    /// In the order of the keys: none is missing.
    pub(crate) versions: Vec<Version>,
    pub(crate) origins: Origins,
    pub(crate) now_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackOff {
    pub left: Duration,
    pub failures: u32,
    pub error: String,
}

/// Lands a value while the lease is still the writer's.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) at: LookUp,
    pub(crate) token: u64,
    pub(crate) value: Bytes,
    /// The entry is gone after this.
    pub(crate) life: Duration,
    pub(crate) keep: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Committed {
    /// With the versions as they are now, if all masters were heard.
    Stored { versions: Option<Vec<Option<Version>>> },
    /// The lease is another's or nobody's: nothing was written.
    Lost,
}

/// Gives a lease back without a value.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) entry: EntryKey,
    pub(crate) token: u64,
    /// Set when the compute failed.
    pub(crate) failure: Option<Failure>,
}

/// How long the next compute has to wait: `first × 2^failures`, at most `longest`.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: String,
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Failure {
    /// The one formula; the script repeats it.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
        (self.first * doubled).min(self.longest)
    }
}

/// Replaces ids of versions that exist. A missing one already means "stale", so nothing is made.
#[derive(Clone, Debug)]
pub(crate) struct Invalidate {
    /// All of one scope: of one tenant, or global.
    pub(crate) changes: Vec<NewIds>,
    pub(crate) spread: Duration,
    pub(crate) cause: String,
}

#[derive(Clone, Debug)]
pub(crate) struct NewIds {
    pub(crate) key: VersionKey,
    pub(crate) change: u64,
    /// Set by `clear`: old values may not be served any more, not even marked stale.
    pub(crate) clear: Option<u64>,
}

/// What a clean-up found, and removed unless it was a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanedUp {
    /// Entries past their grace.
    pub expired: Vec<String>,
    pub expired_bytes: u64,
    /// Leases whose process is gone.
    pub dead_leases: Vec<String>,
    /// Found beyond what is listed by name.
    pub unlisted: u64,
}

/// A lease as `why` and the clean-up show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    pub token: u64,
    pub node: u64,
    pub left: Duration,
}

/// The state of the store behind the shared tier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreState {
    pub kind: &'static str,
    pub connected: bool,
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub keys: Option<u64>,
    pub expired: Option<u64>,
    pub evicted: Option<u64>,
    pub reconnects: u64,
    /// What an operator should know, such as a missing `min-replicas-to-write`.
    pub warnings: Vec<String>,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was done.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It may have been done.
    #[error("the store did not answer: {0}")]
    Unanswered(String),
    #[error("the store refused: {0}")]
    Refused(String),
}

/// Sends the same operation to whichever store this is.
macro_rules! each {
    ($self:expr, $tier:ident => $call:expr) => {
        match $self {
            Shared::Embedded($tier) => $call,
            Shared::Redis($tier) => $call,
            #[cfg(feature = "simulation")]
            Shared::Simulated($tier) => $call,
        }
    };
}

impl Shared {
    /// The masters of this reading as they are now, if all are connected.
    pub(crate) fn origins(&self, entry: &EntryKey) -> Option<Origins> {
        each!(self, tier => tier.origins(entry))
    }

    /// Entries and versions, in one wait however many there are.
    pub(crate) async fn look(&self, at: &[LookUp]) -> Result<Vec<Look>, StoreError> {
        each!(self, tier => tier.look(at).await)
    }

    pub(crate) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        each!(self, tier => tier.begin(begin).await)
    }

    /// Whether the lease is still the caller's; if so it lasts `lease` from now.
    pub(crate) async fn renew(
        &self,
        entry: &EntryKey,
        token: u64,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        each!(self, tier => tier.renew(entry, token, lease).await)
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        each!(self, tier => tier.commit(commit).await)
    }

    pub(crate) async fn release(&self, release: Release) -> Result<(), StoreError> {
        each!(self, tier => tier.release(release).await)
    }

    /// Returns when the store has done it and every listener has been sent the news.
    pub(crate) async fn invalidate(&self, invalidate: Invalidate) -> Result<(), StoreError> {
        each!(self, tier => tier.invalidate(invalidate).await)
    }

    /// Removes one entry, its lease and its back-off.
    pub(crate) async fn drop_entry(&self, entry: &EntryKey) -> Result<(), StoreError> {
        each!(self, tier => tier.drop_entry(entry).await)
    }

    /// Removes entries that still have these commits, and nothing else; nobody is told.
    pub(crate) async fn evict(&self, entries: &[(EntryKey, u64)]) -> Result<(), StoreError> {
        each!(self, tier => tier.evict(entries).await)
    }

    pub(crate) async fn lease_state(
        &self,
        entry: &EntryKey,
    ) -> Result<(Option<LeaseState>, Option<BackOff>), StoreError> {
        each!(self, tier => tier.lease_state(entry).await)
    }

    pub(crate) async fn clean_up(
        &self,
        expired: bool,
        leases: bool,
        dry_run: bool,
    ) -> Result<CleanedUp, StoreError> {
        each!(self, tier => tier.clean_up(expired, leases, dry_run).await)
    }

    pub(crate) async fn state(&self) -> StoreState {
        each!(self, tier => tier.state().await)
    }

    pub(crate) async fn close(&self) {
        each!(self, tier => tier.close().await);
    }
}
