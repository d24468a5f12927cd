//! What one simulated server holds, and the operations that are atomic there.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::StoreLaw;
use crate::{
    entry::commit_of,
    shared::{BackOff, Begin, Begun, CleanedUp, Commit, Failure, Invalidate, LeaseState, Release},
    version::{Change, Ids, Version, VersionKey},
};

#[derive(Clone, Debug, Default)]
pub(super) struct Keyspace {
    entries: BTreeMap<String, (Bytes, u64)>,
    versions: BTreeMap<String, (Version, u64)>,
    leases: BTreeMap<String, Lease>,
    back_offs: BTreeMap<String, Failed>,
}

#[derive(Clone, Debug)]
struct Lease {
    token: u64,
    node: u64,
    until_ms: u64,
    waited: bool,
}

#[derive(Clone, Debug)]
struct Failed {
    failures: u32,
    until_ms: u64,
    error: String,
}

/// The count of failures outlives the wait by this long.
const REMEMBER_FAILURES_MS: u64 = 600_000;

/// What a script would say to a begin, before the versions of the other scope are known.
pub(super) enum Leased {
    Won(Vec<Version>),
    Not(Begun),
}

impl Keyspace {
    pub(super) fn entry(&self, key: &str, now_ms: u64) -> Option<Bytes> {
        self.entries.get(key).filter(|(_, until)| *until > now_ms).map(|(value, _)| value.clone())
    }

    pub(super) fn version(&self, key: &VersionKey, now_ms: u64) -> Option<Version> {
        let found = self.versions.get(key.as_str()).filter(|(_, until)| *until > now_ms);
        found.map(|(version, _)| version.clone())
    }

    pub(super) fn lease_for(
        &mut self,
        begin: &Begin,
        own: &[(&VersionKey, Ids)],
        now_ms: u64,
        law: Option<StoreLaw>,
    ) -> Leased {
        let key = begin.at.entry.as_str();
        if let Some(lease) = self.leases.get_mut(key).filter(|lease| lease.until_ms > now_ms) {
            lease.waited = true;
            let left = Duration::from_millis(lease.until_ms - now_ms);
            return Leased::Not(Begun::Busy { left });
        }
        if !begin.force {
            if let Some(back_off) = self.back_off(key, now_ms) {
                return Leased::Not(Begun::BackOff(back_off));
            }
            let entry = self.entry(key, now_ms);
            let commit = entry.as_deref().and_then(commit_of);
            if commit != begin.seen {
                return Leased::Not(Begun::Changed);
            }
        }
        let lease = Lease {
            token: begin.token,
            node: begin.node,
            until_ms: now_ms + millis(begin.lease),
            waited: false,
        };
        self.leases.insert(key.to_owned(), lease);
        Leased::Won(self.ensure(own, millis(begin.keep), now_ms, law))
    }

    /// Makes missing versions, lengthens the life of the others.
    pub(super) fn ensure(
        &mut self,
        keys: &[(&VersionKey, Ids)],
        keep_ms: u64,
        now_ms: u64,
        law: Option<StoreLaw>,
    ) -> Vec<Version> {
        let ensure = |(key, ids): &(&VersionKey, Ids)| {
            let first = match law {
                Some(StoreLaw::UniqueVersions) => Ids { change: 1, clear: 1 },
                _ => *ids,
            };
            let slot = self.versions.entry(key.as_str().to_owned());
            let held = slot.or_insert_with(|| (Version::new(first), 0));
            if held.1 <= now_ms {
                held.0 = Version::new(first);
            }
            held.1 = held.1.max(now_ms + keep_ms);
            held.0.clone()
        };
        keys.iter().map(ensure).collect()
    }

    pub(super) fn lengthen(&mut self, keys: &[&VersionKey], keep_ms: u64, now_ms: u64) {
        for key in keys {
            if let Some(held) = self.versions.get_mut(key.as_str()).filter(|held| held.1 > now_ms) {
                held.1 = held.1.max(now_ms + keep_ms);
            }
        }
    }

    pub(super) fn renew(&mut self, key: &str, token: u64, lease: Duration, now_ms: u64) -> bool {
        match self.held(key, token, now_ms) {
            Some(held) => {
                held.until_ms = now_ms + millis(lease);
                true
            }
            None => false,
        }
    }

    /// Whether the value landed, and whether somebody waits for the lease.
    pub(super) fn land(
        &mut self,
        commit: &Commit,
        now_ms: u64,
        law: Option<StoreLaw>,
    ) -> Option<bool> {
        let key = commit.at.entry.as_str();
        let held = self.held(key, commit.token, now_ms).map(|lease| lease.waited);
        let waited = match law {
            Some(StoreLaw::TokenAtCommit) => held.unwrap_or(false),
            _ => held?,
        };
        self.entries.insert(key.to_owned(), (commit.value.clone(), now_ms + millis(commit.life)));
        self.leases.remove(key);
        self.back_offs.remove(key);
        Some(waited)
    }

    /// Whether somebody waits for the lease that was given back.
    pub(super) fn release(&mut self, release: &Release, now_ms: u64) -> bool {
        let key = release.entry.as_str();
        let Some(waited) = self.held(key, release.token, now_ms).map(|lease| lease.waited) else {
            return false;
        };
        self.leases.remove(key);
        if let Some(failure) = &release.failure {
            self.fail(key, failure, now_ms);
        }
        waited
    }

    fn fail(&mut self, key: &str, failure: &Failure, now_ms: u64) {
        let known = self.back_offs.get(key);
        let known = known.filter(|failed| failed.until_ms + REMEMBER_FAILURES_MS > now_ms);
        let failures = known.map_or(0, |failed| failed.failures) + 1;
        let until_ms = now_ms + millis(failure.wait(failures));
        let failed = Failed { failures, until_ms, error: failure.error.clone() };
        self.back_offs.insert(key.to_owned(), failed);
    }

    /// The news for those who listen: all that was named, also what is missing here.
    pub(super) fn invalidate(
        &mut self,
        invalidate: &Invalidate,
        now_ms: u64,
        law: Option<StoreLaw>,
    ) -> Vec<(String, u64, Option<u64>)> {
        let mut news = Vec::new();
        for new in &invalidate.changes {
            let key = new.key.as_str();
            let (mut change, mut clear) = (new.change, new.clear);
            if let Some((version, _)) = self.versions.get_mut(key).filter(|held| held.1 > now_ms) {
                if law == Some(StoreLaw::UniqueVersions) {
                    change = version.ids.change + 1;
                    clear = clear.map(|_| version.ids.clear + 1);
                }
                version.last = Some(Change {
                    replaced: version.ids.change,
                    at_ms: now_ms,
                    spread_ms: millis(invalidate.spread),
                    cause: invalidate.cause.clone(),
                });
                version.ids = Ids { change, clear: clear.unwrap_or(version.ids.clear) };
            }
            news.push((key.to_owned(), change, clear));
        }
        news
    }

    pub(super) fn drop_entry(&mut self, key: &str) {
        self.entries.remove(key);
        self.leases.remove(key);
        self.back_offs.remove(key);
    }

    pub(super) fn evict_seen(&mut self, key: &str, commit: u64) {
        if self.entries.get(key).is_some_and(|(value, _)| commit_of(value) == Some(commit)) {
            self.entries.remove(key);
        }
    }

    pub(super) fn lease_state(&self, key: &str, now_ms: u64) -> Option<LeaseState> {
        let lease = self.leases.get(key).filter(|lease| lease.until_ms > now_ms)?;
        let left = Duration::from_millis(lease.until_ms - now_ms);
        Some(LeaseState { token: lease.token, node: lease.node, left })
    }

    pub(super) fn back_off(&self, key: &str, now_ms: u64) -> Option<BackOff> {
        let failed = self.back_offs.get(key).filter(|failed| failed.until_ms > now_ms)?;
        Some(BackOff {
            left: Duration::from_millis(failed.until_ms - now_ms),
            failures: failed.failures,
            error: failed.error.clone(),
        })
    }

    pub(super) fn clean_up(
        &mut self,
        (expired, leases, dry_run): (bool, bool, bool),
        alive: &[u64],
        now_ms: u64,
        found: &mut CleanedUp,
    ) {
        if expired {
            for (key, (value, until)) in &self.entries {
                if *until <= now_ms {
                    found.expired.push(key.clone());
                    found.expired_bytes += value.len() as u64;
                }
            }
        }
        if leases {
            let dead = |lease: &Lease| lease.until_ms > now_ms && !alive.contains(&lease.node);
            let keys = self.leases.iter().filter(|(_, lease)| dead(lease)).map(|(key, _)| key);
            found.dead_leases.extend(keys.cloned());
            if !dry_run {
                self.leases.retain(|_, lease| !dead(lease));
            }
        }
        if expired && !dry_run {
            self.entries.retain(|_, (_, until)| *until > now_ms);
        }
    }

    /// Loses the `nth` key, as a server under memory pressure would.
    pub(super) fn evict(&mut self, nth: u64) {
        let count = (self.versions.len() + self.entries.len()) as u64;
        if count == 0 {
            return;
        }
        let nth = (nth % count) as usize;
        if let Some(key) = self.versions.keys().chain(self.entries.keys()).nth(nth).cloned() {
            self.versions.remove(&key);
            self.entries.remove(&key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.versions.len() + self.leases.len() + self.back_offs.len()
    }

    fn held(&mut self, key: &str, token: u64, now_ms: u64) -> Option<&mut Lease> {
        self.leases.get_mut(key).filter(|lease| lease.token == token && lease.until_ms > now_ms)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
