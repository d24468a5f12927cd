//! The local tier: entries in this process, bounded by bytes.
//!
//! A hit is one look-up, a few comparisons with the boot clock, and, when anything has changed
//! since the entry was last looked at, one comparison for each of its versions.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use foldhash::{SharedSeed, fast::SeedableRandomState};
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache as Map, DefaultLifecycle, EntryAction},
};
use samovar_clock::Instant;
use samovar_store::Trust;

use crate::{
    cells::{Cell, Cells, Dependencies},
    codec::decompress,
    entry::{Coding, EntryError, Provenance, Stamp},
    keeper::Keeper,
    key::EntryKey,
    laws::{Law, Laws},
    stats::Row,
};

/// An entry as this node holds it, its store times turned into deadlines of the boot clock.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: EntryKey,
    pub(crate) commit: u64,
    pub(crate) absent: bool,
    pub(crate) as_of: Instant,
    pub(crate) refresh_at: Instant,
    pub(crate) fresh_until: Instant,
    pub(crate) stale_until: Instant,
    /// Stale at once by an invalidation that is spread; it may be served until its turn.
    pub(crate) turn_at: Option<Instant>,
    pub(crate) compute: Duration,
    pub(crate) provenance: Provenance,
    pub(crate) content_hash: u64,
    pub(crate) versions: Dependencies,
    /// In the order of the versions.
    pub(crate) stamps: Box<[LocalStamp]>,
    /// Of the tenant's master and of the global one.
    pub(crate) trusts: [Arc<Trust>; 2],
    pub(crate) value: Bytes,
    pub(crate) coding: Coding,
    pub(crate) raw_len: u64,
    pub(crate) decoded: OnceLock<Bytes>,
    pub(crate) row: Arc<Row>,
    /// Where its weight is counted. Weak: the tier holds the entry, not the other way round.
    pub(crate) home: Weak<Local>,
    /// Boot nanoseconds before which nobody on this node asks for a refresh again.
    pub(crate) refresh_after: AtomicU64,
    /// The count of moves at which the stamps were last seen to hold.
    pub(crate) verified_at: AtomicU64,
    /// Its weight as the map has counted it. A weight that grew inside of the map by itself would
    /// be subtracted as what it never added.
    pub(crate) weighed: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct LocalStamp {
    /// 0 never holds: something newer was heard while the entry was on its way.
    pub(crate) step: u64,
    pub(crate) stamp: Stamp,
}

/// What the local tier may do with an entry by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Usable {
    Fresh,
    /// Fresh, and the lead of its refresh is reached.
    Refresh,
    /// Past its TTL, within its grace.
    Stale,
    /// Stale by a spread invalidation whose turn has not come.
    Spread,
    /// Only the shared tier can tell.
    Ask,
}

impl Entry {
    #[inline]
    pub(crate) fn judge(&self, now: Instant, cells: &Cells, laws: Laws) -> Usable {
        let trusted = self.trusts.iter().all(|trust| trust.holds(now));
        if !trusted && laws.hold(Law::SilenceEndsTrust) {
            return Usable::Ask;
        }
        // Loaded before the cells: a step that comes after is counted after.
        let moves = cells.moves();
        if self.verified_at.load(Ordering::Relaxed) != moves {
            if !self.unmoved() {
                return Usable::Ask;
            }
            self.verified_at.store(moves, Ordering::Relaxed);
        }
        match self.turn_at {
            None if now < self.refresh_at => Usable::Fresh,
            None if now < self.fresh_until => Usable::Refresh,
            None if now < self.stale_until => Usable::Stale,
            Some(turn) if now < turn && now < self.stale_until => Usable::Spread,
            _ => Usable::Ask,
        }
    }

    /// Whether no version has changed since, as far as was heard.
    pub(crate) fn unmoved(&self) -> bool {
        self.versions.iter().zip(&self.stamps).all(|(cell, stamp)| cell.step() == stamp.step)
    }

    /// True for one caller at a time: the one that should refresh. Others may try again later, or
    /// when a failed refresh says so.
    pub(crate) fn claim_refresh(&self, now: Instant) -> bool {
        const AGAIN: Duration = Duration::from_secs(1);
        let claim = |after: u64| (after <= now.as_nanos()).then_some((now + AGAIN).as_nanos());
        self.refresh_after.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim).is_ok()
    }

    pub(crate) fn refresh_not_before(&self, at: Instant) {
        self.refresh_after.fetch_max(at.as_nanos(), Ordering::AcqRel);
    }

    /// Whether nothing that is known here forbids serving the value marked stale.
    pub(crate) fn may_serve_stale(&self, now: Instant) -> bool {
        let mut stamps = self.versions.iter().zip(&self.stamps);
        now < self.stale_until
            && !stamps.any(|(cell, stamp)| cell.may_be_cleared(stamp.stamp.clear))
    }

    /// The value as the compute returned it.
    pub(crate) fn decoded(&self) -> Result<&Bytes, EntryError> {
        if self.coding == Coding::Identity {
            return Ok(&self.value);
        }
        if let Some(decoded) = self.decoded.get() {
            return Ok(decoded);
        }
        let decompress = || decompress(self.coding, &self.value, self.raw_len);
        let decoded = match self.home.upgrade() {
            Some(home) => home.keeper.keep(decompress)?,
            None => decompress()?,
        };
        Ok(self.decoded.get_or_init(|| decoded))
    }

    /// What the entry costs in this process, bookkeeping included.
    fn weight(&self) -> u64 {
        const MAP_SLOT: usize = 64;
        let bytes = size_of::<Self>()
            + MAP_SLOT
            + self.key.as_str().len()
            + self.stamps.len() * size_of::<LocalStamp>()
            + self.versions.len() * size_of::<Arc<Cell>>()
            + self.value.len()
            + self.decoded.get().map_or(0, Bytes::len);
        bytes as u64
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<EntryKey, Arc<Entry>> for ByBytes {
    fn weight(&self, _: &EntryKey, entry: &Arc<Entry>) -> u64 {
        entry.weighed.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct Local {
    map: Map<EntryKey, Arc<Entry>, ByBytes, SeedableRandomState>,
    sweep: Mutex<Sweep>,
    largest: u64,
    pub(crate) keeper: Keeper,
}

/// Keys by the time at which their entries are past all use.
#[derive(Debug, Default)]
struct Sweep {
    buckets: BTreeMap<u64, Vec<EntryKey>>,
    rows: usize,
}

/// Width of a bucket of the sweep.
const BUCKET: Duration = Duration::from_secs(10);
/// Rows of the sweep; beyond them expired entries wait for eviction instead.
const SWEEP_ROWS: usize = 1 << 20;
/// Typical entry, for the first size of the map only.
const TYPICAL_BYTES: u64 = 2048;

pub(crate) fn hasher(seed: u64) -> SeedableRandomState {
    SeedableRandomState::with_seed(seed, SharedSeed::global_fixed())
}

impl Local {
    /// `largest` is the size of value that must find room in one of the map's parts.
    pub(crate) fn new(
        capacity: u64,
        largest: u64,
        hasher: SeedableRandomState,
        keeper: Keeper,
    ) -> Self {
        let parts = (capacity / largest.saturating_mul(2).max(1)).clamp(1, 64);
        let parts = 1 << parts.ilog2();
        let options = OptionsBuilder::new()
            .estimated_items_capacity((capacity / TYPICAL_BYTES).clamp(16, 1 << 22) as usize)
            .weight_capacity(capacity)
            .shards(parts)
            .build()
            .expect("both capacities are given");
        Self {
            map: Map::with_options(options, ByBytes, hasher, DefaultLifecycle::default()),
            sweep: Mutex::new(Sweep::default()),
            largest: capacity / parts as u64,
            keeper,
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.map.get(key)
    }

    pub(crate) fn holds(&self, key: &str) -> bool {
        self.map.peek(key).is_some()
    }

    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        self.keeper.keep(|| self.put(entry));
    }

    fn put(&self, entry: Arc<Entry>) {
        let weight = entry.weight();
        if weight > self.largest {
            self.map.remove(&entry.key);
            return;
        }
        entry.weighed.store(weight, Ordering::Relaxed);
        let key = entry.key.clone();
        let known = self.map.peek(&key).is_some();
        let bucket = bucket_of(entry.stale_until);
        self.map.insert(key.clone(), entry);
        if !known {
            self.file(bucket, key);
        }
    }

    pub(crate) fn remove(&self, key: &str) {
        self.map.remove(key);
    }

    /// Counts a value that was decompressed since the entry was inserted. In place, so that an
    /// entry that was dropped meanwhile does not come back.
    pub(crate) fn reweigh(&self, entry: &Arc<Entry>) {
        let same = self.map.peek(&entry.key).is_some_and(|held| Arc::ptr_eq(&held, entry));
        if !same {
            return;
        }
        let weigh = |_: &EntryKey, held: &mut Arc<Entry>| {
            if Arc::ptr_eq(held, entry) {
                held.weighed.store(held.weight(), Ordering::Relaxed);
            }
            EntryAction::Retain(())
        };
        // Where it has gone since, what is handed out is the right to insert it: not used.
        drop(self.map.entry(&entry.key, Some(Duration::ZERO), weigh));
    }

    fn file(&self, bucket: u64, key: EntryKey) {
        let mut sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        if sweep.rows < SWEEP_ROWS {
            sweep.rows += 1;
            sweep.buckets.entry(bucket).or_default().push(key);
        }
    }

    /// Drops what is past all use. An entry that was replaced by a longer-lived one is filed
    /// again, so that each resident key has one row however often it is refreshed.
    pub(crate) fn sweep(&self, now: Instant) -> usize {
        let due: Vec<EntryKey> = {
            let mut sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
            let later = sweep.buckets.split_off(&bucket_of(now));
            let due: Vec<_> =
                std::mem::replace(&mut sweep.buckets, later).into_values().flatten().collect();
            sweep.rows -= due.len();
            due
        };
        let mut dropped = 0;
        for key in due {
            match self.map.peek(&key) {
                Some(entry) if entry.stale_until <= now => {
                    let gone = self.map.remove_if(&key, |held| held.stale_until <= now);
                    dropped += usize::from(gone.is_some());
                }
                Some(entry) => self.file(bucket_of(entry.stale_until), key),
                None => {}
            }
        }
        dropped
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.map.weight()
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.map.capacity()
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

fn bucket_of(at: Instant) -> u64 {
    at.as_nanos() / BUCKET.as_nanos() as u64
}
