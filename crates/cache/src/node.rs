//! What this process knows by itself: the local tier, the versions it listens to, and its flights.

use std::sync::Arc;

use samovar_clock::Random;
use tokio::sync::Notify;

use crate::{
    cells::Cells,
    flight::Flights,
    keeper::Keeper,
    local::{Local, hasher},
    shared::Message,
};

#[derive(Debug)]
pub(crate) struct Node {
    /// Names this process in leases.
    pub(crate) id: u64,
    pub(crate) local: Arc<Local>,
    pub(crate) cells: Cells,
    pub(crate) flights: Arc<Flights>,
    /// What is known here, or held, has become another.
    pub(crate) news: Notify,
}

impl Node {
    pub(crate) fn new(
        memory: u64,
        largest: u64,
        versions: usize,
        random: &Random,
        keeper: Keeper,
    ) -> Self {
        let seed = random.next_u64();
        Self {
            id: random.id(),
            local: Arc::new(Local::new(memory, largest, hasher(seed), keeper)),
            cells: Cells::new(versions, hasher(seed)),
            flights: Arc::new(Flights::new(hasher(seed))),
            news: Notify::new(),
        }
    }

    /// News from the bus. Called in the order in which one master published it.
    pub(crate) fn hear(&self, payload: &[u8]) {
        match Message::decode(payload) {
            Some(message) => self.take_in(&message),
            None => tracing::warn!(bytes = payload.len(), "a message on the bus is unreadable"),
        }
    }

    pub(crate) fn take_in(&self, message: &Message) {
        match message {
            Message::Changed(changes) => {
                for (key, change, clear) in changes {
                    self.cells.changed(key, *change, *clear);
                }
            }
            Message::Dropped(key) => self.flights.drop_key(key, || self.local.remove(key)),
            Message::Released(key) => {
                if let Some(flight) = self.flights.find(key) {
                    // Keeps a permit, so that news before the wait is not lost.
                    flight.released.notify_one();
                }
            }
        }
        // After it was taken in: whoever is told finds it.
        if !matches!(message, Message::Released(_)) {
            self.news.notify_one();
        }
    }
}
