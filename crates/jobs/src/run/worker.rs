//! A worker from outside: how it is set up, started, seen and ended.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::Future,
    sync::Arc,
    time::Duration,
};

use samovar_clock::{Clock, Instant, Random};
use samovar_memory::{Budget, InvalidShare, Pressure, child::Pool};
use tokio::{
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    attempt::Host,
    beats,
    context::Common,
    reach::Reach,
    registry::Registry,
    remote::Remotes,
    rounds::{Loop, watching},
    served::Served,
    signs::{Signs, told_to_end},
    slots::{Scale, Slots},
};
use crate::{Policy, Store, WorkerName, store::Order};

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
    /// The longest one attempt may take of a job whose policy leaves that at the default.
    pub timeout: Duration,
    /// Attempts in all of a job whose policy leaves that at the default.
    pub tries: u16,
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
pub struct Relief(pub(super) Arc<dyn Fn(Pressure) + Send + Sync>);

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
    /// Four slots, leases of 30 s, a beat every 2 s, a look every 250 ms, 30 s to drain, timeout and
    /// tries of the default policy, five failed calls for a breaker, no child processes.
    pub fn new(name: WorkerName, queues: Vec<Served>) -> Self {
        Self {
            name,
            queues,
            slots: Slots::fixed(4),
            lease: Duration::from_secs(30),
            beat: Duration::from_secs(2),
            poll: Duration::from_millis(250),
            drain: Duration::from_secs(30),
            timeout: Policy::DEFAULT.timeout,
            tries: Policy::DEFAULT.tries,
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
    /// Its other end goes with the task, however that ends.
    ended: watch::Receiver<()>,
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
        let signs =
            Signs::new(settings.clone(), definitions, budget.clone(), clock.clone(), &random);
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
        let host = Host {
            common: Common { reach, registry, budget: Some(budget.clone()), clock, random },
            budget,
            holds: signs.holds.clone(),
            freed: woken.clone(),
            children: settings.children.clone(),
            flights: Arc::default(),
            remotes,
            shares: shares.into(),
            timeout: settings.timeout,
            tries: settings.tries,
            ending: signs.ending(),
        };
        // It ends with its owner.
        let mut watched = JoinSet::new();
        watched.spawn(watching(host.clone(), settings.watch, settings.relief.clone()));
        let (lives, ended) = watch::channel(());
        let round = Loop {
            settings,
            store,
            scale: Scale::new(slots, now),
            signs: signs.clone(),
            host,
            rules,
            reports: HashMap::new(),
            is_worth_a_wait: true,
            woken: woken.clone(),
            attempts: JoinSet::new(),
            suspects_at: now,
            tends_at: now,
            allowed_after: None,
            dry: HashSet::new(),
        };
        let task = tokio::spawn(async move {
            let _lives = lives;
            round.run().await;
            drop((watched, beating));
            // It says good-bye.
            let _ = tokio::task::spawn_blocking(|| beats.join()).await;
        });
        Ok(Self { signs, woken, task, ended })
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
    /// left is [`Worker::drain`], and to start another one after [`Order::Restart`]. Nothing: it has
    /// ended by itself, by a mistake of ours, and what it ran is taken back when its leases are over.
    pub async fn ordered(&self) -> Option<Order> {
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            order = told_to_end(self.signs.ending()) => Some(order),
            _ = ended.changed() => None,
        }
    }

    /// Claims nothing more, gives back what has not started, and waits for what runs; what takes
    /// longer than the settings allow goes back to its queue.
    pub async fn drain(self) {
        self.drain_by(std::future::pending()).await;
    }

    /// [`Worker::drain`], and what runs has less time than the settings give it as soon as `hurry`
    /// says until when.
    pub async fn drain_by(mut self, hurry: impl Future<Output = Instant>) {
        self.signs.end(Order::Drain);
        let ended = tokio::select! {
            ended = &mut self.task => ended,
            until = hurry => {
                self.signs.hurry(until);
                self.task.await
            }
        };
        if let Err(error) = ended {
            tracing::error!(%error, "a worker ended badly");
        }
    }
}
