//! A TCP proxy that delays, cuts, black-holes and half-closes, and counts what passes.
//!
//! It runs on a runtime of its own: a test may block the only thread it has, or pause its time, and
//! the proxy goes on. A [`Proxy`] is a handle: clone it, the last one dropped closes everything.

mod counts;
mod relay;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{runtime::Runtime, sync::watch};

pub use counts::{ConnectionCounts, Counts, Waits};

use crate::port::PortLease;
use counts::Ledger;
use relay::{Order, Relay};

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What is done to bytes on their way; one value per direction.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    delay: Duration,
    black_hole: bool,
    /// Connections numbered below this have been half-closed.
    closed_before: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    up: Lane,
    down: Lane,
}

impl Rules {
    fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

/// How to start a proxy.
#[derive(Debug, Default)]
pub struct ProxyBuilder {
    waits: Waits,
    uncounted: Option<&'static [u8]>,
}

impl ProxyBuilder {
    /// Counts waits together with other proxies.
    #[must_use]
    pub fn waits(mut self, waits: &Waits) -> Self {
        self.waits = waits.clone();
        self
    }

    /// Leaves connections out of the counts once their client has sent `mark`: those between the
    /// servers themselves.
    #[must_use]
    pub fn without_connections_that_send(mut self, mark: &'static [u8]) -> Self {
        self.uncounted = Some(mark);
        self
    }

    /// Starts it in front of `target`, which need not listen yet.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(self, target: SocketAddr) -> Result<Proxy> {
        let lease = PortLease::take()?;
        let address = lease.address();
        let ledger = Arc::new(Ledger::new(self.waits, self.uncounted));
        let rules = watch::Sender::new(Rules::default());
        let relay = Relay::new(address, target, rules.subscribe(), ledger.clone());
        let (orders, inbox) = tokio::sync::mpsc::unbounded_channel();
        runtime().spawn(relay.run(inbox));
        let proxy =
            Proxy { inner: Arc::new(Inner { address, target, rules, orders, ledger, lease }) };
        proxy.heal()?;
        Ok(proxy)
    }
}

/// A handle on a running proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    target: SocketAddr,
    rules: watch::Sender<Rules>,
    orders: tokio::sync::mpsc::UnboundedSender<(Order, Answer)>,
    ledger: Arc<Ledger>,
    #[expect(dead_code, reason = "held for as long as the port is used")]
    lease: PortLease,
}

type Answer = mpsc::SyncSender<io::Result<()>>;

impl Proxy {
    /// A proxy in front of `target` that passes everything.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(target: SocketAddr) -> Result<Self> {
        Self::builder().start(target)
    }

    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::default()
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    pub fn port(&self) -> u16 {
        self.inner.address.port()
    }

    /// The address behind it.
    pub fn target(&self) -> SocketAddr {
        self.inner.target
    }

    /// As a URL of the Redis behind it.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.inner.address)
    }

    /// Delays each byte by `delay`, in both directions: a round trip then takes twice that.
    pub fn delay(&self, delay: Duration) {
        self.delay_lane(Direction::Up, delay);
        self.delay_lane(Direction::Down, delay);
    }

    /// Delays each byte in one direction by `delay`, without limiting how many are on their way.
    pub fn delay_lane(&self, direction: Direction, delay: Duration) {
        self.inner.rules.send_modify(|rules| rules.lane_mut(direction).delay = delay);
    }

    /// Keeps all connections, old and new, and passes nothing in either direction.
    pub fn black_hole(&self) {
        self.black_hole_lane(Direction::Up);
        self.black_hole_lane(Direction::Down);
    }

    /// Passes nothing in one direction. What is sent meanwhile arrives after [`Proxy::heal`], as
    /// after a network was parted.
    pub fn black_hole_lane(&self, direction: Direction) {
        self.inner.rules.send_modify(|rules| rules.lane_mut(direction).black_hole = true);
    }

    /// Resets all connections and refuses new ones; done when it returns.
    pub fn cut(&self) {
        // Only a bind can fail.
        let _ = self.inner.order(Order::Cut);
    }

    /// Resets the connections there are and goes on accepting new ones.
    pub fn reset_connections(&self) {
        let _ = self.inner.order(Order::Reset);
    }

    /// Ends one direction of the connections there are (a FIN); the other one goes on.
    pub fn half_close(&self, direction: Direction) {
        let next = self.inner.ledger.next_connection();
        self.inner.rules.send_modify(|rules| rules.lane_mut(direction).closed_before = next);
    }

    /// Undoes cuts, black holes and delays.
    ///
    /// # Errors
    /// When the port cannot be bound again.
    pub fn heal(&self) -> Result<()> {
        self.inner.order(Order::Listen).context("binding a proxy's port")?;
        for direction in [Direction::Up, Direction::Down] {
            self.inner.rules.send_modify(|rules| {
                let lane = rules.lane_mut(direction);
                lane.delay = Duration::ZERO;
                lane.black_hole = false;
            });
        }
        Ok(())
    }

    /// What passed since the start or the last [`Proxy::reset_counts`].
    pub fn counts(&self) -> Counts {
        self.inner.ledger.counts()
    }

    /// The same, for each connection.
    pub fn connections(&self) -> Vec<ConnectionCounts> {
        self.inner.ledger.connections()
    }

    /// The total of round trips, see [`Counts::round_trips`].
    pub fn round_trips(&self) -> u64 {
        self.counts().round_trips
    }

    /// The counter of waits, shared with other proxies if it was given to them.
    pub fn waits(&self) -> &Waits {
        self.inner.ledger.waits()
    }

    /// Begins to count anew (not the waits: those have their own reset).
    pub fn reset_counts(&self) {
        self.inner.ledger.reset();
    }
}

impl Inner {
    /// Gives an order and waits until it is carried out. The proxy's runtime is another one than
    /// the caller's, so this may block in any context.
    fn order(&self, order: Order) -> io::Result<()> {
        let (answer, answers) = mpsc::sync_channel(1);
        self.orders.send((order, answer)).map_err(io::Error::other)?;
        answers.recv().map_err(io::Error::other)?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The port goes back only when nobody listens on it any more.
        let _ = self.order(Order::Cut);
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("testkit-proxy")
            .enable_all()
            .build()
            .expect("a runtime can be built")
    })
}
