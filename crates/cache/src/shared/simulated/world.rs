//! Two simulated masters with a replica each, the networks between them and the nodes, and all
//! that can go wrong.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Instant, Random};
use samovar_store::Trust;
use tokio::sync::Notify;

use super::{StoreLaw, keyspace::Keyspace};

/// Tenants' keys live on the first master, what all tenants share on the second.
pub const MASTERS: usize = 2;

/// All simulated servers and networks. Cheap to clone; all clones are one world.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

struct State {
    clock: Clock,
    random: Random,
    timing: Timing,
    law: Option<StoreLaw>,
    masters: [Master; MASTERS],
    lines: Vec<[Line; MASTERS]>,
}

/// How long things take in a simulated world.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Of a request, and of a reply: up to this.
    pub latency: Duration,
    /// Of news to a listener: up to this.
    pub bus_delay: Duration,
    /// Until a request to a silent server is given up.
    pub give_up: Duration,
    pub beat_every: Duration,
    /// The heartbeat bound.
    pub trust_bound: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(3),
            bus_delay: Duration::from_millis(20),
            give_up: Duration::from_millis(200),
            beat_every: Duration::from_millis(250),
            trust_bound: Duration::from_secs(1),
        }
    }
}

/// A master and its replica. The one whose turn it is answers.
struct Master {
    data: Keyspace,
    /// What the replica has received.
    replica: Keyspace,
    /// An older state on disk.
    snapshot: Keyspace,
    /// Which of the two servers is master: their run ids and clocks differ.
    server: usize,
    run_ids: [u64; 2],
    skews_ms: [u64; 2],
    /// Changes whenever the history may have forked.
    replication_id: u64,
}

/// What a node can reach of one master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    Up,
    /// Commands pass, news and heartbeats do not.
    Deaf,
    /// Nothing passes.
    Cut,
}

struct Line {
    reach: Reach,
    link: Option<Link>,
    /// Sent to the listener, not delivered yet.
    news: VecDeque<(Instant, News)>,
    /// Told when there may be something to deliver.
    arrived: Arc<Notify>,
}

/// One unbroken session of a node with a master.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) incarnation: u64,
    pub(super) trust: Arc<Trust>,
}

#[derive(Clone, Debug)]
pub(super) enum News {
    Payload(Vec<u8>),
    /// Carries its own send time, as the real one's nonce stands for.
    Beat {
        link: u64,
        sent_at: Instant,
    },
}

impl World {
    /// `law`: which of its laws the store breaks, if any.
    pub fn new(clock: Clock, random: Random, timing: Timing, law: Option<StoreLaw>) -> Self {
        let masters = std::array::from_fn(|_| Master {
            data: Keyspace::default(),
            replica: Keyspace::default(),
            snapshot: Keyspace::default(),
            server: 0,
            run_ids: [random.id(), random.id()],
            skews_ms: [random.below(5000), random.below(5000)],
            replication_id: random.id(),
        });
        Self(Arc::new(Mutex::new(State { clock, random, timing, law, masters, lines: Vec::new() })))
    }

    /// A new node with lines to both masters. Returns its number.
    pub(super) fn add_node(&self) -> usize {
        let mut state = self.state();
        let line = || Line {
            reach: Reach::Up,
            link: None,
            news: VecDeque::new(),
            arrived: Arc::default(),
        };
        state.lines.push([line(), line()]);
        state.lines.len() - 1
    }

    /// How many nodes there were so far.
    pub fn nodes(&self) -> usize {
        self.state().lines.len()
    }

    pub fn set_reach(&self, node: usize, master: usize, reach: Reach) {
        let mut state = self.state();
        let lost = state.random.below(2) == 0;
        let line = &mut state.lines[node][master];
        // What was under way may still arrive, late; or the connection turns out to be dead.
        if line.reach != Reach::Up && reach == Reach::Up && lost {
            line.break_off();
        }
        line.reach = reach;
        line.arrived.notify_one();
    }

    pub fn reach(&self, node: usize, master: usize) -> Reach {
        self.state().lines[node][master].reach
    }

    /// The replica receives all that happened.
    pub fn replicate(&self, master: usize) {
        let mut state = self.state();
        let master = &mut state.masters[master];
        master.replica = master.data.clone();
    }

    /// The replica takes over with what it has; the old master becomes its replica.
    pub fn fail_over(&self, master: usize) {
        let mut state = self.state();
        let id = state.random.id();
        let master = &mut state.masters[master];
        master.data = master.replica.clone();
        master.server = 1 - master.server;
        master.replication_id = id;
    }

    /// Writes what there is to disk.
    pub fn save(&self, master: usize) {
        let mut state = self.state();
        let master = &mut state.masters[master];
        master.snapshot = master.data.clone();
    }

    /// The server dies and starts again from what is on its disk.
    pub fn restart(&self, master: usize) {
        let mut state = self.state();
        let (run_id, replication_id) = (state.random.id(), state.random.id());
        let master = &mut state.masters[master];
        master.data = master.snapshot.clone();
        master.replica = master.data.clone();
        master.run_ids[master.server] = run_id;
        master.replication_id = replication_id;
    }

    /// Memory pressure takes a key.
    pub fn evict(&self, master: usize) {
        let mut state = self.state();
        let nth = state.random.next_u64();
        state.masters[master].data.evict(nth);
    }

    /// Tokens, versions and entries in all masters.
    pub fn keys(&self) -> usize {
        self.state().masters.iter().map(|master| master.data.len()).sum()
    }

    pub(super) fn timing(&self) -> Timing {
        self.state().timing
    }

    /// A random duration up to `longest`, in whole microseconds.
    pub(super) fn up_to(&self, longest: Duration) -> Duration {
        let micros = longest.as_micros() as u64 + 1;
        Duration::from_micros(self.state().random.below(micros))
    }

    pub(super) fn link(&self, node: usize, master: usize) -> Option<Link> {
        self.state().lines[node][master].link.clone()
    }

    /// Opens a session if the master can be reached and there is none.
    pub(super) fn open(&self, node: usize, master: usize) {
        let mut state = self.state();
        let incarnation = state.incarnation(master);
        let id = state.random.id();
        let line = &mut state.lines[node][master];
        if line.reach == Reach::Up && line.link.is_none() {
            let trust = Arc::new(Trust::unproven());
            line.link = Some(Link { id, incarnation, trust });
        }
    }

    /// Ends a session: what was under way to its listener is lost with it.
    pub(super) fn close(&self, node: usize, master: usize, link: u64) {
        let line = &mut self.state().lines[node][master];
        if line.link.as_ref().is_some_and(|open| open.id == link) {
            line.break_off();
        }
    }

    /// Runs an operation at a master, over a session that must still be what it was.
    pub(super) fn execute<R>(
        &self,
        node: usize,
        master: usize,
        link: &Link,
        operation: impl FnOnce(&mut Keyspace, u64, Option<StoreLaw>) -> (R, Vec<Vec<u8>>),
    ) -> Executed<R> {
        let mut state = self.state();
        if state.lines[node][master].reach == Reach::Cut {
            return Executed::Silence;
        }
        let open = state.lines[node][master].link.as_ref().is_some_and(|open| open.id == link.id);
        if !open || state.incarnation(master) != link.incarnation {
            return Executed::Refused;
        }
        let now_ms = state.now_ms(master);
        let law = state.law;
        let (result, published) = operation(&mut state.masters[master].data, now_ms, law);
        for payload in published {
            state.publish(master, &News::Payload(payload));
        }
        Executed::Done(result, now_ms)
    }

    /// A heartbeat arrives at the master: written, and published back over the same session.
    pub(super) fn beat(&self, node: usize, master: usize, link: &Link, sent_at: Instant) -> bool {
        let mut state = self.state();
        let current = state.incarnation(master) == link.incarnation;
        let at = state.delivery(node, master);
        let line = &mut state.lines[node][master];
        let open = line.link.as_ref().is_some_and(|open| open.id == link.id);
        if !open || !current {
            return false;
        }
        if line.reach != Reach::Cut {
            line.push(at, News::Beat { link: link.id, sent_at });
        }
        true
    }

    /// The next news for a listener, if its time has come.
    pub(super) fn deliver(&self, node: usize, master: usize) -> Delivery {
        let mut state = self.state();
        let now = state.clock.now();
        let line = &mut state.lines[node][master];
        match line.news.front() {
            Some((at, _)) if line.reach == Reach::Up => match at.since(now) {
                Duration::ZERO => {
                    let (_, news) = line.news.pop_front().expect("just seen");
                    Delivery::News(news)
                }
                wait => Delivery::Later(wait),
            },
            _ => Delivery::Nothing(line.arrived.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) enum Executed<R> {
    Done(R, u64),
    /// Nobody answers.
    Silence,
    /// The session is over: nothing was done.
    Refused,
}

pub(super) enum Delivery {
    News(News),
    Later(Duration),
    /// Nothing is under way.
    Nothing(Arc<Notify>),
}

impl State {
    fn incarnation(&self, master: usize) -> u64 {
        let master = &self.masters[master];
        match self.law {
            Some(StoreLaw::IncarnationOfHistory) => master.run_ids[master.server],
            _ => master.replication_id,
        }
    }

    fn now_ms(&self, master: usize) -> u64 {
        let master = &self.masters[master];
        1_000_000_000 + self.clock.now().as_nanos() / 1_000_000 + master.skews_ms[master.server]
    }

    /// To all who listen to this master.
    fn publish(&mut self, master: usize, news: &News) {
        for node in 0..self.lines.len() {
            let at = self.delivery(node, master);
            let line = &mut self.lines[node][master];
            // A connection has no gaps: what cannot pass now arrives later or the link ends.
            if line.link.is_some() {
                line.push(at, news.clone());
            }
        }
    }

    /// When something that is sent now arrives: never before what was sent earlier.
    fn delivery(&self, node: usize, master: usize) -> Instant {
        let delay = self.random.below(self.timing.bus_delay.as_micros() as u64 + 1);
        let at = self.clock.now() + Duration::from_micros(delay);
        let before = self.lines[node][master].news.back().map(|(at, _)| *at);
        before.map_or(at, |before| before.max(at))
    }
}

impl Line {
    fn push(&mut self, at: Instant, news: News) {
        self.news.push_back((at, news));
        self.arrived.notify_one();
    }

    fn break_off(&mut self) {
        if let Some(link) = self.link.take() {
            link.trust.end();
        }
        self.news.clear();
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
