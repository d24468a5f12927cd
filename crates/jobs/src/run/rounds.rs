//! The rounds of a worker: it claims for the slots that are free, tends the queues, drains.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use samovar_clock::Instant;
use samovar_memory::{Pressure, Thresholds, Watch, watch as watch_memory};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    attempt::{self, Host},
    context::Told,
    gather::Reports,
    served::{Served, leftovers, shares},
    signs::{Signs, told_to_end},
    slots::{Look, Scale},
    steps,
    worker::{Relief, Settings},
};
use crate::{
    Claimed, QueueName, Rule, Store, StoreError,
    backoff::Backoff,
    store::{Claim, Period, QueueFigures, Reap, Suspects},
};

pub(super) struct Loop {
    pub(super) settings: Arc<Settings>,
    pub(super) store: Arc<Store>,
    pub(super) scale: Scale,
    pub(super) signs: Signs,
    pub(super) host: Host,
    pub(super) rules: Arc<[Rule]>,
    /// A queue whose master is away must not hold up what others have to tell.
    pub(super) reports: HashMap<QueueName, Reports>,
    pub(super) woken: Arc<Notify>,
    pub(super) attempts: JoinSet<()>,
    /// When it looks for suspects again.
    pub(super) suspects_at: Instant,
    /// When it tends the queues again, and takes back what nobody renews.
    pub(super) tends_at: Instant,
    /// When the first job that a rule held back in this round may go.
    pub(super) allowed_after: Option<Duration>,
    /// The queues on which this round found the last job there was.
    pub(super) dry: HashSet<QueueName>,
    /// Slots that became free were soon followed by others.
    pub(super) is_worth_a_wait: bool,
}

/// Looks at what jobs hold; where that is too much, gives back what can be had again.
pub(super) async fn watching(host: Host, interval: Duration, relief: Option<Relief>) {
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
    pub(super) async fn run(mut self) {
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
            let next = rest.into_iter().nth(tried);
            let Some((queue, room)) = next.filter(|_| !self.signs.is_ending()) else { break };
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
        let reports = self.reports.entry(job.queue.clone());
        let reports = reports.or_insert_with(|| Reports::to(&self.store)).clone();
        // It is large, and would be copied again and again on its way into a task.
        let attempt = Box::pin(attempt::run(host, reports, job, told));
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
    async fn until_many_are_free(&mut self) {
        let clock = self.host.common.clock.clone();
        let until = clock.now() + TOGETHER;
        let are_taken = |it: &Self| it.host.holds.running() * 2 > it.scale.slots();
        if !are_taken(self) {
            self.is_worth_a_wait = true;
        }
        while self.is_worth_a_wait && are_taken(self) && !self.signs.is_ending() {
            let left = until.since(clock.now());
            // Long jobs hold the others, and short ones would wait for nothing each time.
            self.is_worth_a_wait = clock.timeout(left, self.woken.notified()).await.is_ok();
        }
    }

    async fn drain(mut self) {
        let all = async { while self.attempts.join_next().await.is_some() {} };
        tokio::select! {
            () = all => return,
            () = self.host.common.clock.sleep(self.settings.drain) => {}
            () = self.signs.hurried() => {}
        }
        tracing::warn!(jobs = self.host.holds.len(), "jobs that run for too long go back");
        self.host.holds.tell_all(Told::Drained);
        while self.attempts.join_next().await.is_some() {}
    }
}
