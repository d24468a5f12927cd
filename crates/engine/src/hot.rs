//! Readings that are read often, refreshed before anybody has to wait for them: the one whose value
//! ends first goes first.
//!
//! A reading is watched from its second read on. When its value is due and it was read again since,
//! it is refreshed; otherwise it is forgotten, and so is one that fails. Whoever reads it next makes
//! it known anew.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_cache::{Due, Refreshed};
use samovar_clock::Instant;
use samovar_widgets::BucketDefinition;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::{
    engine::{Engine, Inner},
    reading::BoundReading,
};

/// Readings and boards that are watched at a time. More are left to their readers.
const MOST_WATCHED: usize = 1 << 16;
/// Where first reads are remembered, so that a second one is known as such.
const SEEN: usize = 1 << 13;
/// What is watched since now is looked at after this time: only then is it known when it is due.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// Whatever is planned is looked at again after this time: versions may have moved.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// When somebody else is at it, or its source has no place free.
const AGAIN: Duration = Duration::from_secs(1);
/// Over this time the readings of a new day or hour are spread.
const SPREAD: Duration = Duration::from_secs(5);

/// What is watched, in the words in which its dates follow the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Widget { widget: String, tenant: String, given: Vec<(String, String)> },
    Board { board: String, tenant: String, given: Vec<(String, String)> },
}

/// The readings that are watched, and when to look at each.
#[derive(Debug)]
pub(crate) struct Hot {
    /// The last name that was read once, by its hash.
    seen: Box<[AtomicU64]>,
    units: [Mutex<HashMap<u64, Unit>>; 16],
    plan: Mutex<BinaryHeap<Reverse<(Instant, u64)>>>,
    /// Something may be due earlier than was planned.
    changed: Notify,
    /// Refreshes of each source at a time: half of its connections are left to readers.
    places: BTreeMap<String, Arc<Semaphore>>,
}

#[derive(Debug)]
struct Unit {
    name: Arc<Name>,
    /// Since it was looked at.
    reads: u32,
    /// Of the keys that it had then: others are those of a new day or bucket.
    keys: u64,
}

impl Name {
    pub(crate) fn hash(&self) -> u64 {
        let (kind, name, tenant, given) = match self {
            Name::Widget { widget, tenant, given } => (0, widget, tenant, given),
            Name::Board { board, tenant, given } => (1, board, tenant, given),
        };
        let mut hash = Xxh3::new();
        hash.update(&[kind]);
        for text in [name, tenant].into_iter().chain(given.iter().flat_map(|(n, v)| [n, v])) {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.digest()
    }
}

impl Hot {
    /// `connections` of each source.
    pub(crate) fn new(connections: impl Iterator<Item = (String, usize)>) -> Self {
        let places = |connections: usize| Arc::new(Semaphore::new((connections / 2).max(1)));
        Self {
            seen: (0..SEEN).map(|_| AtomicU64::new(0)).collect(),
            units: Default::default(),
            plan: Mutex::default(),
            changed: Notify::new(),
            places: connections.map(|(name, count)| (name, places(count))).collect(),
        }
    }

    /// Counts a read.
    pub(crate) fn note(&self, hash: u64, name: impl FnOnce() -> Name, now: Instant) {
        let mut units = self.units(hash);
        if let Some(unit) = units.get_mut(&hash) {
            unit.reads = unit.reads.saturating_add(1);
            return;
        }
        // What is read once takes no room, however much of it there is.
        if self.seen[hash as usize % SEEN].swap(hash, Ordering::Relaxed) != hash
            || units.len() >= MOST_WATCHED / self.units.len()
        {
            return;
        }
        units.insert(hash, Unit { name: Arc::new(name()), reads: 2, keys: 0 });
        drop(units);
        self.plan(hash, now + FIRST_LOOK);
    }

    fn units(&self, hash: u64) -> std::sync::MutexGuard<'_, HashMap<u64, Unit>> {
        let part = (hash >> 32) as usize % self.units.len();
        self.units[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn planned(&self) -> std::sync::MutexGuard<'_, BinaryHeap<Reverse<(Instant, u64)>>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, hash: u64, at: Instant) {
        self.planned().push(Reverse((at, hash)));
        self.changed.notify_one();
    }

    /// What is to be looked at now, or else when. There is one plan for each that is watched.
    fn next(&self, now: Instant) -> Result<(u64, Arc<Name>), Instant> {
        let mut plan = self.planned();
        loop {
            match plan.peek().copied() {
                None => return Err(now + LOOK_AGAIN),
                Some(Reverse((at, _))) if at > now => return Err(at),
                Some(Reverse((_, hash))) => {
                    plan.pop();
                    if let Some(unit) = self.units(hash).get(&hash) {
                        return Ok((hash, unit.name.clone()));
                    }
                }
            }
        }
    }

    fn forget(&self, hash: u64) {
        self.units(hash).remove(&hash);
    }

    /// How often it was read since the last look, and whether its keys are others than then.
    fn look(&self, hash: u64, keys: u64) -> (u32, bool) {
        let mut units = self.units(hash);
        let Some(unit) = units.get_mut(&hash) else { return (0, false) };
        let moved = unit.keys != 0 && unit.keys != keys;
        unit.keys = keys;
        (unit.reads, moved)
    }

    /// From now on only later reads count.
    fn start_over(&self, hash: u64) {
        if let Some(unit) = self.units(hash).get_mut(&hash) {
            unit.reads = 0;
        }
    }

    /// Of the refreshes and warm-ups of a source.
    pub(crate) fn places_of(&self, source: &str) -> Option<Arc<Semaphore>> {
        self.places.get(source).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        let count = |units: &Mutex<HashMap<u64, Unit>>| {
            units.lock().unwrap_or_else(PoisonError::into_inner).len()
        };
        self.units.iter().map(count).sum()
    }
}

/// Refreshes what is due for as long as there is an engine.
pub(crate) fn keep_refreshing(inner: &Arc<Inner>) {
    let (weak, clock): (Weak<Inner>, _) = (Arc::downgrade(inner), inner.clock.clone());
    tokio::spawn(async move {
        loop {
            let Some(inner) = weak.upgrade() else { return };
            let now = clock.now();
            match inner.hot.next(now) {
                Ok((hash, name)) => inner.look_at(hash, &name, now),
                Err(at) => {
                    // An engine that ends is noticed within this time.
                    let wait = at.since(now).clamp(Duration::from_millis(1), AGAIN);
                    let _ = clock.timeout(wait, inner.hot.changed.notified()).await;
                }
            }
        }
    });
}

/// Plans the next look at a unit, however its refresh ends.
struct Planned {
    inner: Arc<Inner>,
    hash: u64,
    after: Duration,
}

impl Drop for Planned {
    fn drop(&mut self) {
        let at = self.inner.clock.now() + self.after;
        self.inner.hot.plan(self.hash, at);
    }
}

impl Inner {
    /// Plans the next look at a reading, or refreshes it when it is time. Waits for nothing.
    fn look_at(self: &Arc<Self>, hash: u64, name: &Arc<Name>, now: Instant) {
        let Some(readings) = self.bind_hot(name) else { return self.hot.forget(hash) };
        let mut keys = String::new();
        let (mut left, mut boundary) = (None::<Duration>, LOOK_AGAIN);
        let mut unknown = false;
        for reading in &readings {
            let looked = reading.with(|reading| {
                Ok::<_, samovar_cache::ReadingError>((
                    self.cache.due(reading)?,
                    self.cache.key_of(reading)?,
                ))
            });
            let Ok((due, key)) = looked else { return self.hot.forget(hash) };
            keys.push_str(&key);
            match due {
                Due::In(time) => left = Some(left.map_or(time, |left| left.min(time))),
                Due::Now => left = Some(Duration::ZERO),
                Due::Unknown => unknown = true,
                Due::Never => {}
            }
            boundary = boundary.min(self.until_rollover(reading));
        }
        let (reads, moved) = self.hot.look(hash, xxh3_64(keys.as_bytes()).max(1));
        // What is not held is a new day's, or it fails, or it was dropped: only the first is made.
        let due = left.is_some_and(|left| left.is_zero()) || (unknown && moved);
        match left {
            // Nobody wants it any more.
            _ if due && reads == 0 => self.hot.forget(hash),
            _ if due => self.refresh_behind(hash, name, readings),
            Some(left) => self.hot.plan(hash, now + left.min(boundary)),
            None => self.hot.forget(hash),
        }
    }

    pub(crate) fn bind_hot(self: &Arc<Self>, name: &Name) -> Option<Vec<BoundReading>> {
        let (Name::Widget { tenant, .. } | Name::Board { tenant, .. }) = name;
        // Who is not known any more is forgotten; nobody is asked here.
        let member = self.tenants.known().get(tenant)?.clone();
        match name {
            Name::Widget { widget, given, .. } => {
                let served = self.widgets.get(widget)?.clone();
                let bound = BoundReading::bind(served, member, given.clone(), self.now());
                Some(vec![bound.ok()?])
            }
            Name::Board { board, given, .. } => {
                let tiles = self.bind_tiles(self.boards.get(board)?, &member, given);
                Some(tiles.into_iter().filter_map(|(_, tile)| tile.ok()).collect())
            }
        }
    }

    /// Where its source has a place free.
    fn refresh_behind(self: &Arc<Self>, hash: u64, name: &Arc<Name>, readings: Vec<BoundReading>) {
        let planned = Planned { inner: self.clone(), hash, after: AGAIN };
        let Some(place) = self.place_for(&readings) else { return };
        self.hot.start_over(hash);
        let name = name.clone();
        tokio::spawn(async move {
            // All of it moves here, or it would be dropped, and planned, before the refresh.
            let mut planned = planned;
            let inner = planned.inner.clone();
            let done = match &*name {
                Name::Board { .. } => inner.remake(readings).await,
                Name::Widget { .. } => inner.refresh(readings).await,
            };
            drop::<OwnedSemaphorePermit>(place);
            match done {
                Ok(Refreshed::Here) => planned.after = Duration::from_millis(1),
                Ok(Refreshed::Elsewhere) => {}
                // Its readers see it back off, and make it known again when it is well.
                Err(()) => inner.hot.forget(hash),
            }
        });
    }

    pub(crate) fn place_for(&self, readings: &[BoundReading]) -> Option<OwnedSemaphorePermit> {
        let source = &readings.first()?.served.entry.source_name;
        self.hot.places_of(source)?.try_acquire_owned().ok()
    }

    pub(crate) async fn refresh(
        self: &Arc<Self>,
        readings: Vec<BoundReading>,
    ) -> Result<Refreshed, ()> {
        let mut all = Refreshed::Here;
        for reading in readings {
            let (pairs, tags) = (reading.pairs(), || reading.tags());
            let (inner, wanted) = (self.clone(), reading.clone());
            let compose = move |parts| inner.compose(wanted, parts);
            match self.cache.refresh_composed(&reading.borrow(&pairs, &tags), compose).await {
                Ok(Refreshed::Here) => {}
                Ok(Refreshed::Elsewhere) => all = Refreshed::Elsewhere,
                Err(error) => {
                    let (widget, tenant) = (reading.widget(), reading.tenant());
                    tracing::debug!(widget, tenant, %error, "a reading could not be refreshed");
                    return Err(());
                }
            }
        }
        Ok(all)
    }

    /// Until the calendar or the clock of its tenant makes another reading of it, somewhat spread.
    fn until_rollover(&self, reading: &BoundReading) -> Duration {
        let entry = &reading.served.entry;
        let day = reading.is_ranged().then_some(BucketDefinition::Day);
        let Some(cut) = entry.bucket.or(day) else { return LOOK_AGAIN };
        let now = self.now().to_zoned(reading.member.zone.clone());
        let (unit, spread) = match cut {
            BucketDefinition::Minute => (jiff::Unit::Minute, SPREAD / 5),
            BucketDefinition::Hour => (jiff::Unit::Hour, SPREAD),
            BucketDefinition::Day => (jiff::Unit::Day, SPREAD),
        };
        let round = jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Ceil);
        // A moment later, so that exactly on the boundary the next one is found.
        let later = now.checked_add(jiff::SignedDuration::from_millis(1));
        let Ok(next) = later.and_then(|later| later.round(round)) else { return LOOK_AGAIN };
        let left = Duration::try_from(now.duration_until(&next)).unwrap_or(LOOK_AGAIN);
        left + spread.mul_f64(self.random.fraction())
    }
}

impl Engine {
    /// Readings and boards that are refreshed before they are asked for, when they are read often.
    pub fn watched(&self) -> usize {
        self.0.hot.len()
    }
}
