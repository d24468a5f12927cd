//! Single flight within the process: one look, one lease and one compute for all who wait for the
//! same key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::SeedableRandomState;
use samovar_clock::Instant;
use tokio::sync::Notify;

use crate::{
    answer::{Answer, ReadError},
    cells::Capture,
    key::EntryKey,
    laws::{Law, Laws},
    shared::Origins,
};

/// What one leader does for all who wait.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    state: Mutex<State>,
    /// Told whenever there is something new for those who wait.
    changed: Notify,
    /// Told when the lease that the leader waits for was given back.
    pub(crate) released: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many captures were made: each stands before one question to the store or one compute.
    phase: u32,
    capture: Capture,
    origins: Option<Origins>,
    /// The key was cleared by name: what is on its way must not be kept.
    dropped: bool,
    /// Another flight took over: nothing that this one finds is kept.
    abandoned: bool,
    /// The leader works in the background, where nothing makes it stand still, or computes. Until
    /// then a reader leads, which may be dropped at any time, or not be polled any more.
    in_background: bool,
    /// The store has answered or failed: what may be served stale follows from what it said.
    store_spoke: bool,
    /// A value that may be served, marked stale, to those who do not want to wait.
    candidate: Option<Candidate>,
    outcome: Option<Outcome>,
}

#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) answer: Answer,
    /// Old but unchanged: nobody has to wait for something newer.
    pub(crate) at_once: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A value and the capture that stood before it.
    Answer(Answer, u32),
    Failed(ReadError),
    /// The leader gave up; whoever still waits tries by itself.
    Again,
}

/// When somebody came to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    phase: u32,
    /// When it came, the masters were heard and nothing had moved since the last capture.
    unmoved: bool,
}

impl Joined {
    pub(crate) const FIRST: Joined = Joined { phase: 0, unmoved: true };

    /// Whether what was found after capture `phase` holds for this waiter: it came before the
    /// capture, or before anything moved.
    pub(crate) fn served_by(self, phase: u32, laws: Laws) -> bool {
        self.phase < phase || self.unmoved || !laws.hold(Law::LateWaitersWait)
    }
}

/// What a waiter finds when it looks.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) candidate: Option<Candidate>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) dropped: bool,
    pub(crate) in_background: bool,
    pub(crate) store_spoke: bool,
}

impl Flight {
    fn join(&self, now: Instant, strict: bool) -> Joined {
        let state = self.state();
        let heard = state.origins.as_ref().is_some_and(|origins| origins.trusted(now));
        let unmoved = !strict && heard && !state.dropped && state.capture.unmoved();
        Joined { phase: state.phase, unmoved }
    }

    /// Stands before a question to the store or a compute is begun. Whoever joins from now on is
    /// served by the result only if nothing has moved in between.
    pub(crate) fn capture(&self, capture: Capture, origins: Option<Origins>) -> u32 {
        let mut state = self.state();
        state.phase += 1;
        state.capture = capture;
        state.origins = origins;
        state.dropped = state.abandoned;
        state.phase
    }

    /// Offers a stale value; whether it was cleared meanwhile is for the taker to see.
    pub(crate) fn offer(&self, answer: Answer, at_once: bool) {
        self.state().candidate = Some(Candidate { answer, at_once });
        self.changed.notify_waiters();
    }

    /// From now on the others wait for as long as it takes.
    pub(crate) fn goes_to_background(&self) {
        self.state().in_background = true;
    }

    pub(crate) fn store_has_spoken(&self) {
        self.state().store_spoke = true;
    }

    /// Nothing may be served any more but a result.
    pub(crate) fn withdraw(&self) {
        self.state().candidate = None;
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = self.state();
        Progress {
            candidate: state.candidate.clone(),
            outcome: state.outcome.clone(),
            dropped: state.dropped,
            in_background: state.in_background,
            store_spoke: state.store_spoke,
        }
    }

    /// Resolves after the next change that follows the call's first poll.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SHARDS: usize = 16;

/// All flights of a node.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: [Mutex<HashMap<EntryKey, Arc<Flight>>>; SHARDS],
    hasher: SeedableRandomState,
}

pub(crate) enum Role {
    Lead(Lead),
    Follow(Arc<Flight>, Joined),
}

impl Flights {
    pub(crate) fn new(hasher: SeedableRandomState) -> Self {
        Self { shards: Default::default(), hasher }
    }

    /// Joins the flight of this key, or starts one.
    pub(crate) fn join(self: &Arc<Self>, key: &EntryKey, now: Instant, strict: bool) -> Role {
        let mut shard = self.shard(key.as_str());
        if let Some(flight) = shard.get(key) {
            return Role::Follow(flight.clone(), flight.join(now, strict));
        }
        let flight = Arc::new(Flight::default());
        shard.insert(key.clone(), flight.clone());
        Role::Lead(Lead { flights: self.clone(), key: key.clone(), flight })
    }

    pub(crate) fn find(&self, key: &str) -> Option<Arc<Flight>> {
        self.shard(key).get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        (0..SHARDS).map(|index| self.lock(index).len()).sum()
    }

    /// Lets another flight take the place of this one, whose leader stands still.
    pub(crate) fn abandon(&self, key: &str, flight: &Arc<Flight>) {
        let mut shard = self.shard(key);
        if shard.get(key).is_some_and(|current| Arc::ptr_eq(current, flight)) {
            shard.remove(key);
            let mut state = flight.state();
            (state.abandoned, state.dropped) = (true, true);
        }
    }

    /// Runs `drop_local` while no flight of this key can insert.
    pub(crate) fn drop_key(&self, key: &str, drop_local: impl FnOnce()) {
        let shard = self.shard(key);
        if let Some(flight) = shard.get(key) {
            let mut state = flight.state();
            state.dropped = true;
            state.candidate = None;
        }
        drop_local();
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, HashMap<EntryKey, Arc<Flight>>> {
        use std::hash::BuildHasher;
        self.lock(self.hasher.hash_one(key) as usize % SHARDS)
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, HashMap<EntryKey, Arc<Flight>>> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right and the duty to end a flight. Dropped without an outcome, it tells the others to try
/// by themselves.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: EntryKey,
    pub(crate) flight: Arc<Flight>,
}

impl Lead {
    pub(crate) fn finish(self, outcome: Outcome) {
        self.land(outcome);
    }

    /// Runs `insert` unless the key was cleared by name since the last capture, or another flight
    /// took over.
    pub(crate) fn keep(&self, insert: impl FnOnce()) {
        let _shard = self.flights.shard(self.key.as_str());
        if !self.flight.state().dropped {
            insert();
        }
    }

    fn land(&self, outcome: Outcome) {
        let mut shard = self.flights.shard(self.key.as_str());
        if shard.get(&self.key).is_some_and(|current| Arc::ptr_eq(current, &self.flight)) {
            shard.remove(&self.key);
        }
        drop(shard);
        let mut state = self.flight.state();
        if state.outcome.is_none() {
            state.outcome = Some(outcome);
        }
        drop(state);
        self.flight.changed.notify_waiters();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let landed = self.flight.state().outcome.is_some();
        if !landed {
            self.land(Outcome::Again);
        }
    }
}
