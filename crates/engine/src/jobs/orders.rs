//! What queues, workers and schedules are told.

use samovar_jobs::{
    Pushed, QueueName, Store, WorkerName,
    schedule::{InvalidSchedule, ScheduleView},
    store::{Filter, Order},
};
use samovar_widgets::nearest;
use serde::Serialize;

use super::{JobFailure, JobPushed, JobsWanted, list::queue_named};
use crate::engine::Engine;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueCleared {
    pub queue: String,
    /// They can be tried again.
    pub cancelled: u64,
    /// There may be more: ask again.
    pub more: bool,
}

/// Who was told what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    pub order: &'static str,
    pub workers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleShown {
    pub name: String,
    pub queue: String,
    pub kind: String,
    pub cron: String,
    /// The same for people.
    pub words: String,
    pub time_zone: String,
    pub catch_up: &'static str,
    /// The last instant for which it was run.
    pub last_ms: Option<u64>,
    pub next_ms: Vec<u64>,
}

impl Engine {
    /// From now on nothing more is claimed from it; or again. Its name.
    pub async fn pause_queue(&self, queue: &str, paused: bool) -> Result<String, JobFailure> {
        let store = self.job_store()?;
        let queue = self.known_queue(store, queue).await?;
        match paused {
            true => store.pause(queue.clone()).await?,
            false => store.resume(queue.clone()).await?,
        }
        Ok(queue.into())
    }

    /// What waits or is scheduled there is cancelled, of these tenants, or of all.
    pub async fn clear_queue(
        &self,
        queue: &str,
        tenants: Vec<String>,
    ) -> Result<QueueCleared, JobFailure> {
        let known = self.known_queue(self.job_store()?, queue).await?;
        let wanted = JobsWanted { tenants, ..JobsWanted::default() };
        let (cancelled, more) = match wanted.filter()? {
            Some(filter) => {
                let filter = Filter { queue: Some(known.clone()), ..filter };
                self.cancel_waiting(&filter).await?
            }
            None => (0, false),
        };
        Ok(QueueCleared { queue: known.into(), cancelled, more })
    }

    /// One that is declared, or holds jobs.
    pub(super) async fn known_queue(
        &self,
        store: &Store,
        name: &str,
    ) -> Result<QueueName, JobFailure> {
        let queue = queue_named(Some(name))?;
        let declared = self.0.rules.queues().to_vec();
        if let Some(queue) = queue.filter(|queue| declared.contains(queue)) {
            return Ok(queue);
        }
        let held = store.figures().await?.into_iter().map(|it| it.queue);
        let known: Vec<QueueName> = declared.into_iter().chain(held).collect();
        let nearest = nearest(name, known.iter().map(|it| it.as_str())).map(str::to_owned);
        let unknown = || JobFailure::Queue { queue: name.to_owned(), nearest };
        known.into_iter().find(|it| it.as_str() == name).ok_or_else(unknown)
    }

    /// A worker ends when its jobs have; with `restart` another one takes its place.
    pub async fn order_worker(&self, worker: &str, restart: bool) -> Result<Told, JobFailure> {
        let store = self.job_store()?;
        let unknown = || JobFailure::Worker { worker: worker.chars().take(64).collect() };
        let name = WorkerName::new(worker).map_err(|_| unknown())?;
        let order = order(restart);
        if !store.order(name, order).await? {
            return Err(unknown());
        }
        Ok(Told { order: order.name(), workers: vec![worker.to_owned()] })
    }

    /// The same for all that are not lost.
    pub async fn order_workers(&self, restart: bool) -> Result<Told, JobFailure> {
        let store = self.job_store()?;
        let order = order(restart);
        let mut workers = Vec::new();
        for view in store.workers().await?.into_iter().filter(|view| !view.is_lost()) {
            let worker = view.presence.worker;
            // It may have left meanwhile.
            if store.order(worker.clone(), order).await? {
                workers.push(worker.into());
            }
        }
        Ok(Told { order: order.name(), workers })
    }

    /// By name.
    pub async fn schedules_shown(&self) -> Result<Vec<ScheduleShown>, JobFailure> {
        let store = self.job_store()?;
        let schedules = self.schedules().map_err(|error| checked(&error))?;
        let shown = schedules.list(store, self.0.clock.wall()).await?;
        Ok(shown.into_iter().map(ScheduleShown::from).collect())
    }

    /// Its job is pushed now; when it is due next does not change.
    pub async fn run_schedule(&self, name: &str) -> Result<JobPushed, JobFailure> {
        let store = self.job_store()?;
        let schedules = self.schedules().map_err(|error| checked(&error))?;
        let views = schedules.list(store, self.0.clock.wall()).await?;
        let unknown = || {
            let nearest = nearest(name, views.iter().map(|it| it.name.as_str()));
            let schedule = name.chars().take(64).collect();
            JobFailure::Schedule { schedule, nearest: nearest.map(str::to_owned) }
        };
        let view = views.iter().find(|it| it.name.as_str() == name).ok_or_else(unknown)?;
        let pushed = schedules.run_now(&view.name, store, &self.0.random).await?;
        let pushed = pushed.ok_or_else(unknown)?;
        let (id, pushed) = match pushed {
            Pushed::New(id) => (id, true),
            Pushed::AlreadyThere(id) => (id, false),
        };
        let (queue, kind) = (view.queue.to_string(), view.kind.to_string());
        Ok(JobPushed { id: id.to_string(), queue, kind, pushed })
    }
}

fn order(restart: bool) -> Order {
    if restart { Order::Restart } else { Order::Drain }
}

/// Before the process began to serve.
fn checked(error: &InvalidSchedule) -> JobFailure {
    JobFailure::Value { field: "schedule", found: error.to_string(), what: "schedule" }
}

impl From<ScheduleView> for ScheduleShown {
    fn from(view: ScheduleView) -> Self {
        Self {
            name: view.name.into(),
            queue: view.queue.into(),
            kind: view.kind.into(),
            cron: view.cron,
            words: view.words,
            time_zone: view.time_zone,
            catch_up: view.catch_up.name(),
            last_ms: view.last_ms,
            next_ms: view.next_ms,
        }
    }
}
