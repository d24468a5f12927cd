//! What an entry from the shared tier is worth, decided from its stamps, the versions that came
//! with it, and the store's time. Pure but for telling the cells what was seen.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use samovar_clock::Instant;

use crate::{
    StaleBecause,
    cache::Inner,
    cells::Capture,
    entry::{Stamp, StoredEntry},
    freshness::Lifetimes,
    laws::Law,
    local::{Entry, LocalStamp},
    shared::{Look, Origin, Origins},
    version::{Ids, Version},
    widget::Bound,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    Fresh,
    /// Stale, but nothing says that its data changed: served at once, refreshed behind.
    Old(StaleBecause),
    /// Declared changed with a spread; its turn has not come.
    Spread,
    /// Its data changed: recomputed first.
    Changed,
}

#[derive(Debug)]
pub(crate) struct Assessed {
    pub(crate) entry: Arc<Entry>,
    pub(crate) standing: Standing,
    /// Nothing newer was heard while it was on its way: the local tier may hold it.
    pub(crate) keepable: bool,
}

/// What a comparison of stamps with current versions says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compared {
    Current,
    /// The versions are equal, but their master is not the one that held them.
    OtherIncarnation,
    /// Replaced with a spread; the entry's turn is at this time of the store.
    Spread {
        turn_ms: u64,
    },
    Changed,
    /// Cleared, or its version is missing: not to be served at all.
    Gone,
}

/// One stamp against what the store holds. `share` is the entry's place in a spread, in `[0, 1)`.
pub(crate) fn compare(
    stamp: &Stamp,
    current: Option<&Version>,
    incarnation: u64,
    share: f64,
) -> Compared {
    let Some(current) = current else { return Compared::Gone };
    if current.ids.clear != stamp.clear {
        return Compared::Gone;
    }
    if current.ids.change == stamp.change {
        return if incarnation == stamp.incarnation {
            Compared::Current
        } else {
            Compared::OtherIncarnation
        };
    }
    match &current.last {
        Some(last) if last.spread_ms > 0 && last.replaced == stamp.change => {
            let wait = (last.spread_ms as f64 * share) as u64;
            Compared::Spread { turn_ms: last.at_ms.saturating_add(wait) }
        }
        _ => Compared::Changed,
    }
}

/// The stamps of an entry, each against what the store holds.
pub(crate) fn compare_all<'l>(
    bound: &Bound,
    stored: &'l StoredEntry,
    versions: &'l [Option<Version>],
    capture: &'l Capture,
    origins: &'l Origins,
) -> impl Iterator<Item = Compared> + 'l {
    let share = share_of(bound.key.as_str());
    stored.stamps.iter().zip(versions).zip(capture.cells().iter()).map(
        move |((stamp, version), cell)| {
            compare(stamp, version.as_ref(), origins.of(cell.key()).incarnation, share)
        },
    )
}

/// All stamps together with the entry's age; `None` when it is past all use.
fn stand(
    compared: impl Iterator<Item = Compared>,
    age: Duration,
    lifetimes: Lifetimes,
    now_ms: u64,
) -> Option<(Standing, Option<u64>)> {
    let (mut changed, mut other, mut turn) = (false, false, None::<u64>);
    for compared in compared {
        match compared {
            Compared::Current => {}
            Compared::OtherIncarnation => other = true,
            Compared::Spread { turn_ms } => turn = Some(turn.map_or(turn_ms, |t| t.min(turn_ms))),
            Compared::Changed => changed = true,
            Compared::Gone => return None,
        }
    }
    if age >= lifetimes.ttl + lifetimes.grace {
        return None;
    }
    let standing = match turn {
        _ if changed => Standing::Changed,
        Some(turn) if turn <= now_ms => Standing::Changed,
        _ if other => Standing::Old(StaleBecause::Incarnation),
        Some(_) => Standing::Spread,
        None if age >= lifetimes.ttl => Standing::Old(StaleBecause::Age),
        None => Standing::Fresh,
    };
    Some((standing, turn))
}

/// Where in a spread an entry's turn is: always the same for the same key.
pub(crate) fn share_of(key: &str) -> f64 {
    (xxhash_rust::xxh3::xxh3_64(key.as_bytes()) >> 11) as f64 / (1u64 << 53) as f64
}

/// The age by the store's clock. One that steps back makes entries old, never young.
pub(crate) fn age_of(stored: &StoredEntry, now_ms: u64) -> Duration {
    match now_ms.checked_sub(stored.as_of_ms) {
        Some(age_ms) => Duration::from_millis(age_ms),
        None => stored.lifetimes.ttl,
    }
}

/// What an entry is worth that was read without asking for its versions.
#[derive(Debug)]
pub(crate) enum Recognised {
    /// As good as if they had been asked for.
    Known(Option<Assessed>),
    /// Its stamps are not those that this node knows: either may be the newer.
    Unsure,
}

/// A comparison of stamps, and all that it was made with.
struct Judged<'a> {
    stored: &'a StoredEntry,
    capture: &'a Capture,
    steps: Vec<u64>,
    origins: &'a Origins,
    now_ms: u64,
    sent_at: Instant,
}

impl Inner {
    /// Tells the cells what the store said, and judges the entry. `None`: nothing usable.
    pub(crate) fn assess(
        &self,
        bound: &Bound,
        look: Look,
        capture: &Capture,
        sent_at: Instant,
    ) -> Option<Assessed> {
        let said: Vec<Option<Ids>> =
            look.versions.iter().map(|version| version.as_ref().map(|v| v.ids)).collect();
        let steps = self.node.cells.observe(capture, &said, Some((&look.origins, sent_at)));
        let (origins, now_ms) = (&look.origins, look.now_ms);
        let stored = self.decode(bound, look.entry, capture)?;
        let compared = compare_all(bound, &stored, &look.versions, capture, origins);
        let judged = Judged { stored: &stored, capture, steps, origins, now_ms, sent_at };
        self.assessed(bound, judged, compared)
    }

    /// Judges an entry that came without versions by what trusted listeners vouch for, which is
    /// also what lets an entry of the local tier be served unasked.
    pub(crate) fn recognise(
        &self,
        bound: &Bound,
        look: Look,
        capture: &Capture,
        global: Origin,
        sent_at: Instant,
    ) -> Recognised {
        let origins = &Origins { tenant: look.origins.tenant, global };
        let Some(stored) = self.decode(bound, look.entry, capture) else {
            return Recognised::Known(None);
        };
        let Some(steps) = capture.vouch_for(&stored.stamps, origins, sent_at, self.laws) else {
            return Recognised::Unsure;
        };
        let compared = std::iter::repeat_n(Compared::Current, steps.len());
        let judged =
            Judged { stored: &stored, capture, steps, origins, now_ms: look.now_ms, sent_at };
        Recognised::Known(self.assessed(bound, judged, compared))
    }

    /// The stored entry, if it is one, and of these versions.
    pub(crate) fn decode(
        &self,
        bound: &Bound,
        entry: Option<Bytes>,
        capture: &Capture,
    ) -> Option<StoredEntry> {
        match StoredEntry::decode(&entry?) {
            Ok(stored) => capture.cells().fit(&stored.stamps).then_some(stored),
            Err(error) => {
                tracing::warn!(key = bound.key.shown(), %error, "a stored entry is unreadable");
                None
            }
        }
    }

    /// The entry as one of this node's, unless it is past all use.
    fn assessed(
        &self,
        bound: &Bound,
        judged: Judged<'_>,
        compared: impl Iterator<Item = Compared>,
    ) -> Option<Assessed> {
        let Judged { stored, capture, steps, origins, now_ms, sent_at } = judged;
        let age = age_of(stored, now_ms);
        let (standing, turn_ms) = stand(compared, age, stored.lifetimes, now_ms)?;
        let turn_at = match standing {
            Standing::Spread => {
                turn_ms.map(|turn| sent_at + Duration::from_millis(turn.saturating_sub(now_ms)))
            }
            _ => None,
        };
        let keepable = steps.iter().all(|step| *step != 0)
            && matches!(
                standing,
                Standing::Fresh | Standing::Spread | Standing::Old(StaleBecause::Age)
            );
        let entry = self.localize(bound, stored, origins, capture, &steps, sent_at - age, turn_at);
        Some(Assessed { entry, standing, keepable })
    }

    /// Turns a stored entry into one of this node, with deadlines of its boot clock.
    #[expect(clippy::too_many_arguments, reason = "each is one fact about one entry")]
    pub(crate) fn localize(
        &self,
        bound: &Bound,
        stored: &StoredEntry,
        origins: &Origins,
        capture: &Capture,
        steps: &[u64],
        as_of: Instant,
        turn_at: Option<Instant>,
    ) -> Arc<Entry> {
        let stamps = steps.iter().zip(&stored.stamps);
        let global =
            if self.laws.hold(Law::HeartbeatPerMaster) { &origins.global } else { &origins.tenant };
        let Lifetimes { ttl, grace, lead } = stored.lifetimes;
        let keeper = &self.node.local.keeper;
        let make = || Entry {
            key: bound.key.clone(),
            commit: stored.commit,
            absent: stored.absent,
            as_of,
            refresh_at: as_of + ttl.saturating_sub(lead),
            fresh_until: as_of + ttl,
            stale_until: as_of + ttl + grace,
            turn_at,
            compute: stored.compute,
            provenance: stored.provenance,
            content_hash: stored.content_hash,
            versions: capture.cells().clone(),
            stamps: stamps.map(|(step, stamp)| LocalStamp { step: *step, stamp: *stamp }).collect(),
            trusts: [origins.tenant.trust.clone(), global.trust.clone()],
            value: keeper.own_bytes(&stored.value),
            coding: stored.coding,
            raw_len: stored.raw_len,
            decoded: OnceLock::new(),
            row: bound.row.clone(),
            home: Arc::downgrade(&self.node.local),
            refresh_after: AtomicU64::new(0),
            verified_at: AtomicU64::new(0),
            weighed: AtomicU64::new(0),
        };
        keeper.keep(|| Arc::new(make()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Change;

    const STAMP: Stamp = Stamp { key_hash: 0, change: 1, clear: 5, incarnation: 7 };
    const LIFE: Lifetimes = Lifetimes {
        ttl: Duration::from_secs(60),
        grace: Duration::from_secs(30),
        lead: Duration::from_secs(5),
    };

    fn version(change: u64, clear: u64) -> Version {
        Version::new(Ids { change, clear })
    }

    fn spread(replaced: u64) -> Version {
        let last = Change { replaced, at_ms: 1000, spread_ms: 100, cause: String::new() };
        Version { ids: Ids { change: 2, clear: 5 }, last: Some(last) }
    }

    #[test]
    fn a_stamp_is_current_only_under_the_same_ids_and_the_same_incarnation() {
        let compare =
            |version: Option<&Version>, incarnation| compare(&STAMP, version, incarnation, 0.5);
        assert_eq!(compare(Some(&version(1, 5)), 7), Compared::Current);
        assert_eq!(compare(Some(&version(1, 5)), 8), Compared::OtherIncarnation);
        assert_eq!(compare(Some(&version(2, 5)), 7), Compared::Changed);
        assert_eq!(compare(Some(&version(1, 6)), 7), Compared::Gone);
        assert_eq!(compare(None, 7), Compared::Gone);
        assert_eq!(compare(Some(&spread(1)), 7), Compared::Spread { turn_ms: 1050 });
        assert_eq!(compare(Some(&spread(9)), 7), Compared::Changed, "changed before the spread");
    }

    #[test]
    fn the_worst_stamp_decides() {
        let judge = |compared: &[Compared], age, now_ms| {
            stand(compared.iter().copied(), Duration::from_secs(age), LIFE, now_ms)
                .map(|(standing, _)| standing)
        };
        use Compared::{Changed, Current, Gone, OtherIncarnation, Spread};
        let old = Standing::Old(StaleBecause::Age);
        let other = Standing::Old(StaleBecause::Incarnation);
        assert_eq!(judge(&[Current], 59, 0), Some(Standing::Fresh));
        assert_eq!(judge(&[Current], 60, 0), Some(old));
        assert_eq!(judge(&[Current], 90, 0), None);
        assert_eq!(judge(&[OtherIncarnation, Current], 0, 0), Some(other));
        assert_eq!(judge(&[OtherIncarnation, Changed], 0, 0), Some(Standing::Changed));
        assert_eq!(judge(&[Changed, Gone], 0, 0), None);
        assert_eq!(judge(&[Spread { turn_ms: 10 }], 0, 9), Some(Standing::Spread));
        assert_eq!(judge(&[Spread { turn_ms: 10 }], 70, 9), Some(Standing::Spread));
        assert_eq!(judge(&[Spread { turn_ms: 10 }], 0, 10), Some(Standing::Changed));
        assert_eq!(
            judge(&[Spread { turn_ms: 90 }, Spread { turn_ms: 10 }], 0, 50),
            Some(Standing::Changed),
            "the earliest turn counts"
        );
    }
}
