//! What really happened, and whether an answer may be what it is.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Instant, ManualClock};

/// Sources 0 to 3 are a tenant's, 4 and 5 are shared by all.
pub const SOURCES: usize = 6;

/// News reach a listener that is well connected within this time.
const BUS_BOUND: Duration = Duration::from_millis(60);
/// How long a node must have been left alone to count as well connected.
const SETTLED: Duration = Duration::from_secs(2);

/// The databases behind the widgets, and a record of every invalidation that returned.
#[derive(Clone)]
pub struct Oracle(Arc<Mutex<State>>);

struct State {
    clock: Arc<ManualClock>,
    trust_bound: Duration,
    data: [u64; SOURCES],
    invalidated: Vec<Invalidated>,
    cleared: Vec<Cleared>,
    /// When a node was last cut off, paused or started, or a master replaced.
    disturbed: Vec<Instant>,
    /// When a master last lost what it had confirmed.
    forgot_at: Instant,
    computing: Vec<(u64, Vec<usize>)>,
    next: u64,
    report: Report,
}

struct Invalidated {
    source: usize,
    version: u64,
    returned_at: Instant,
    /// Its place among all that happened: many things happen at one instant.
    returned: u64,
    node: usize,
}

struct Cleared {
    /// A widget, or one reading of it.
    what: String,
    called_at: Instant,
    returned: u64,
    node: usize,
    /// A store that lost it may forget it.
    forgotten: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub fresh: u64,
    pub stale: u64,
    pub errors: u64,
    pub computes: u64,
    pub invalidations: u64,
    /// Invalidations that returned while a compute that depends on them was under way.
    pub overlaps: u64,
    pub failovers: u64,
    pub rollbacks: u64,
    pub violations: Vec<String>,
}

/// A read that has begun.
#[derive(Clone, Copy)]
pub struct Began {
    node: usize,
    at: Instant,
    place: u64,
}

/// A compute under way.
pub struct Computing {
    oracle: Oracle,
    id: u64,
}

impl Drop for Computing {
    fn drop(&mut self) {
        self.oracle.state().computing.retain(|(id, _)| *id != self.id);
    }
}

impl Oracle {
    pub fn new(clock: Arc<ManualClock>, trust_bound: Duration) -> Self {
        Self(Arc::new(Mutex::new(State {
            clock,
            trust_bound,
            data: [0; SOURCES],
            invalidated: Vec::new(),
            cleared: Vec::new(),
            disturbed: Vec::new(),
            forgot_at: Instant::from_nanos(0),
            computing: Vec::new(),
            next: 0,
            report: Report::default(),
        })))
    }

    pub fn source(&self, source: usize) -> u64 {
        self.state().data[source]
    }

    /// Commits a change to a source. Returns the version to be announced.
    pub fn write(&self, source: usize) -> u64 {
        let mut state = self.state();
        state.data[source] += 1;
        state.data[source]
    }

    pub fn invalidated(&self, node: usize, source: usize, version: u64) {
        let mut state = self.state();
        let (returned_at, returned) = (state.clock.now(), state.place());
        state.report.invalidations += 1;
        if state.computing.iter().any(|(_, sources)| sources.contains(&source)) {
            state.report.overlaps += 1;
        }
        state.invalidated.push(Invalidated { source, version, returned_at, returned, node });
    }

    pub fn now(&self) -> Instant {
        self.state().clock.now()
    }

    pub fn cleared(&self, node: usize, what: String, called_at: Instant) {
        let mut state = self.state();
        let returned = state.place();
        // It may have been done, and undone, before the reply came.
        let forgotten = state.forgot_at >= called_at;
        state.cleared.push(Cleared { what, called_at, returned, node, forgotten });
    }

    pub fn disturb(&self, node: usize) {
        let mut state = self.state();
        let now = state.clock.now();
        if state.disturbed.len() <= node {
            state.disturbed.resize(node + 1, now);
        }
        state.disturbed[node] = now;
    }

    pub fn disturb_all(&self, rollback: bool) {
        let mut state = self.state();
        let now = state.clock.now();
        state.disturbed.fill(now);
        state.forgot_at = now;
        for cleared in &mut state.cleared {
            cleared.forgotten = true;
        }
        if rollback {
            state.report.rollbacks += 1;
        } else {
            state.report.failovers += 1;
        }
    }

    pub fn compute(&self, sources: &[usize]) -> Computing {
        let mut state = self.state();
        let id = state.place();
        state.report.computes += 1;
        state.computing.push((id, sources.to_vec()));
        Computing { oracle: self.clone(), id }
    }

    pub fn begin(&self, node: usize) -> Began {
        let mut state = self.state();
        Began { node, at: state.clock.now(), place: state.place() }
    }

    pub fn failed(&self) {
        self.state().report.errors += 1;
    }

    pub fn violation(&self, text: String) {
        self.state().report.violations.push(text);
    }

    pub fn report(&self) -> Report {
        self.state().report.clone()
    }

    /// Checks an answer against all that had returned before its read began.
    pub fn check(&self, began: Began, reading: &str, strict: bool, fresh: bool, value: &Value) {
        let mut state = self.state();
        if fresh {
            state.report.fresh += 1;
        } else {
            state.report.stale += 1;
        }
        let mut wrong = String::new();
        if strict && !fresh {
            write!(wrong, "a strict widget served a stale value; ").expect("a string");
        }
        for cleared in &state.cleared {
            let known = cleared.node == began.node && cleared.returned < began.place;
            let meant = reading.starts_with(&cleared.what) && !cleared.forgotten;
            if known && meant && value.read_at < cleared.called_at {
                write!(wrong, "cleared at {:?}; ", cleared.called_at).expect("a string");
            }
        }
        for (source, version) in value.sources.iter().filter(|_| fresh) {
            for news in state.invalidated.iter().filter(|news| news.source == *source) {
                if *version < news.version && state.must_know(began, strict, news) {
                    let Invalidated { version: newer, returned_at, node, .. } = news;
                    write!(
                        wrong,
                        "source {source} at {version}, but {newer} was announced on node {node} \
                         and returned at {returned_at:?}; "
                    )
                    .expect("a string");
                    break;
                }
            }
        }
        if !wrong.is_empty() {
            let Began { node, at, .. } = began;
            let (kind, now) = (if fresh { "fresh" } else { "stale" }, state.clock.now());
            state.report.violations.push(format!(
                "{kind} {reading} read on node {node} from {at:?} to {now:?}: {wrong}"
            ));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Law 5: at once on the node that announced it, within the bus bound where nothing is wrong,
    /// within the heartbeat bound everywhere; a strict widget at once.
    fn must_know(&self, began: Began, strict: bool, news: &Invalidated) -> bool {
        if strict || news.node == began.node {
            return began.place > news.returned;
        }
        let calm =
            self.disturbed.get(began.node).is_some_and(|last| *last + SETTLED < news.returned_at);
        let bound = if calm { BUS_BOUND } else { self.trust_bound };
        began.at >= news.returned_at + bound
    }
}

/// What a compute returns: the versions of its sources, and when the first of them was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub sources: Vec<(usize, u64)>,
    pub read_at: Instant,
}

impl Value {
    pub fn encode(&self) -> String {
        let mut text = self.read_at.as_nanos().to_string();
        for (source, version) in &self.sources {
            write!(text, " {source}={version}").expect("a string");
        }
        text
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("our own text");
        let mut words = text.split(' ');
        let read_at = words.next().and_then(|word| word.parse().ok()).expect("a time");
        let pair = |word: &str| {
            let (source, version) = word.split_once('=').expect("a pair");
            (source.parse().expect("a source"), version.parse().expect("a version"))
        };
        Self { read_at: Instant::from_nanos(read_at), sources: words.map(pair).collect() }
    }
}
