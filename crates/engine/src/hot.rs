//! Readings that are read often, refreshed before anybody has to wait for them: the one whose value
//! ends first goes first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use samovar_cache::{Answer, Due};
use samovar_clock::Instant;
use tokio::sync::Notify;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    engine::{Engine, Inner},
    reading::{BoundReading, RANGE},
};

/// Refreshes that run at the same time, over all sources.
pub(crate) const AT_A_TIME: usize = 8;
/// Readings and boards that are watched at a time. More are left to their readers.
const MOST_WATCHED: usize = 1 << 16;
/// So often must a value have been read for the next one to be made before it is asked for.
const READS: u32 = 2;
/// What was read for the first time is looked at after this time.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// Whatever is planned is looked at again after this time: versions may have moved.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// Of a refresh that failed, or that somebody else is at.
const AGAIN: Duration = Duration::from_secs(1);
/// Over this time the readings of a new day or hour are spread.
const SPREAD: Duration = Duration::from_secs(5);

/// What was read.
pub(crate) enum Wanted<'a> {
    /// With what was given for it: its dates follow the calendar.
    Widget(&'a BoundReading, &'a [(String, String)]),
    Board {
        name: &'a str,
        tenant: &'a str,
        given: &'a [(String, String)],
    },
}

/// The readings that are watched, and when to look at each.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    watched: Mutex<Watched>,
    /// Something may be due earlier than was planned.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    units: HashMap<u64, Unit>,
    plan: BinaryHeap<Reverse<(Instant, u64)>>,
}

#[derive(Debug)]
struct Unit {
    name: Name,
    /// Since it was refreshed.
    reads: u32,
}

#[derive(Clone, Debug)]
enum Name {
    Widget { widget: String, tenant: String, given: Vec<(String, String)> },
    Board { board: String, tenant: String, given: Vec<(String, String)> },
}

impl Wanted<'_> {
    fn parts(&self) -> (u8, &str, &str, &[(String, String)]) {
        match self {
            Wanted::Widget(reading, given) => (0, reading.widget(), reading.tenant(), given),
            Wanted::Board { name, tenant, given } => (1, name, tenant, given),
        }
    }

    /// Equal for what is read in the same words.
    fn hash(&self) -> u64 {
        let (kind, name, tenant, given) = self.parts();
        let mut hash = Xxh3::new();
        hash.update(&[kind]);
        for text in [name, tenant].into_iter().chain(given.iter().flat_map(|(n, v)| [&**n, &**v])) {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.digest()
    }

    fn name(&self) -> Name {
        let (kind, name, tenant, given) = self.parts();
        let (name, tenant, given) = (name.to_owned(), tenant.to_owned(), given.to_vec());
        match kind {
            0 => Name::Widget { widget: name, tenant, given },
            _ => Name::Board { board: name, tenant, given },
        }
    }
}

impl Hot {
    /// Counts a read. What is read for the first time is looked at when its value ends.
    pub(crate) fn note(&self, wanted: &Wanted<'_>, now: Instant, answer: &Answer) {
        let hash = wanted.hash();
        let mut watched = self.watched();
        if let Some(unit) = watched.units.get_mut(&hash) {
            unit.reads = unit.reads.saturating_add(1);
            return;
        }
        if watched.units.len() >= MOST_WATCHED {
            return;
        }
        watched.units.insert(hash, Unit { name: wanted.name(), reads: 1 });
        // When it should be refreshed is found out then.
        watched.plan.push(Reverse((now + FIRST_LOOK.min(answer.fresh_for() / 2), hash)));
        drop(watched);
        self.changed.notify_one();
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be looked at now, or else when.
    fn next(&self, now: Instant) -> Result<(u64, Name, u32), Instant> {
        let mut watched = self.watched();
        loop {
            let Some(Reverse((at, hash))) = watched.plan.peek().copied() else {
                return Err(now + LOOK_AGAIN);
            };
            if at > now {
                return Err(at);
            }
            watched.plan.pop();
            if let Some(unit) = watched.units.get(&hash) {
                return Ok((hash, unit.name.clone(), unit.reads));
            }
        }
    }

    fn look_again(&self, hash: u64, at: Instant, refreshed: bool) {
        let mut watched = self.watched();
        if refreshed && let Some(unit) = watched.units.get_mut(&hash) {
            unit.reads = 0;
        }
        watched.plan.push(Reverse((at, hash)));
        drop(watched);
        self.changed.notify_one();
    }

    fn forget(&self, hash: u64) {
        self.watched().units.remove(&hash);
    }

    pub(crate) fn len(&self) -> usize {
        self.watched().units.len()
    }
}

/// Refreshes what is due for as long as there is an engine.
pub(crate) fn keep_refreshing(inner: &Arc<Inner>) {
    let (weak, clock) = (Arc::downgrade(inner), inner.clock.clone());
    tokio::spawn(async move {
        loop {
            let Some(inner) = weak.upgrade() else { return };
            let next = inner.hot.next(clock.now());
            match next {
                Ok((hash, name, reads)) => inner.look_at(hash, name, reads).await,
                Err(at) => {
                    let wait = at.since(clock.now()).max(Duration::from_millis(1));
                    let changed = inner.hot.changed.notified();
                    // Not held while waiting, or the engine would never end.
                    let sooner = wait.min(Duration::from_secs(1));
                    let _ = clock.timeout(sooner, changed).await;
                }
            }
        }
    });
}

impl Inner {
    /// Plans the next look at a reading, or refreshes it when it is time.
    async fn look_at(self: &Arc<Self>, hash: u64, name: Name, reads: u32) {
        let now = self.clock.now();
        let Some(readings) = self.bind_hot(&name).await else {
            return self.hot.forget(hash);
        };
        let mut first = None::<Duration>;
        let mut boundary = LOOK_AGAIN;
        for reading in &readings {
            let due = match reading.with(|reading| self.cache.due(reading)) {
                Ok(Due::In(left)) => left,
                Ok(Due::Now | Due::Unknown) => Duration::ZERO,
                Err(_) => return self.hot.forget(hash),
            };
            first = Some(first.map_or(due, |first| first.min(due)));
            boundary = boundary.min(self.until_rollover(reading));
        }
        match first {
            None => self.hot.forget(hash),
            Some(left) if !left.is_zero() => {
                self.hot.look_again(hash, now + left.min(boundary), false);
            }
            // Nobody wants it any more.
            Some(_) if reads < READS => self.hot.forget(hash),
            Some(_) => self.refresh_behind(hash, name, readings).await,
        }
    }

    async fn bind_hot(self: &Arc<Self>, name: &Name) -> Option<Vec<BoundReading>> {
        match name {
            Name::Widget { widget, tenant, given } => {
                let bound = self.bind(widget, tenant, given.clone()).await.ok()?;
                Some(vec![bound])
            }
            Name::Board { board, tenant, given } => {
                let board = self.boards.get(board)?;
                self.bind_tiles(board, tenant, given)
                    .await
                    .ok()
                    .map(|tiles| tiles.into_iter().filter_map(|(_, tile)| tile.ok()).collect())
            }
        }
    }

    /// Waits for a place at the source, so that readers are not kept out, and goes on without waiting
    /// for the end.
    async fn refresh_behind(self: &Arc<Self>, hash: u64, name: Name, readings: Vec<BoundReading>) {
        let places = self.refreshes.clone();
        let Ok(place) = places.acquire_owned().await else { return };
        let inner = self.clone();
        tokio::spawn(async move {
            let done = match &name {
                Name::Board { .. } => inner.refresh_together(readings).await,
                Name::Widget { .. } => {
                    let mut done = true;
                    for reading in readings {
                        done &= inner.refresh(reading).await;
                    }
                    done
                }
            };
            drop(place);
            let now = inner.clock.now();
            let again = if done { now } else { now + AGAIN };
            inner.hot.look_again(hash, again + Duration::from_millis(1), done);
        });
    }

    async fn refresh(self: &Arc<Self>, reading: BoundReading) -> bool {
        let (pairs, tags) = (reading.pairs(), || reading.tags());
        let (inner, wanted) = (self.clone(), reading.clone());
        let compute = move || inner.compute(wanted);
        let refreshed = self.cache.refresh(&reading.borrow(&pairs, &tags), compute).await;
        if let Err(error) = &refreshed {
            let (widget, tenant) = (reading.widget(), reading.tenant());
            tracing::debug!(widget, tenant, %error, "a reading could not be refreshed");
        }
        refreshed.is_ok()
    }

    /// Until the calendar or the clock of its tenant makes another reading of it, somewhat spread.
    fn until_rollover(&self, reading: &BoundReading) -> Duration {
        let entry = &reading.served.entry;
        let has_range = reading.params().contains_key(RANGE);
        let Some(cut) = entry.bucket.or(has_range.then_some(Rollover::Day)) else {
            return LOOK_AGAIN;
        };
        let now = self.now().to_zoned(reading.member.zone.clone());
        let unit = match cut {
            Rollover::Minute => jiff::Unit::Minute,
            Rollover::Hour => jiff::Unit::Hour,
            Rollover::Day => jiff::Unit::Day,
        };
        let round = jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Ceil);
        // A moment later, so that exactly on the boundary the next one is found.
        let later = now.checked_add(jiff::SignedDuration::from_millis(1));
        let next = later.and_then(|later| later.round(round));
        let Ok(next) = next else { return LOOK_AGAIN };
        let left = Duration::try_from(now.duration_until(&next)).unwrap_or(LOOK_AGAIN);
        let spread = match cut {
            Rollover::Minute => SPREAD.min(Duration::from_secs(1)),
            Rollover::Hour | Rollover::Day => SPREAD,
        };
        left + spread.mul_f64(self.random.fraction())
    }
}

pub(crate) use samovar_widgets::BucketDefinition as Rollover;

impl Engine {
    /// Readings and boards that are refreshed before they are asked for, when they are read often.
    pub fn watched(&self) -> usize {
        self.0.hot.len()
    }
}
