//! The loop of a worker: claims for the slots that are free, tends the queues, drains.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use samovar_clock::{Clock, Instant, Random};
use samovar_memory::{
    Budget, InvalidShare, Pressure, Thresholds, Watch, child::Pool, watch as watch_memory,
};
use tokio::{
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    attempt::{self, Host},
    beats,
    context::{Common, Told},
    gather::Gather,
    reach::Reach,
    registry::Registry,
    remote::Remotes,
    served::{Served, leftovers, shares},
    signs::{Signs, told_to_end},
    slots::{Look, Scale, Slots},
    steps,
};
use crate::{
    Claimed, QueueName, Rule, Store, StoreError, WorkerName,
    backoff::Backoff,
    store::{Claim, Order, Period, QueueFigures, Reap, Suspects},
};

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    pub name: WorkerName,
    pub queues: Vec<Served>,
    /// Jobs at a time.
    pub slots: Slots,
    /// How long the worker may stay silent about a job before it is taken back.
    pub lease: Duration,
    /// Between two heartbeats at most, however long the leases are.
    pub beat: Duration,
    /// How long an idle worker waits before it looks again.
    pub poll: Duration,
    /// How long running jobs may go on when the worker drains.
    pub drain: Duration,
    /// Failed calls of a remote in a row, on one queue, that open its breaker.
    pub breaker_failures: u32,
    /// Where suspects and isolated jobs run. Without it suspects run with nothing beside them.
    pub children: Option<Pool>,
    /// Between two looks at what running jobs hold.
    pub watch: Duration,
    /// What else gives memory back when it is tight: a cache's local tier.
    pub relief: Option<Relief>,
    /// The version of the program, for people.
    pub binary: String,
}

/// Told of pressure, again and again while it lasts.
#[derive(Clone)]
pub struct Relief(Arc<dyn Fn(Pressure) + Send + Sync>);

impl Relief {
    pub fn new(relieve: impl Fn(Pressure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(relieve))
    }
}

impl fmt::Debug for Relief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relief")
    }
}

impl Settings {
    /// Four slots, leases of 30 s, a beat every 2 s, a look every 250 ms, 30 s to drain, five failed
    /// calls for a breaker, no child processes.
    pub fn new(name: WorkerName, queues: Vec<Served>) -> Self {
        Self {
            name,
            queues,
            slots: Slots::fixed(4),
            lease: Duration::from_secs(30),
            beat: Duration::from_secs(2),
            poll: Duration::from_millis(250),
            drain: Duration::from_secs(30),
            breaker_failures: 5,
            children: None,
            watch: Duration::from_secs(1),
            relief: None,
            binary: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerState {
    /// As many as are open now.
    pub slots: usize,
    pub held: usize,
    pub draining: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("a worker needs a queue to serve: name at least one")]
    NoQueues,
    #[error("{reserved} slots are reserved but there are {slots}: reserve fewer or have more")]
    Reserved { reserved: usize, slots: usize },
    #[error(transparent)]
    Share(#[from] InvalidShare),
    #[error("the thread for heartbeats cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A worker that runs. Dropped, it goes on; [`Worker::drain`] ends it.
#[derive(Debug)]
pub struct Worker {
    signs: Signs,
    woken: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker on the current Tokio runtime.
    pub fn start(
        settings: Settings,
        store: Arc<Store>,
        registry: Registry,
        budget: Budget,
        clock: Clock,
        random: Random,
    ) -> Result<Self, WorkerError> {
        if settings.queues.is_empty() {
            return Err(WorkerError::NoQueues);
        }
        let settings = Arc::new(settings);
        let reserved: usize = settings.queues.iter().map(|it| it.reserved).sum();
        let others = usize::from(settings.queues.iter().any(|it| it.reserved == 0));
        let slots = settings.slots.max.max(1);
        if reserved + others > slots {
            return Err(WorkerError::Reserved { reserved, slots });
        }
        // With fewer open, those that are reserved would leave none to the other queues.
        let slots = Slots { min: settings.slots.min.max(reserved + others).min(slots), max: slots };
        let (beating, stop) = watch::channel(false);
        let woken = Arc::new(Notify::new());
        let (rules, definitions) = (registry.rules(), registry.definitions());
        let signs = Signs::new(settings.clone(), definitions, budget.clone(), clock.clone());
        let mut shares = Vec::new();
        for it in settings.queues.iter().filter(|it| it.reserved_bytes > 0) {
            budget.reserve(it.queue.as_str(), it.reserved_bytes)?;
            shares.push(it.queue.clone());
        }
        let times = (settings.beat, settings.lease);
        let beats = beats::start(store.clone(), signs.clone(), clock.clone(), times, stop)?;
        let remotes = Remotes::new(store.clone(), settings.breaker_failures, clock.clone());
        let (remotes, registry) = (Arc::new(remotes), Arc::new(registry));
        let reach = Reach::Store(store.clone(), remotes.clone());
        let now = clock.now();
        let starting = store.clone();
        let starts = Gather::start(move |holds| {
            let store = starting.clone();
            async move { store.start(holds).await }
        });
        let finishing = store.clone();
        let finishes = Gather::start(move |finishes| {
            let store = finishing.clone();
            async move { store.finish(finishes).await }
        });
        let host = Host {
            common: Common { reach, registry, budget: Some(budget.clone()), clock, random },
            starts,
            finishes,
            budget,
            holds: signs.holds.clone(),
            freed: woken.clone(),
            children: settings.children.clone(),
            flights: Arc::default(),
            remotes,
            shares: shares.into(),
            ending: signs.ending(),
        };
        let watching =
            tokio::spawn(watching(host.clone(), settings.watch, settings.relief.clone()));
        let round = Loop {
            settings,
            store,
            scale: Scale::new(slots, now),
            signs: signs.clone(),
            host,
            rules,
            woken: woken.clone(),
            attempts: JoinSet::new(),
            suspects_at: now,
            tends_at: now,
            allowed_after: None,
            dry: HashSet::new(),
        };
        let task = tokio::spawn(async move {
            round.run().await;
            watching.abort();
            drop(beating);
            // It says good-bye.
            let _ = tokio::task::spawn_blocking(|| beats.join()).await;
        });
        Ok(Self { signs, woken, task })
    }

    pub fn state(&self) -> WorkerState {
        let Signs { holds, .. } = &self.signs;
        let (slots, draining) = (self.signs.slots(), self.signs.is_ending());
        WorkerState { slots, held: holds.len(), draining }
    }

    /// Looks for jobs now, as after a push in the same process.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Until somebody has told this worker to end, by [`Store::order`]. It drains already: what is
    /// left is [`Worker::drain`], and to start another one after [`Order::Restart`].
    pub async fn ordered(&self) -> Order {
        told_to_end(self.signs.ending()).await
    }

    /// Claims nothing more, gives back what has not started, and waits for what runs; what takes
    /// longer than the settings allow goes back to its queue.
    pub async fn drain(self) {
        self.signs.end(Order::Drain);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a worker ended badly");
        }
    }
}

struct Loop {
    settings: Arc<Settings>,
    store: Arc<Store>,
    scale: Scale,
    signs: Signs,
    host: Host,
    rules: Arc<[Rule]>,
    woken: Arc<Notify>,
    attempts: JoinSet<()>,
    /// When it looks for suspects again.
    suspects_at: Instant,
    /// When it tends the queues again, and takes back what nobody renews.
    tends_at: Instant,
    /// When the first job that a rule held back in this round may go.
    allowed_after: Option<Duration>,
    /// The queues on which this round found the last job there was.
    dry: HashSet<QueueName>,
}

/// Looks at what jobs hold; where that is too much, gives back what can be had again.
async fn watching(host: Host, interval: Duration, relief: Option<Relief>) {
    let (clock, budget) = (&host.common.clock, &host.budget);
    let how = Watch { interval, duration: None, thresholds: Thresholds::default() };
    watch_memory(clock, budget, how, &host.flights, |_, alerts| {
        for alert in alerts {
            tracing::warn!(?alert, "memory of jobs");
        }
        let pressure = budget.pressure();
        if pressure > Pressure::None {
            samovar_memory::purge();
            if let Some(Relief(relieve)) = &relief {
                relieve(pressure);
            }
        }
        std::future::ready(true)
    })
    .await;
}

/// How far back a worker that starts looks for what jobs needed, and how many runs it takes over.
const LEARNED_HOURS: u32 = 24;
const LEARNED_RUNS: u64 = 32;

/// How long free slots wait for others before they are filled, where more jobs wait than there are
/// slots.
const TOGETHER: Duration = Duration::from_millis(2);

/// How often a worker looks for suspects: rare as they are, it stops all else for them.
const LOOK_FOR_SUSPECTS: Duration = Duration::from_secs(1);

impl Loop {
    async fn run(mut self) {
        if let Err(error) = self.learn().await {
            tracing::warn!(%error, "what jobs needed before is not known");
        }
        let mut away = Backoff::default();
        while !self.signs.is_ending() {
            while self.attempts.try_join_next().is_some() {}
            self.allowed_after = None;
            self.dry.clear();
            let round = match self.suspects().await {
                Ok(()) => self.round().await,
                Err(error) => Err(error),
            };
            let rest = match round {
                Ok(busy) => {
                    away = Backoff::default();
                    let rest = self.allowed_after.unwrap_or(Duration::MAX);
                    let tends_after = self.tends_at.since(self.host.common.clock.now());
                    let rest = rest.min(tends_after).min(self.settings.poll);
                    if busy { Duration::ZERO } else { rest }
                }
                // A store that is down stops claiming, never the worker.
                Err(error) => {
                    tracing::warn!(%error, "nothing is claimed");
                    away.next(&self.host.common.random)
                }
            };
            self.rest(rest).await;
        }
        self.drain().await;
    }

    /// What jobs of the last day needed, so that the budget does not begin with their classes.
    async fn learn(&self) -> Result<(), StoreError> {
        let (store, budget) = (&self.store, &self.host.budget);
        for Served { queue, .. } in &self.settings.queues {
            for kind in store.tallies(Period::hours(queue.clone(), LEARNED_HOURS)).await?.kinds {
                let Some(name) = kind.kind else { continue };
                let peaks = kind.total.peak_bytes.sample(LEARNED_RUNS);
                budget.history().seed(name.as_str(), peaks);
            }
        }
        Ok(())
    }

    /// One look at the store. Whether there may be more at once.
    async fn round(&mut self) -> Result<bool, StoreError> {
        let more = self.tend().await?;
        let (running, untold) = self.host.holds.by_queue();
        let slots = self.scale.slots();
        if untold >= slots {
            // The store is slow to learn what became of the last ones.
            return Ok(false);
        }
        let asked = shares(&self.settings.queues, &running, slots, &self.host.common.random);
        let mut got = HashMap::new();
        if !asked.is_empty() {
            self.claim_some(asked.clone(), &mut got).await?;
        }
        let queues = self.settings.queues.clone();
        let mut tried = 0;
        loop {
            let rest = leftovers(&queues, &asked, &got, &running, slots);
            let Some((queue, room)) = rest.into_iter().nth(tried) else { break };
            let claimed = self.claim_some(vec![(queue, room)], &mut got).await?;
            // What gave less than there was room for is empty.
            tried += usize::from(claimed < room);
        }
        let taken = got.values().sum::<usize>() + running.values().sum::<usize>();
        self.rescale(taken);
        let full = taken >= self.scale.slots();
        Ok(!full && more)
    }

    /// Looks after the queues, once in a while. Whether there is more to do at once.
    async fn tend(&mut self) -> Result<bool, StoreError> {
        let now = self.host.common.clock.now();
        if now < self.tends_at {
            return Ok(false);
        }
        let tended = self.store.tend().await?;
        steps::tended("promoted", tended.promoted);
        let reaped = self.store.reap(Reap::Lapsed).await?;
        steps::tended("reaped", reaped.unstarted + reaped.suspects);
        let more = tended.more || reaped.more;
        let rest = tended.next_due.unwrap_or(Duration::MAX).min(self.settings.poll);
        self.tends_at = if more { now } else { now + rest };
        Ok(more)
    }

    /// Without child processes: runs what may have brought down a worker before, one after the other
    /// and nothing beside it. Whoever dies of it then dies of it alone.
    async fn suspects(&mut self) -> Result<(), StoreError> {
        let now = self.host.common.clock.now();
        if self.host.children.is_some() || now < self.suspects_at {
            return Ok(());
        }
        self.suspects_at = now + LOOK_FOR_SUSPECTS;
        let figures = self.store.figures().await?;
        let served = |queue: &QueueName| self.settings.queues.iter().any(|it| it.queue == *queue);
        let wait = |it: &QueueFigures| it.suspects > 0 && !it.paused && served(&it.queue);
        if !figures.iter().any(wait) {
            return Ok(());
        }
        self.until_quiet().await;
        let queues: Vec<QueueName> =
            self.settings.queues.iter().map(|it| it.queue.clone()).collect();
        for queue in queues {
            while !self.signs.is_ending() {
                let claimed = self.claim(vec![(queue.clone(), 1)], Suspects::Only).await?;
                let Some(job) = claimed.into_iter().next() else { break };
                self.begin(job);
                self.until_quiet().await;
            }
        }
        Ok(())
    }

    /// Waits for what runs, unless the worker drains: that waits by itself.
    async fn until_quiet(&mut self) {
        let quiet = async { while self.attempts.join_next().await.is_some() {} };
        tokio::select! {
            () = quiet => {}
            _ = told_to_end(self.signs.ending()) => {}
        }
    }

    async fn claim(
        &mut self,
        queues: Vec<(QueueName, usize)>,
        suspects: Suspects,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claim = Claim {
            worker: self.settings.name.clone(),
            queues: queues.clone(),
            lease: self.settings.lease,
            version: self.host.common.registry.definitions(),
            except: Vec::new(),
            rules: self.rules.clone(),
            suspects,
        };
        steps::asked();
        let given = self.store.claim(claim).await?;
        self.host.remotes.hear(&queues, given.open);
        self.allowed_after = self.allowed_after.into_iter().chain(given.next_allowed).min();
        Ok(given.jobs)
    }

    /// Claims and begins attempts. How many there were.
    async fn claim_some(
        &mut self,
        queues: Vec<(QueueName, usize)>,
        got: &mut HashMap<QueueName, usize>,
    ) -> Result<usize, StoreError> {
        let suspects = if self.host.children.is_some() { Suspects::Also } else { Suspects::None };
        let claimed = self.claim(queues.clone(), suspects).await?;
        let count = claimed.len();
        let mut given: HashMap<QueueName, usize> = HashMap::new();
        for job in claimed {
            *given.entry(job.queue.clone()).or_default() += 1;
            self.begin(job);
        }
        for (queue, asked) in queues {
            let given = given.get(&queue).copied().unwrap_or(0);
            if given < asked {
                self.dry.insert(queue.clone());
            }
            *got.entry(queue).or_default() += given;
        }
        Ok(count)
    }

    /// After a round: as many slots as there is use for.
    fn rescale(&mut self, taken: usize) {
        let now = self.host.common.clock.now();
        if !self.scale.is_due(now) {
            return;
        }
        let usage = self.host.budget.usage();
        let memory_is_tight = usage.waiting > 0 || self.host.budget.pressure() > Pressure::None;
        let (admitted, backlog) = (usage.running, self.has_backlog());
        let look = Look { taken, admitted, backlog, memory_is_tight };
        self.scale.look(look, now);
        self.signs.set_slots(self.scale.slots());
    }

    fn begin(&mut self, job: Claimed) {
        steps::passed("claimed", job.hold);
        let told = self.host.holds.add(job.hold, job.queue.clone());
        let (host, woken) = (self.host.clone(), self.woken.clone());
        // It is large, and would be copied again and again on its way into a task.
        let attempt = Box::pin(attempt::run(host, job, told));
        self.attempts.spawn(async move {
            attempt.await;
            woken.notify_one();
        });
    }

    /// Until there may be something to do.
    async fn rest(&mut self, rest: Duration) {
        if rest.is_zero() {
            return;
        }
        let something = async {
            tokio::select! {
                () = self.woken.notified() => {}
                _ = told_to_end(self.signs.ending()) => {}
            }
        };
        let is_woken = self.host.common.clock.timeout(rest, something).await.is_ok();
        if is_woken && self.has_backlog() {
            self.until_many_are_free().await;
        }
    }

    /// Whether some queue may hold more than there were slots for.
    fn has_backlog(&self) -> bool {
        self.settings.queues.iter().any(|it| !self.dry.contains(&it.queue))
    }

    /// A claim for many jobs costs little more than one for a few.
    async fn until_many_are_free(&self) {
        let clock = &self.host.common.clock;
        let until = clock.now() + TOGETHER;
        while self.host.holds.running() * 2 > self.scale.slots() && !self.signs.is_ending() {
            let left = until.since(clock.now());
            if clock.timeout(left, self.woken.notified()).await.is_err() {
                return;
            }
        }
    }

    async fn drain(mut self) {
        let all = async { while self.attempts.join_next().await.is_some() {} };
        if self.host.common.clock.timeout(self.settings.drain, all).await.is_ok() {
            return;
        }
        tracing::warn!(jobs = self.host.holds.len(), "jobs that run for too long go back");
        self.host.holds.tell_all(Told::Drained);
        while self.attempts.join_next().await.is_some() {}
    }
}
