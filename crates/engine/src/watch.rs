//! Readings that somebody watches: whoever does is told when their content becomes another.
//!
//! What the cache hears and does is what makes this look: news of changes, and values that come into
//! the local tier. A reading that is watched and not fresh is refreshed, so that those who watch it are
//! told without anybody having asked. Each of them is kept the latest only.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use samovar_cache::{Answer, State};
use samovar_clock::Instant;
use samovar_widgets::Mode;
use tokio::sync::Notify;

use crate::{
    asked::Asked,
    engine::{Engine, Inner},
    read::ReadFailure,
};

/// Readings that are watched at a time, by however many. More are refused.
pub const MOST_WATCHED_READINGS: usize = 1 << 14;
/// Without news everything is looked at after this time: values grow old, days and trust end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// However much news there is, looks leave this share of the time to others.
const REST: u32 = 10;
/// After a refresh that left nothing fresh, because somebody else is at it for example, the next one
/// begins after this time, twice as long after each more; after one that failed not before
/// [`LOOK_AGAIN`]. The cache keeps longer back-offs by itself.
const AGAIN: Duration = Duration::from_millis(10);
const MOST_DOUBLINGS: u32 = 9;

/// What is known of a reading's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Equal for equal content.
    pub content_hash: u64,
    /// Not while its data has changed and cannot be read.
    pub is_fresh: bool,
}

/// A reading as it is named by whoever wants to watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub widget: String,
    pub tenant: String,
    /// Parameters that are not given take their defaults.
    pub given: Vec<(String, String)>,
}

/// Who watches some readings; they are watched until this is dropped.
#[derive(Debug)]
pub struct Watcher {
    inner: Weak<Inner>,
    units: Vec<u64>,
    mailbox: Arc<Mailbox>,
}

/// Why nobody is told.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WatchFailure {
    #[error(transparent)]
    Reading(#[from] ReadFailure),
    #[error("{MOST_WATCHED_READINGS} readings are watched already")]
    TooMany,
}

/// The latest of each reading, by its place, until it is taken.
#[derive(Debug, Default)]
struct Mailbox {
    news: Mutex<BTreeMap<usize, Seen>>,
    arrived: Notify,
}

/// All that is watched.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    units: Mutex<HashMap<u64, Unit>>,
    /// Something is to be looked at.
    changed: Notify,
}

#[derive(Debug)]
struct Unit {
    asked: Arc<Asked>,
    watchers: Vec<(Weak<Mailbox>, usize)>,
    seen: Option<Seen>,
    is_refreshing: bool,
    /// Refreshes since it was seen fresh.
    refreshes: u32,
    not_before: Instant,
}

impl Watched {
    fn units(&self) -> MutexGuard<'_, HashMap<u64, Unit>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.units().len()
    }
}

impl Engine {
    /// Readings that are watched by somebody.
    pub fn watched_readings(&self) -> usize {
        self.0.watched.len()
    }

    /// Watches readings, each by its place in the list. All of them, or none with the place of the
    /// first that cannot be.
    pub async fn watch(&self, readings: Vec<Wanted>) -> Result<Watcher, (usize, WatchFailure)> {
        let mut bound = Vec::with_capacity(readings.len());
        for (place, Wanted { widget, tenant, given }) in readings.into_iter().enumerate() {
            let asked = self.ask(&widget, &tenant, given).await;
            let asked = asked.map_err(|failure| (place, failure.into()))?;
            match asked.reading.served.entry.mode.of(&tenant) {
                Mode::On => bound.push(Arc::new(asked)),
                Mode::Off => return Err((place, ReadFailure::Off.into())),
                Mode::Shadow => return Err((place, ReadFailure::Shadow.into())),
            }
        }
        let mailbox = Arc::new(Mailbox::default());
        let mut watcher = Watcher {
            inner: Arc::downgrade(&self.0),
            units: Vec::with_capacity(bound.len()),
            mailbox: mailbox.clone(),
        };
        let mut units = self.0.watched.units();
        for (place, asked) in bound.into_iter().enumerate() {
            if units.len() >= MOST_WATCHED_READINGS && !units.contains_key(&asked.name_hash) {
                // What was added goes with the watcher, which needs the lock for that.
                drop(units);
                return Err((place, WatchFailure::TooMany));
            }
            let unit = units.entry(asked.name_hash).or_insert_with(|| Unit {
                asked: asked.clone(),
                watchers: Vec::new(),
                seen: None,
                is_refreshing: false,
                refreshes: 0,
                not_before: Instant::default(),
            });
            unit.watchers.push((Arc::downgrade(&mailbox), place));
            watcher.units.push(asked.name_hash);
            if let Some(seen) = unit.seen {
                mailbox.put(place, seen);
            }
        }
        drop(units);
        self.0.watched.changed.notify_one();
        Ok(watcher)
    }
}

impl Watcher {
    /// The next that was not told yet, and its place: of each reading the latest.
    pub async fn next(&mut self) -> (usize, Seen) {
        loop {
            let arrived = self.mailbox.arrived.notified();
            if let Some(news) = self.mailbox.news().pop_first() {
                return news;
            }
            arrived.await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let mut units = inner.watched.units();
        let mine = Arc::as_ptr(&self.mailbox);
        for hash in &self.units {
            if let Some(unit) = units.get_mut(hash) {
                unit.watchers.retain(|(mailbox, _)| mailbox.as_ptr() != mine);
                if unit.watchers.is_empty() {
                    units.remove(hash);
                }
            }
        }
    }
}

impl Mailbox {
    fn news(&self) -> MutexGuard<'_, BTreeMap<usize, Seen>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, place: usize, seen: Seen) {
        self.news().insert(place, seen);
        self.arrived.notify_one();
    }
}

impl Unit {
    /// Tells those who watch, unless it is what they know.
    fn tell(&mut self, seen: Seen) {
        if self.seen.replace(seen) == Some(seen) {
            return;
        }
        for (mailbox, place) in &self.watchers {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.put(*place, seen);
            }
        }
    }
}

/// Looks at what is watched for as long as there is an engine.
pub(crate) fn keep_watching(inner: &Arc<Inner>) {
    let (weak, clock): (Weak<Inner>, _) = (Arc::downgrade(inner), inner.clock.clone());
    let (cache, watched) = (inner.cache.clone(), inner.watched.clone());
    tokio::spawn(async move {
        loop {
            let Some(inner) = weak.upgrade() else { return };
            let begun = clock.now();
            let again = inner.look_at_watched(begun);
            // Nobody keeps an engine alive by waiting for its news.
            drop(inner);
            let took = clock.now().since(begun);
            let news = async {
                tokio::select! {
                    () = cache.changed() => {}
                    () = watched.changed.notified() => {}
                }
            };
            let _ = clock.timeout(again, news).await;
            if took > Duration::from_millis(1) {
                clock.sleep(took * REST).await;
            }
        }
    });
}

impl Inner {
    /// Says after which time to look again.
    fn look_at_watched(self: &Arc<Self>, now: Instant) -> Duration {
        let mut again = LOOK_AGAIN;
        let mut units = self.watched.units();
        for (hash, unit) in units.iter_mut() {
            if !self.still_means_the_same(&unit.asked) {
                let Some(asked) = self.ask_by_name(&unit.asked) else { continue };
                unit.asked = Arc::new(asked);
            }
            let found = unit.asked.reading.with(|reading| self.cache.peek(reading));
            let wants_refresh = match &found {
                Some((answer, refresh)) => {
                    if answer.is_fresh() {
                        unit.tell(seen(answer));
                    }
                    // One whose turn is yet to come by a spread invalidation waits for it.
                    *refresh
                }
                None => true,
            };
            if !wants_refresh {
                unit.refreshes = 0;
            } else if !unit.is_refreshing {
                let left = unit.not_before.since(now);
                if left.is_zero() {
                    unit.is_refreshing = self.refresh_watched(*hash, &unit.asked);
                } else {
                    again = again.min(left);
                }
            }
        }
        again
    }

    /// Whether there was a place for it.
    fn refresh_watched(self: &Arc<Self>, hash: u64, asked: &Arc<Asked>) -> bool {
        let readings = vec![asked.reading.clone()];
        let Some(place) = self.place_for(&readings) else { return false };
        let inner = self.clone();
        tokio::spawn(async move {
            let done = inner.refresh(readings).await;
            drop(place);
            let mut units = inner.watched.units();
            if let Some(unit) = units.get_mut(&hash) {
                unit.is_refreshing = false;
                let mut wait = AGAIN * (1 << unit.refreshes.min(MOST_DOUBLINGS));
                unit.refreshes += 1;
                if done.is_err() {
                    wait = wait.max(LOOK_AGAIN);
                    if let Some(last) = unit.seen {
                        unit.tell(Seen { is_fresh: false, ..last });
                    }
                }
                unit.not_before = inner.clock.now() + wait;
            }
            drop(units);
            inner.watched.changed.notify_one();
        });
        true
    }
}

fn seen(answer: &Answer) -> Seen {
    Seen { content_hash: answer.content_hash(), is_fresh: answer.state() == State::Fresh }
}
