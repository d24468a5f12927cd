//! What passed through a proxy: connections, bytes, round trips, waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Totals over all counted connections of one proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were there, open ones included.
    pub connections: u64,
    pub open_connections: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    /// How often a client spoke after the server had had the last word (or first of all), summed
    /// over connections: a pipeline is one, two commands of which the second waits are two.
    pub round_trips: u64,
}

/// The same for one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// In the order in which connections were accepted.
    pub number: u64,
    pub open: bool,
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub round_trips: u64,
}

/// Counts how often somebody began to wait while nobody waited, over all connections of all
/// proxies that share it: requests that travel at the same time are one wait, whatever the number
/// of servers, requests one after the other are as many as they are.
///
/// A delay on the way down makes this exact: no answer then overtakes a request of its own round.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    state: Arc<Mutex<WaitState>>,
}

#[derive(Debug, Default)]
struct WaitState {
    waiting_connections: u64,
    count: u64,
}

impl Waits {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn count(&self) -> u64 {
        self.state().count
    }

    pub fn reset(&self) {
        self.state().count = 0;
    }

    fn begin(&self) {
        let mut state = self.state();
        if state.waiting_connections == 0 {
            state.count += 1;
        }
        state.waiting_connections += 1;
    }

    fn end(&self) {
        self.state().waiting_connections -= 1;
    }

    fn state(&self) -> MutexGuard<'_, WaitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the relay writes down what passes.
#[derive(Debug)]
pub(super) struct Ledger {
    book: Mutex<Book>,
    waits: Waits,
    uncounted: Option<&'static [u8]>,
}

#[derive(Debug, Default)]
struct Book {
    next_connection: u64,
    connections: BTreeMap<u64, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    closed: bool,
    uncounted: bool,
    /// The client has spoken and the server has not answered.
    waiting: bool,
    bytes_up: u64,
    bytes_down: u64,
    round_trips: u64,
}

impl Ledger {
    pub(super) fn new(waits: Waits, uncounted: Option<&'static [u8]>) -> Self {
        Self { book: Mutex::default(), waits, uncounted }
    }

    /// A new connection's number.
    pub(super) fn open(&self) -> u64 {
        let mut book = self.book();
        let number = book.next_connection;
        book.next_connection += 1;
        book.connections.insert(number, Tally::default());
        number
    }

    pub(super) fn next_connection(&self) -> u64 {
        self.book().next_connection
    }

    /// The client has sent `bytes`; called before any delay.
    pub(super) fn up(&self, connection: u64, bytes: &[u8]) {
        let mut book = self.book();
        let Some(tally) = book.connections.get_mut(&connection) else { return };
        if let Some(mark) = self.uncounted
            && !tally.uncounted
            && bytes.windows(mark.len()).any(|window| window == mark)
        {
            tally.uncounted = true;
            self.end_wait(tally);
        }
        tally.bytes_up += bytes.len() as u64;
        if !tally.waiting && !tally.uncounted {
            tally.waiting = true;
            tally.round_trips += 1;
            self.waits.begin();
        }
    }

    /// `length` bytes are about to be given to the client; called after any delay.
    pub(super) fn down(&self, connection: u64, length: usize) {
        let mut book = self.book();
        let Some(tally) = book.connections.get_mut(&connection) else { return };
        tally.bytes_down += length as u64;
        self.end_wait(tally);
    }

    pub(super) fn close(&self, connection: u64) {
        let mut book = self.book();
        let Some(tally) = book.connections.get_mut(&connection) else { return };
        tally.closed = true;
        self.end_wait(tally);
    }

    pub(super) fn reset(&self) {
        let mut book = self.book();
        book.connections.retain(|_, tally| !tally.closed);
        for tally in book.connections.values_mut() {
            tally.bytes_up = 0;
            tally.bytes_down = 0;
            tally.round_trips = 0;
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.connections().iter().fold(Counts::default(), |total, one| Counts {
            connections: total.connections + 1,
            open_connections: total.open_connections + u64::from(one.open),
            bytes_up: total.bytes_up + one.bytes_up,
            bytes_down: total.bytes_down + one.bytes_down,
            round_trips: total.round_trips + one.round_trips,
        })
    }

    pub(super) fn connections(&self) -> Vec<ConnectionCounts> {
        let book = self.book();
        let counted = book.connections.iter().filter(|(_, tally)| !tally.uncounted);
        counted
            .map(|(&number, tally)| ConnectionCounts {
                number,
                open: !tally.closed,
                bytes_up: tally.bytes_up,
                bytes_down: tally.bytes_down,
                round_trips: tally.round_trips,
            })
            .collect()
    }

    pub(super) fn waits(&self) -> &Waits {
        &self.waits
    }

    fn end_wait(&self, tally: &mut Tally) {
        if std::mem::take(&mut tally.waiting) {
            self.waits.end();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
