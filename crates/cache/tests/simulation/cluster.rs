//! Nodes that run the production cache, the readers and writers on them, and the chaos around.

mod bundled;

use std::{sync::Arc, time::Duration};

use samovar_cache::{
    Answer, Beginning, Cache, Definition, Freshness, How, Laws, ReadError, Settings, Subject, Tag,
    Tenant, Widget,
    simulated::{Connection, Reach, Timing, World},
};
use samovar_clock::{Clock, ManualClock, Random, WallTime};

use crate::{
    Broken,
    executor::Executor,
    oracle::{Oracle, Value},
};

/// Tasks of the world itself, which is never paused.
const WORLD: usize = usize::MAX;
pub const NODES: usize = 3;

#[derive(Clone)]
pub struct Cluster {
    pub executor: Executor,
    pub oracle: Oracle,
    pub world: World,
    pub clock: Arc<ManualClock>,
    pub random: Random,
    broken: Option<Broken>,
    tenant: Tenant,
}

/// One process. A new life of the same machine is another node.
#[derive(Clone)]
pub struct Node {
    pub group: usize,
    cluster: Cluster,
    cache: Cache,
    plain: Widget,
    strict: Widget,
    whole: Widget,
}

/// Which reading somebody is after.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// Of one tenant's source and a shared one.
    Plain { own: usize, shared: usize },
    /// The same source, asked for strictly.
    Strict { own: usize },
    /// Composed of two plain readings.
    Whole,
}

impl Wanted {
    fn name(self) -> String {
        match self {
            Wanted::Plain { own, shared } => format!("plain {own} {shared}"),
            Wanted::Strict { own } => format!("strict {own}"),
            Wanted::Whole => "whole".to_owned(),
        }
    }
}

impl Cluster {
    pub fn new(seed: u64, broken: Option<Broken>) -> Self {
        let random = Random::seeded(seed);
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_700_000_000_000)));
        let timing = Timing::default();
        let law = match broken {
            Some(Broken::Store(law)) => Some(law),
            _ => None,
        };
        Self {
            executor: Executor::new(clock.clone(), random.clone()),
            oracle: Oracle::new(clock.clone(), timing.trust_bound),
            world: World::new(Clock::Manual(clock.clone()), random.clone(), timing, law),
            clock,
            random,
            broken,
            tenant: Tenant::new("acme").expect("valid"),
        }
    }

    /// Starts a process.
    pub fn start(&self) -> Node {
        let mut number = 0;
        let clock = Clock::Manual(self.clock.clone());
        // Tasks are grouped by the number that the connection is about to get.
        let group = self.world.nodes();
        let clock = match self.broken {
            Some(Broken::TickingClock) => self.ticking(group),
            _ => clock,
        };
        let spawner = self.executor.spawner(group);
        let laws = match self.broken {
            Some(Broken::Node(law)) => Laws::all_but(law),
            _ => Laws::default(),
        };
        let cache = Cache::builder()
            .settings(Settings {
                // Some hold all they read, others must ask the shared tier again and again.
                memory: if self.random.below(2) == 0 { 1 << 20 } else { 4 << 10 },
                value_limit: 1 << 10,
                lease: Duration::from_millis(600),
                versions: 64,
                unstored_computes: 2,
                ..Settings::default()
            })
            .clock(clock.clone())
            .random(self.random.clone())
            .spawner(spawner.clone())
            .simulate(laws, |listener| {
                let connection = Connection::open(&self.world, clock, &spawner, listener);
                number = connection.node();
                connection
            })
            .expect("opens");
        assert_eq!(number, group, "groups and nodes are numbered alike");
        self.oracle.disturb(group);
        let mut freshness = Freshness::new("sim", Duration::from_secs(6));
        freshness.grace = Duration::from_secs(6);
        let declare = |definition: Definition| {
            let definition = definition
                .freshness(freshness.clone())
                .patience(Duration::from_millis(300))
                .deadline(Duration::from_secs(5))
                .compute_limit(Duration::from_secs(8));
            cache.declare(definition).expect("valid")
        };
        let plain = declare(Definition::new("plain"));
        let strict = declare(Definition::new("strict").strict());
        let whole = declare(Definition::new("whole"));
        Node { group, cluster: self.clone(), cache, plain, strict, whole }
    }

    /// A clock that a task of the node moves: it stands still while the node does.
    fn ticking(&self, group: usize) -> Clock {
        let own = Arc::new(ManualClock::new(WallTime::from_millis(1_700_000_000_000)));
        own.advance_to(self.clock.now());
        let (shared, ticks) = (self.clock.clone(), own.clone());
        self.executor.spawn(group, async move {
            let clock = Clock::Manual(shared.clone());
            loop {
                clock.sleep(Duration::from_millis(5)).await;
                ticks.advance_to(shared.now());
            }
        });
        Clock::Manual(own)
    }

    pub fn up_to(&self, ms: u64) -> Duration {
        Duration::from_micros(self.random.below(ms * 1000 + 1))
    }

    pub async fn sleep(&self, duration: Duration) {
        Clock::Manual(self.clock.clone()).sleep(duration).await;
    }

    /// Runs outside of all nodes.
    pub fn outside(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(WORLD, task);
    }

    /// One thing goes wrong with a master, at random.
    pub fn disturb_master(&self) {
        let master = self.random.below(2) as usize;
        match self.random.below(12) {
            0..4 => self.world.replicate(master),
            4..6 => self.world.save(master),
            6..9 => self.world.evict(master),
            9..11 => {
                self.world.fail_over(master);
                self.oracle.disturb_all(false);
                // As often as not the old master comes back.
                let cluster = self.clone();
                let (back, after) = (self.random.below(2) == 0, self.up_to(500));
                self.outside(async move {
                    cluster.sleep(after).await;
                    if back {
                        cluster.world.fail_over(master);
                        cluster.oracle.disturb_all(false);
                    }
                });
            }
            _ => {
                self.world.restart(master);
                self.oracle.disturb_all(true);
            }
        }
    }

    /// A line of a node goes wrong for a while.
    pub fn disturb_line(&self, node: usize) {
        let master = self.random.below(2) as usize;
        let reach = if self.random.below(3) == 0 { Reach::Cut } else { Reach::Deaf };
        self.world.set_reach(node, master, reach);
        self.oracle.disturb(node);
        let cluster = self.clone();
        let duration = self.up_to(4000);
        self.outside(async move {
            cluster.sleep(duration).await;
            cluster.world.set_reach(node, master, Reach::Up);
            cluster.oracle.disturb(node);
        });
    }

    /// A node stands still for a while, as if stopped by a signal.
    pub fn pause(&self, node: usize) {
        if self.executor.is_paused(node) {
            return;
        }
        self.executor.pause(node);
        self.oracle.disturb(node);
        let cluster = self.clone();
        let duration = self.up_to(3000);
        self.outside(async move {
            cluster.sleep(duration).await;
            cluster.oracle.disturb(node);
            cluster.executor.resume(node);
        });
    }
}

impl Node {
    pub fn read(&self, wanted: Wanted) {
        let node = self.clone();
        self.cluster.executor.spawn(self.group, async move {
            let oracle = &node.cluster.oracle;
            let began = oracle.begin(node.group);
            match node.answer(wanted).await {
                Ok(answer) => {
                    let value = Value::decode(&answer.bytes().expect("not compressed"));
                    let strict = matches!(wanted, Wanted::Strict { .. });
                    oracle.check(began, &wanted.name(), strict, answer.is_fresh(), &value);
                }
                Err(_) => oracle.failed(),
            }
        });
    }

    async fn answer(&self, wanted: Wanted) -> Result<Answer, ReadError> {
        match wanted {
            Wanted::Plain { own, shared } => self.plain(own, shared).await,
            Wanted::Strict { own } => {
                let (own_text, tags) = (own.to_string(), [tag(own)]);
                let params = [("own", own_text.as_str())];
                let reading = self.strict.reading(&self.cluster.tenant).params(&params).tags(&tags);
                self.cache.get_or_compute(&reading, self.compute(vec![own])).await
            }
            Wanted::Whole => self.whole().await,
        }
    }

    async fn plain(&self, own: usize, shared: usize) -> Result<Answer, ReadError> {
        let (own_text, shared_text) = (own.to_string(), shared.to_string());
        let params = [("own", own_text.as_str()), ("shared", shared_text.as_str())];
        let tags = [tag(own), tag(shared)];
        let reading = self.plain.reading(&self.cluster.tenant).params(&params).tags(&tags);
        self.cache.get_or_compute(&reading, self.compute(vec![own, shared])).await
    }

    /// Reads the sources one after the other, taking its time.
    fn compute(
        &self,
        sources: Vec<usize>,
    ) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + use<>
    {
        let cluster = self.cluster.clone();
        move || {
            Box::pin(async move {
                let _computing = cluster.oracle.compute(&sources);
                cluster.dawdle().await;
                let read_at = cluster.clock.now();
                let mut value = Value { sources: Vec::new(), read_at };
                for source in sources {
                    value.sources.push((source, cluster.oracle.source(source)));
                    cluster.dawdle().await;
                }
                if cluster.random.below(20) == 0 {
                    return Err("the source failed".to_owned());
                }
                Ok(value.encode())
            })
        }
    }

    /// Composes two plain readings.
    async fn whole(&self) -> Result<Answer, ReadError> {
        let tags = [Tag::new("d").expect("valid"), Tag::global("g").expect("valid")];
        let reading = self.whole.reading(&self.cluster.tenant).tags(&tags);
        let parts = [(0, 4), (1, 5)];
        if self.cluster.broken == Some(Broken::ComposedAfterInputs) {
            let mut read = Vec::new();
            for (own, shared) in parts {
                read.push(self.plain(own, shared).await?);
            }
            if !read.iter().all(Answer::is_fresh) {
                return Err(ReadError::Typed("a part is stale".to_owned()));
            }
            self.cluster.dawdle().await;
            return match self.cache.begin(&reading).await? {
                Beginning::Answer(answer) => Ok(answer),
                Beginning::Compute(ticket) => ticket.commit(self.compose(&read)).await,
            };
        }
        let ticket = match self.cache.begin(&reading).await? {
            Beginning::Answer(answer) => return Ok(answer),
            Beginning::Compute(ticket) => ticket,
        };
        let _computing = self.cluster.oracle.compute(&[0, 1, 4, 5]);
        for _ in 0..5 {
            let texts = parts.map(|(own, shared)| [own.to_string(), shared.to_string()]);
            let params: Vec<[(&str, &str); 2]> = texts
                .iter()
                .map(|[own, shared]| [("own", &**own), ("shared", &**shared)])
                .collect();
            let tags = parts.map(|(own, shared)| [tag(own), tag(shared)]);
            let readings: Vec<_> = params
                .iter()
                .zip(&tags)
                .map(|(params, tags)| {
                    self.plain.reading(&self.cluster.tenant).params(params).tags(tags)
                })
                .collect();
            let found = ticket.parts().read(&readings).await?;
            if found.iter().all(Option::is_some) {
                let found: Vec<Answer> = found.into_iter().flatten().collect();
                self.cluster.dawdle().await;
                return ticket.commit(self.compose(&found)).await;
            }
            for ((own, shared), found) in parts.into_iter().zip(&found) {
                if found.is_none() {
                    self.plain(own, shared).await?;
                }
            }
        }
        Err(ticket.fail("the parts keep changing").await)
    }

    fn compose(&self, parts: &[Answer]) -> String {
        let read = |part: &Answer| Value::decode(&part.bytes().expect("not compressed")).sources;
        let sources = parts.iter().flat_map(read).collect();
        Value { sources, read_at: self.cluster.clock.now() }.encode()
    }

    /// Changes a source and announces it, again and again until the store has taken it.
    pub fn write(&self, source: usize) {
        let node = self.clone();
        self.cluster.executor.spawn(self.group, async move {
            let cluster = &node.cluster;
            let version = cluster.oracle.write(source);
            cluster.sleep(cluster.up_to(20)).await;
            let over = if cluster.random.below(6) == 0 { 2000 } else { 0 };
            let how = How { over: Duration::from_millis(over), cause: "write".to_owned() };
            let tags = [tag(source)];
            while let Err(_lost) =
                node.cache.invalidate(&Subject::Tags(&tags), Some(&cluster.tenant), &how).await
            {
                cluster.sleep(cluster.up_to(200)).await;
            }
            cluster.oracle.invalidated(node.group, source, version);
        });
    }

    pub fn clear(&self, widget: &'static str) {
        let node = self.clone();
        self.cluster.executor.spawn(self.group, async move {
            let cluster = &node.cluster;
            let called_at = cluster.oracle.now();
            let subject = Subject::Widget(widget);
            if node.cache.clear(&subject, Some(&cluster.tenant), &How::default()).await.is_ok() {
                cluster.oracle.cleared(node.group, widget.to_owned(), called_at);
            }
        });
    }

    /// Clears one plain reading by its key.
    pub fn clear_reading(&self, own: usize, shared: usize) {
        let node = self.clone();
        self.cluster.executor.spawn(self.group, async move {
            let cluster = &node.cluster;
            let called_at = cluster.oracle.now();
            let (own_text, shared_text) = (own.to_string(), shared.to_string());
            let params = [("own", own_text.as_str()), ("shared", shared_text.as_str())];
            let reading = node.plain.reading(&cluster.tenant).params(&params);
            if node.cache.clear_reading(&reading).await.is_ok() {
                let name = Wanted::Plain { own, shared }.name();
                cluster.oracle.cleared(node.group, name, called_at);
            }
        });
    }

    pub fn in_flight(&self) -> usize {
        self.cache.local_state().in_flight
    }
}

impl Cluster {
    /// Mostly quick, sometimes longer than a lease lasts without renewal.
    async fn dawdle(&self) {
        let longest = if self.random.below(8) == 0 { 1500 } else { 60 };
        self.sleep(self.up_to(longest)).await;
    }
}

fn tag(source: usize) -> Tag {
    let made = match source {
        0..4 => Tag::new(&format!("d/{source}")),
        _ => Tag::global(&format!("g/{source}")),
    };
    made.expect("valid")
}
