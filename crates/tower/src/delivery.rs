//! How a change reaches its target: at once if possible, else in the background for a while.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use samovar_clock::{Clock, Instant, TimedOut};

use crate::{
    change::Change,
    limits,
    settings::{Background, Counted, Settings},
    target::{Target, TargetError},
};

/// One target, and the changes that it has not taken yet.
#[derive(Debug)]
pub(crate) struct Delivery<T> {
    target: T,
    background: Background,
    /// The last try has failed, and not because the target refused.
    away: AtomicBool,
    waiting: Mutex<WaitingChanges>,
}

/// A change that waits is here once, however often it is asked for.
#[derive(Debug, Default)]
struct WaitingChanges {
    /// The first is the one that is being tried. Holds exactly the keys of `changes`.
    order: VecDeque<Change>,
    changes: HashMap<Change, Waiting>,
    is_tried: bool,
}

#[derive(Debug)]
struct Waiting {
    /// How often it was asked for: a try that began before the last time does not count for it.
    asked: u64,
    give_up_at: Instant,
    _counted: Counted,
}

/// How one try ended.
enum Tried {
    Done,
    Refused(String),
    Away(String),
}

impl<T: Target> Delivery<T> {
    pub(crate) fn new(target: T, background: Background) -> Self {
        Self { target, background, away: AtomicBool::new(false), waiting: Mutex::default() }
    }

    /// Whether all of it is done; what is not goes on in the background.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        changes: Vec<Change>,
        settings: &Settings,
    ) -> bool {
        let was_away = self.away.load(Ordering::Relaxed);
        let longest = if was_away { limits::PATIENCE_WHILE_AWAY } else { settings.patience };
        let until = settings.clock.now() + settings.patience.min(longest);
        let mut all_done = true;
        for change in changes {
            all_done &= self.deliver_one(change, was_away, until, settings).await;
        }
        all_done
    }

    async fn deliver_one(
        self: &Arc<Self>,
        change: Change,
        was_away: bool,
        until: Instant,
        settings: &Settings,
    ) -> bool {
        let clock = &settings.clock;
        let mut pause = limits::QUICK_PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_once(&change, until, clock).await {
                Tried::Done => return true,
                Tried::Refused(reason) => {
                    log_refused(&change, &reason);
                    return false;
                }
                Tried::Away(reason) => {
                    let goes_on =
                        !was_away && tries < limits::QUICK_TRIES && clock.now() + pause < until;
                    if !goes_on {
                        let cause = &change.cause;
                        tracing::warn!(cause, reason, "an invalidation goes on in the background");
                        self.put_back(change, settings);
                        return false;
                    }
                }
            }
            clock.sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_once(&self, change: &Change, until: Instant, clock: &Clock) -> Tried {
        let limit = until.since(clock.now());
        let tried = match clock.timeout(limit, self.target.invalidate(change)).await {
            Ok(Ok(())) => Tried::Done,
            Ok(Err(TargetError::Refused(reason))) => Tried::Refused(reason),
            Ok(Err(TargetError::Away(reason))) => Tried::Away(reason),
            Err(TimedOut) => Tried::Away("no answer in time".to_owned()),
        };
        self.away.store(matches!(tried, Tried::Away(_)), Ordering::Relaxed);
        tried
    }

    fn put_back(self: &Arc<Self>, change: Change, settings: &Settings) {
        let give_up_at = settings.clock.now() + settings.retry_for;
        let mut waiting = self.waiting();
        if let Some(waiting) = waiting.changes.get_mut(&change) {
            waiting.asked += 1;
            waiting.give_up_at = give_up_at;
        } else if waiting.changes.len() == limits::WAITING_CHANGES {
            let cause = change.cause;
            let limit = limits::WAITING_CHANGES;
            tracing::error!(cause, limit, "an invalidation is lost: too many wait already");
        } else {
            let counted = self.background.begin();
            let entry = Waiting { asked: 0, give_up_at, _counted: counted };
            waiting.order.push_back(change.clone());
            waiting.changes.insert(change, entry);
        }
        if !waiting.is_tried && !waiting.order.is_empty() {
            waiting.is_tried = true;
            let trying = Trying(self.clone());
            settings.spawner().spawn(trying.all(settings.clock.clone()));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingChanges> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one task that tries what waits.
struct Trying<T: Target>(Arc<Delivery<T>>);

impl<T: Target> Trying<T> {
    async fn all(self, clock: Clock) {
        let mut pause = limits::FIRST_PAUSE;
        while let Some((change, asked)) = self.next() {
            match self.0.try_once(&change, clock.now() + limits::TRY, &clock).await {
                Tried::Done => {
                    tracing::info!(cause = change.cause, "an invalidation was made up for");
                    self.over(&change, asked);
                    pause = limits::FIRST_PAUSE;
                }
                Tried::Refused(reason) => {
                    log_refused(&change, &reason);
                    self.over(&change, asked);
                }
                Tried::Away(reason) => {
                    self.later(&change, &reason, clock.now());
                    clock.sleep(pause).await;
                    pause = (pause * 2).min(limits::LONGEST_PAUSE);
                }
            }
        }
    }

    /// The next one, and how often it has been asked for until now. Nothing ends the task: who puts
    /// something back later starts another one.
    fn next(&self) -> Option<(Change, u64)> {
        let mut waiting = self.0.waiting();
        let Some(change) = waiting.order.front().cloned() else {
            waiting.is_tried = false;
            return None;
        };
        let asked = waiting.changes.get(&change).map_or(0, |waiting| waiting.asked);
        Some((change, asked))
    }

    /// Done, unless it was asked for again while it was tried.
    fn over(&self, change: &Change, asked: u64) {
        let mut waiting = self.0.waiting();
        waiting.order.pop_front();
        if waiting.changes.get(change).is_some_and(|waiting| waiting.asked == asked) {
            waiting.changes.remove(change);
        } else {
            waiting.order.push_back(change.clone());
        }
    }

    /// Goes behind the others, so that one that always fails holds up none of them.
    fn later(&self, change: &Change, reason: &str, now: Instant) {
        let mut waiting = self.0.waiting();
        waiting.order.pop_front();
        if waiting.changes.get(change).is_some_and(|waiting| now < waiting.give_up_at) {
            waiting.order.push_back(change.clone());
        } else {
            waiting.changes.remove(change);
            let cause = &change.cause;
            tracing::error!(cause, reason, "an invalidation is given up: values may be too old");
        }
    }
}

impl<T: Target> Drop for Trying<T> {
    /// Also when a target panics: the next one that is put back starts anew.
    fn drop(&mut self) {
        self.0.waiting().is_tried = false;
    }
}

fn log_refused(change: &Change, reason: &str) {
    let cause = &change.cause;
    tracing::error!(cause, reason, "an invalidation is refused: values may be too old");
}
