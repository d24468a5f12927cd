//! What a worker shows of itself, and the end it is told to come to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use samovar_clock::{Clock, Instant, Random};
use samovar_memory::Budget;
use tokio::sync::watch;

use super::{Settings, beats::Holds};
use crate::store::{Order, Presence};

/// Clones are of the same worker.
#[derive(Debug, Clone)]
pub(super) struct Signs {
    settings: Arc<Settings>,
    definitions: u32,
    pub(super) holds: Arc<Holds>,
    budget: Budget,
    slots: Arc<AtomicUsize>,
    /// Nothing as long as it works on.
    end: watch::Sender<Option<Order>>,
    /// Until when what runs may go on, where that is sooner than the settings say.
    hurry: watch::Sender<Option<Instant>>,
    clock: Clock,
    began: Instant,
    start: u64,
}

impl Signs {
    pub(super) fn new(
        settings: Arc<Settings>,
        definitions: u32,
        budget: Budget,
        clock: Clock,
        random: &Random,
    ) -> Self {
        let (slots, began) = (Arc::new(settings.slots.min.into()), clock.now());
        let (holds, start) = (Arc::default(), random.id());
        let (end, hurry) = (watch::Sender::new(None), watch::Sender::new(None));
        Self { settings, definitions, holds, budget, slots, end, hurry, clock, began, start }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.load(Ordering::Relaxed)
    }

    pub(super) fn set_slots(&self, slots: usize) {
        self.slots.store(slots, Ordering::Relaxed);
    }

    pub(super) fn presence(&self) -> Presence {
        let settings = &self.settings;
        Presence {
            worker: settings.name.clone(),
            start: self.start,
            pid: std::process::id(),
            binary: settings.binary.clone(),
            definitions: self.definitions,
            queues: settings.queues.iter().map(|it| it.queue.clone()).collect(),
            slots: self.slots(),
            most_slots: settings.slots.max,
            held: self.holds.len(),
            draining: self.is_ending(),
            budget: self.budget.usage(),
            up: self.clock.now().since(self.began),
        }
    }

    pub(super) fn ending(&self) -> watch::Receiver<Option<Order>> {
        self.end.subscribe()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// The first order stands.
    pub(super) fn end(&self, order: Order) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(order);
            first
        });
    }

    pub(super) fn hurry(&self, until: Instant) {
        self.hurry.send_replace(Some(until));
    }

    /// Until it is time to stop what still runs, because somebody is in a hurry.
    pub(super) async fn hurried(&self) {
        let mut hurry = self.hurry.subscribe();
        let until = hurry.wait_for(Option::is_some).await.ok().and_then(|until| *until);
        match until {
            Some(until) => self.clock.sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

/// Until it is told to.
pub(super) async fn told_to_end(mut ending: watch::Receiver<Option<Order>>) -> Order {
    match ending.wait_for(Option::is_some).await {
        Ok(order) => order.unwrap_or(Order::Drain),
        // Whoever could tell it is gone, and the worker with him.
        Err(_) => Order::Drain,
    }
}
