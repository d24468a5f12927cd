//! What this process and its jobs hold, now and over the last hour.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use samovar_clock::Instant;
use samovar_jobs::store::QueueFigures;
use samovar_memory::{Budget, Sample};
use serde::Serialize;

use crate::engine::{Engine, Inner};

/// Between two points of the history.
const POINT_EVERY: Duration = Duration::from_secs(10);
/// An hour of them. Older: forgotten.
const POINTS: usize = 360;
/// A store that takes longer to tell of its queues is left out.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Of the jobs of this process, where it runs any.
    budget: OnceLock<Budget>,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    points: VecDeque<MemoryPoint>,
    last: Option<Instant>,
}

/// System, process, jobs and queues at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryShown {
    #[serde(flatten)]
    pub sample: Sample,
    /// Null while the store of jobs does not answer.
    pub queues: Option<Vec<QueueShown>>,
    /// Alerts about memory that fire.
    pub firing: Vec<&'static str>,
}

/// What waits and runs on a queue.
#[derive(Clone, Debug, Serialize)]
pub struct QueueShown {
    pub name: String,
    pub waiting: u64,
    pub scheduled: u64,
    pub running: u64,
    pub failed: u64,
    pub oldest_waiting_ms: Option<u64>,
}

/// Some time ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPoint {
    pub at_ms: i64,
    /// Null where the system does not tell.
    pub rss_bytes: Option<u64>,
    pub available_bytes: Option<u64>,
    /// What jobs are expected to need, or hold where that is more.
    pub promised_bytes: u64,
    /// What all jobs hold.
    pub held_bytes: u64,
    pub running: usize,
}

impl Engine {
    /// Now.
    pub async fn memory(&self) -> MemoryShown {
        let inner = &self.0;
        let sample = inner.memory.sample(inner);
        let queues = match &inner.jobs {
            None => None,
            Some(jobs) => inner.clock.timeout(ANSWERS_WITHIN, jobs.figures()).await.ok(),
        };
        let queues = queues.and_then(Result::ok);
        let queues = queues.map(|it| it.into_iter().map(QueueShown::of).collect());
        let alerts = inner.alerts.shown().alerts.into_iter();
        let firing = alerts.filter(|it| it.state == "firing" && it.name.starts_with("memory_"));
        MemoryShown { sample, queues, firing: firing.map(|it| it.name).collect() }
    }

    /// Of the last hour, the oldest first; empty where nobody looks.
    pub fn memory_history(&self) -> Vec<MemoryPoint> {
        self.0.memory.history().points.iter().copied().collect()
    }
}

impl Memory {
    /// The jobs of this process hold what this says. The first one counts.
    pub(crate) fn of(&self, budget: &Budget) {
        // A process has one.
        let _ = self.budget.set(budget.clone());
    }

    /// Remembers a sample now and then.
    pub(crate) fn remember(&self, now: Instant, sample: &Sample) {
        let mut history = self.history();
        if history.last.is_some_and(|last| now.since(last) < POINT_EVERY) {
            return;
        }
        history.last = Some(now);
        if history.points.len() == POINTS {
            history.points.pop_front();
        }
        history.points.push_back(MemoryPoint::of(sample));
    }

    fn sample(&self, inner: &Inner) -> Sample {
        Sample::take(&inner.clock, self.budget.get())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryPoint {
    fn of(sample: &Sample) -> Self {
        let held = sample
            .jobs
            .iter()
            .map(|job| job.usage.map_or(0, |usage| usage.current_bytes) + job.child_bytes);
        Self {
            at_ms: sample.at_ms,
            rss_bytes: sample.process.map(|it| it.rss_bytes),
            available_bytes: sample.system.map(|it| it.available_bytes),
            promised_bytes: sample.budget.map_or(0, |it| it.promised_bytes),
            held_bytes: held.sum(),
            running: sample.jobs.len(),
        }
    }
}

impl QueueShown {
    fn of(figures: QueueFigures) -> Self {
        let ms = |waits: Duration| u64::try_from(waits.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: figures.queue.into(),
            waiting: figures.waiting,
            scheduled: figures.scheduled,
            running: figures.running,
            failed: figures.failed,
            oldest_waiting_ms: figures.oldest_waiting.map(ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_remembered_and_no_more() {
        let memory = Memory::default();
        for second in 0..2 * 3600_u64 {
            let sample = Sample { at_ms: second as i64 * 1000, ..Sample::default() };
            memory.remember(Instant::from_nanos(second * 1_000_000_000), &sample);
        }
        let points = memory.history().points.clone();
        assert_eq!(points.len(), POINTS);
        let ends = (points[0].at_ms, points[POINTS - 1].at_ms);
        assert_eq!(ends, (3_600_000, 7_190_000), "ten seconds apart");
    }
}
