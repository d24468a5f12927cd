//! Why a reading is what it is: for people, and for clean-ups.

use std::time::Duration;

use crate::{
    answer::{ReadError, StaleBecause, State},
    cache::Cache,
    entry::StoredEntry,
    judge::{Compared, Standing, age_of, compare, share_of},
    key::shown,
    shared::{BackOff, CleanedUp, LeaseState, StoreError},
    version::VersionKey,
    widget::Reading,
};

/// Everything that decides about one reading right now.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub key: String,
    /// `None`: nothing usable is stored.
    pub state: Option<State>,
    /// Whether this process would answer without asking the shared tier.
    pub local: bool,
    pub stored: Option<StoredShown>,
    pub stamps: Vec<StampShown>,
    pub lease: Option<LeaseState>,
    pub back_off: Option<BackOff>,
    /// The time of the store, in milliseconds since the epoch.
    pub store_now_ms: u64,
}

/// The entry in the shared tier.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredShown {
    pub age: Duration,
    pub ttl: Duration,
    pub grace: Duration,
    /// Until a read or the scheduler refreshes it; zero when that is due.
    pub refresh_in: Duration,
    pub compute: Duration,
    pub bytes: u64,
    pub raw_bytes: u64,
    pub absent: bool,
}

/// One version the reading depends on, as the entry remembers it and as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct StampShown {
    pub what: String,
    pub version: VersionKey,
    pub holds: bool,
    /// For people: `current`, `changed`, `cleared or missing`, ...
    pub verdict: &'static str,
    /// When and why it changed last, if anything is known.
    pub changed_at_ms: Option<u64>,
    pub cause: Option<String>,
}

impl Cache {
    /// Explains a reading without touching it.
    pub async fn explain(&self, reading: &Reading<'_>) -> Result<Explanation, ReadError> {
        let inner = &self.0;
        let bound = inner.bind(reading)?;
        let at = bound.look_up();
        let capture = inner.node.cells.capture(&bound.versions);
        let sent_at = inner.clock.now();
        let (look, lease) = futures_util::join!(
            inner.shared.look(std::slice::from_ref(&at)),
            inner.shared.lease_state(&bound.key)
        );
        let look = look?.pop().expect("one look for one question");
        let (lease, back_off) = lease?;
        let entry = look.entry.as_ref().and_then(|bytes| StoredEntry::decode(bytes).ok());
        let stamps = entry.as_ref().map_or(&[][..], |entry| &entry.stamps);
        let share = share_of(bound.key.as_str());
        let stamps = bound.versions.iter().zip(&look.versions).enumerate().map(
            |(index, (cell, version))| {
                let key = cell.key();
                let compared = stamps
                    .get(index)
                    .filter(|s| s.key_hash == cell.hash())
                    .map(|s| compare(s, version.as_ref(), look.origins.of(key).incarnation, share));
                let last = version.as_ref().and_then(|version| version.last.as_ref());
                StampShown {
                    what: key.describe().into_owned(),
                    version: key.clone(),
                    holds: compared == Some(Compared::Current),
                    verdict: verdict(compared),
                    changed_at_ms: last.map(|last| last.at_ms),
                    cause: last.map(|last| last.cause.clone()),
                }
            },
        );
        let stamps = stamps.collect();
        let store_now_ms = look.now_ms;
        let stored = entry.map(|entry| {
            let age = age_of(&entry, store_now_ms);
            StoredShown {
                age,
                ttl: entry.lifetimes.ttl,
                grace: entry.lifetimes.grace,
                refresh_in: entry
                    .lifetimes
                    .ttl
                    .saturating_sub(entry.lifetimes.lead)
                    .saturating_sub(age),
                compute: entry.compute,
                bytes: entry.value.len() as u64,
                raw_bytes: entry.raw_len,
                absent: entry.absent,
            }
        });
        let state =
            inner.assess(&bound, look, &capture, sent_at).map(|found| match found.standing {
                Standing::Fresh => State::Fresh,
                Standing::Old(because) => State::Stale(because),
                Standing::Spread => State::Stale(StaleBecause::Spread),
                Standing::Changed => State::Stale(StaleBecause::Change),
            });
        Ok(Explanation {
            key: bound.key.shown().to_owned(),
            state,
            local: inner.holds_locally(bound.key.as_str()),
            stored,
            stamps,
            lease,
            back_off,
            store_now_ms,
        })
    }

    /// Removes expired entries and the leases of dead processes, or only lists what would go.
    pub async fn clean_up(
        &self,
        expired: bool,
        leases: bool,
        dry_run: bool,
    ) -> Result<CleanedUp, StoreError> {
        let mut found = self.0.shared.clean_up(expired, leases, dry_run).await?;
        for key in found.expired.iter_mut().chain(&mut found.dead_leases) {
            *key = shown(key).to_owned();
        }
        Ok(found)
    }
}

fn verdict(compared: Option<Compared>) -> &'static str {
    match compared {
        None => "no entry",
        Some(Compared::Current) => "current",
        Some(Compared::OtherIncarnation) => "held by another incarnation of the store",
        Some(Compared::Spread { .. }) => "changed, waiting for its turn",
        Some(Compared::Changed) => "changed",
        Some(Compared::Gone) => "cleared or missing",
    }
}
