//! The loop that looks: every few seconds, whatever else happens, and whatever does not answer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use samovar_cache::Counters;
use samovar_clock::Instant;
use samovar_jobs::{Store, http::InvalidHttp, post::Poster};
use samovar_memory::{Alert as MemoryAlert, AlertMark, Budget, Detector, Sample, Thresholds};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    board::{AlertsShown, Notice, Told},
    kind::AlertKind,
    measure::{Queues, Seen},
    phase::Turn,
    settings::{AlertRule, AlertSettings},
    told,
    webhook::Sender,
    window::Window,
};
use crate::engine::{Engine, Inner};

const EVERY: Duration = Duration::from_secs(2);
/// A store that takes longer to say how it is does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// What happens in a moment, such as a job that goes over its limit, counts for so long.
const LATELY: Duration = Duration::from_secs(300);
/// Such moments that are remembered. More: the latest.
const MOMENTS: usize = 256;

/// Looks until it is stopped.
#[derive(Debug)]
pub struct Alerting {
    engine: Engine,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Engine {
    /// For a process that stays. `instance` tells processes apart; memory is that of the jobs of
    /// `budget`. Of what fires `before` it somebody was told.
    ///
    /// # Errors
    /// When there is no way to send anything.
    pub fn start_alerting(
        &self,
        settings: AlertSettings,
        instance: String,
        budget: Option<Budget>,
        before: Firing,
    ) -> Result<Alerting, InvalidHttp> {
        let inner = &self.0;
        let poster = Poster::new()?;
        let senders: Vec<Sender> = settings
            .webhooks
            .into_iter()
            .map(|it| Sender::start(it, poster.clone(), inner.clock.clone(), inner.random.clone()))
            .collect();
        let senders = Arc::new(senders);
        budget.iter().for_each(|budget| inner.memory.of(budget));
        let memory = budget.map(|budget| Memory::new(budget, &settings.rules));
        let (stop, stopping) = watch::channel(false);
        let desk = Desk {
            stop: stopping,
            window: Window::default(),
            memory,
            lately: VecDeque::new(),
            rules: settings.rules,
            instance,
            senders,
        };
        let task = tokio::spawn(keep_looking(inner.clone(), desk, before));
        Ok(Alerting { engine: self.clone(), stop, task })
    }

    /// How each alert stands.
    pub fn alerts(&self) -> AlertsShown {
        self.0.alerts.shown()
    }
}

/// What fires when nobody looks any more, for whoever looks next.
#[derive(Debug, Default)]
pub struct Firing(Vec<Told>);

impl Alerting {
    /// What waits to be sent is sent still, as long as the process lives.
    pub async fn stop(self) -> Firing {
        self.stop.send_replace(true);
        // A panic has been told.
        let _ = self.task.await;
        Firing(self.engine.0.alerts.end())
    }
}

async fn keep_looking(inner: Arc<Inner>, mut desk: Desk, Firing(mut told_before): Firing) {
    let marks = unless_stopped(&desk.stop, Box::pin(marks(&inner))).await.flatten();
    told_before.extend(marks.iter().flatten().copied());
    let rules = std::mem::take(&mut desk.rules);
    let at = inner.clock.wall();
    let (instance, senders) = (&desk.instance, desk.senders.clone());
    inner.alerts.begin(instance, rules, senders, &told_before, at);
    Box::pin(desk.look(&inner, marks.is_some())).await;
}

/// Nothing: nobody waits for it any more.
async fn unless_stopped<T>(
    stop: &watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        _ = stop.wait_for(|stops| *stops) => None,
        done = work => Some(done),
    }
}

struct Desk {
    stop: watch::Receiver<bool>,
    window: Window,
    memory: Option<Memory>,
    lately: VecDeque<(Instant, MemoryAlert)>,
    rules: Vec<AlertRule>,
    instance: String,
    senders: Arc<Vec<Sender>>,
}

/// What is seen of the memory of jobs.
struct Memory {
    budget: Budget,
    detector: Detector,
    mark: AlertMark,
}

impl Desk {
    /// Until it is stopped. What a look has found is told in any case.
    async fn look(&mut self, inner: &Inner, mut knows_marks: bool) {
        let stop = self.stop.clone();
        loop {
            let see =
                async { futures_util::join!(self.see(inner), catch_up(inner, &mut knows_marks)).0 };
            let Some(seen) = unless_stopped(&stop, Box::pin(see)).await else { return };
            let (now, at) = (inner.clock.now(), inner.clock.wall());
            for (rule, notice) in inner.alerts.look(&seen, now, at) {
                self.tell(inner, &rule, notice).await;
            }
            if unless_stopped(&stop, inner.clock.sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn see(&mut self, inner: &Inner) -> Seen {
        let store = inner.clock.timeout(ANSWERS_WITHIN, inner.cache.store_state());
        let (store, queues) = futures_util::join!(store, queues(inner));
        let now = inner.clock.now();
        self.window.push(now, inner.counted());
        let mut seen = Seen {
            reads: self.window.last(Counters::reads),
            leases: self.window.last(|it| it.leases_won),
            store: store.ok(),
            queues,
            ..Seen::default()
        };
        if let Some(memory) = &mut self.memory {
            let sample = Sample::take(&inner.clock, Some(&memory.budget));
            inner.memory.remember(now, &sample);
            let mut news = memory.detector.observe(now, &sample);
            news.extend(memory.budget.alerts_since(&mut memory.mark));
            self.lately.extend(news.into_iter().map(|it| (now, it)));
            seen.standing = memory.detector.standing().to_vec();
            seen.jobs = sample.jobs;
        }
        let is_old = |(at, _): &(Instant, MemoryAlert)| now.since(*at) > LATELY;
        while self.lately.len() > MOMENTS || self.lately.front().is_some_and(is_old) {
            self.lately.pop_front();
        }
        seen.lately = self.lately.iter().map(|(_, alert)| alert.clone()).collect();
        seen
    }

    async fn tell(&self, inner: &Inner, rule: &AlertRule, notice: Notice) {
        let (alert, message) = (notice.alert, notice.message.as_str());
        match notice.turn {
            Turn::Fires => tracing::warn!(alert, message, "an alert fires"),
            Turn::Over => tracing::info!(alert, message, "an alert is over"),
        }
        if notice.shared {
            let is_mine = Box::pin(is_mine(inner, notice.kind, notice.turn));
            let is_mine = unless_stopped(&self.stop, is_mine).await.flatten();
            if is_mine.is_none() {
                inner.alerts.set_unmarked(notice.kind, Some(notice.turn));
            }
            // Told twice is better than not at all.
            if is_mine == Some(false) && !notice.follows_unmarked {
                return;
            }
        }
        let notice = Arc::new(notice);
        for sender in self.senders.iter().filter(|it| rule.tells(&it.name)) {
            sender.send(notice.clone());
        }
    }
}

impl Memory {
    fn new(budget: Budget, rules: &[AlertRule]) -> Self {
        let threshold = |kind: AlertKind| {
            let rule = rules.iter().find(|it| it.kind == kind);
            rule.map_or(kind.threshold(), |it| it.threshold)
        };
        let thresholds = Thresholds {
            usage_percentage: threshold(AlertKind::MemoryUsage),
            growth_mb_per_minute: threshold(AlertKind::MemoryGrowth),
            purges_per_minute: threshold(AlertKind::MemoryPurges) as u64,
        };
        let mark = budget.alert_mark();
        Self { budget, detector: Detector::new(thresholds), mark }
    }
}

/// Reads and moves the marks that could not be while the store of jobs was silent.
async fn catch_up(inner: &Inner, knows_marks: &mut bool) {
    if !*knows_marks && let Some(told_before) = marks(inner).await {
        inner.alerts.recall(&told_before, inner.clock.wall());
        *knows_marks = true;
    }
    for (kind, turn) in inner.alerts.unmarked() {
        // Another process may have moved it, and have told as well.
        if is_mine(inner, kind, turn).await.is_none() {
            return;
        }
        inner.alerts.set_unmarked(kind, None);
    }
}

/// What any process has told of alerts that all of them see. Nothing: the store of jobs is silent.
async fn marks(inner: &Inner) -> Option<Vec<Told>> {
    let Some(jobs) = &inner.jobs else { return Some(Vec::new()) };
    let firing = inner.clock.timeout(ANSWERS_WITHIN, told::firing(jobs)).await.ok()?.ok()?;
    let told = |kind| Told { kind, since: None, is_over: false, is_unmarked: false };
    Some(firing.into_iter().map(told).collect())
}

/// Nothing: the store of jobs is silent.
async fn is_mine(inner: &Inner, kind: AlertKind, turn: Turn) -> Option<bool> {
    let Some(jobs) = &inner.jobs else { return Some(true) };
    let asked = told::is_mine(jobs, kind, turn);
    inner.clock.timeout(ANSWERS_WITHIN, asked).await.ok()?.ok()
}

async fn queues(inner: &Inner) -> Queues {
    let Some(jobs) = &inner.jobs else { return Queues::None };
    let figures = Store::figures(jobs);
    match inner.clock.timeout(ANSWERS_WITHIN, figures).await {
        Ok(Ok(figures)) => Queues::Known(figures),
        Ok(Err(_)) | Err(_) => Queues::Away,
    }
}

impl Inner {
    /// Of all widgets that are declared.
    fn counted(&self) -> Counters {
        let mut all = Counters::default();
        let declared = |widget: &str| self.widgets.contains_key(widget);
        for (_, _, counters) in self.cache.counters().iter().filter(|it| declared(&it.0)) {
            all.add(counters);
        }
        all
    }
}
