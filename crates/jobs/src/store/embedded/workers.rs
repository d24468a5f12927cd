//! Workers on an embedded store are in its own process: they are forgotten with it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use samovar_clock::{Clock, Instant};

use crate::{
    limits,
    name::WorkerName,
    store::{Order, Presence, Refusal, WorkerView},
};

#[derive(Debug)]
pub(super) struct Workers {
    clock: Clock,
    all: Mutex<BTreeMap<WorkerName, Known>>,
}

#[derive(Debug)]
struct Known {
    presence: Presence,
    seen: Instant,
    order: Option<Order>,
}

impl Workers {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, all: Mutex::default() }
    }

    pub(super) fn present(&self, presence: Presence) -> Result<Option<Order>, Refusal> {
        let seen = self.clock.now();
        self.with(|all| {
            let is_same = |known: &&mut Known| known.presence.start == presence.start;
            if let Some(known) = all.get_mut(&presence.worker).filter(is_same) {
                (known.presence, known.seen) = (presence, seen);
                return Ok(known.order);
            }
            let is_known = all.contains_key(&presence.worker);
            if !is_known && all.len() >= limits::WORKERS {
                return Err(Refusal::TooManyWorkers { limit: limits::WORKERS });
            }
            all.insert(presence.worker.clone(), Known { presence, seen, order: None });
            Ok(None)
        })
    }

    pub(super) fn list(&self) -> Vec<WorkerView> {
        let now = self.clock.now();
        let view = |known: &Known| WorkerView {
            presence: known.presence.clone(),
            silent: now.since(known.seen),
            order: known.order,
        };
        self.with(|all| all.values().map(view).collect())
    }

    pub(super) fn order(&self, worker: &WorkerName, order: Order) -> bool {
        self.with(|all| all.get_mut(worker).map(|known| known.order = Some(order)).is_some())
    }

    pub(super) fn leave(&self, worker: &WorkerName) -> bool {
        self.with(|all| all.remove(worker).is_some())
    }

    /// Whoever has been silent for too long is not among them.
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<WorkerName, Known>) -> T) -> T {
        let now = self.clock.now();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| now.since(known.seen) < limits::WORKER_FORGOTTEN);
        look(&mut all)
    }
}
