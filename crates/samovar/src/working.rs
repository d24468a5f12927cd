//! The jobs of this process: a worker, the next one when it is told to restart, and a scheduler.

use std::{future::ready, sync::Arc, time::Duration};

use samovar_clock::{Clock, Instant, Random};
use samovar_engine::Engine;
use samovar_jobs::{
    Store, WorkerName,
    run::{Settings, Worker},
    schedule::{Scheduler, Schedules},
    store::Order,
};
use samovar_memory::Budget;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};

use crate::{accounts, config::Workers, failure::Failure, state::State};

/// Runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Working {
    scheduler: Option<Scheduler>,
    pruner: JoinHandle<()>,
    jobs: Arc<Store>,
    /// What workers are started with; nothing where others work.
    office: watch::Sender<Option<Arc<Office>>>,
    /// Until when jobs that run may go on.
    stop: watch::Sender<Option<Instant>>,
    /// Nothing when it has ended.
    keeper: Option<JoinHandle<()>>,
}

impl Working {
    /// Without `config` nobody works here. `schedules` are fired here as well.
    pub(crate) fn start(
        config: Option<&Workers>,
        engine: &Engine,
        state: &State,
        schedules: Option<Schedules>,
    ) -> Result<Self, Failure> {
        let jobs = state.jobs.clone();
        let office = config.map(|config| Office::open(config, engine, &jobs));
        let first = office.as_deref().map(Office::worker).transpose()?;
        let (office, offices) = watch::channel(office);
        let (stop, stopped) = watch::channel(None);
        let keeper = Some(tokio::spawn(keep(first, offices, stopped)));
        let scheduler = schedules.map(|it| fire(it, &jobs));
        let pruner = tokio::spawn(prune(jobs.clone()));
        Ok(Self { scheduler, pruner, jobs, office, stop, keeper })
    }

    /// Of all its jobs, where it runs any.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.office.borrow().as_ref().map(|office| office.budget.clone())
    }

    /// By other definitions: what runs comes to its end before anything more is claimed.
    pub(crate) async fn go_on_with(
        &mut self,
        config: Option<&Workers>,
        engine: &Engine,
        schedules: Option<Schedules>,
    ) {
        let office = config.map(|config| Office::open(config, engine, &self.jobs));
        self.office.send_replace(office);
        if let Some(before) = self.scheduler.take() {
            before.drain().await;
        }
        self.scheduler = schedules.map(|it| fire(it, &self.jobs));
    }

    /// Until the worker was told to end, and has.
    pub(crate) async fn ended(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            report(keeper.await);
            self.keeper = None;
        }
    }

    /// Fires nothing more, claims nothing more, and waits for what runs; what takes longer goes back
    /// to its queue.
    pub(crate) async fn stop(self, until: Instant) {
        if let Some(scheduler) = self.scheduler {
            scheduler.drain().await;
        }
        self.pruner.abort();
        self.stop.send_replace(Some(until));
        if let Some(keeper) = self.keeper {
            report(keeper.await);
        }
    }
}

fn fire(schedules: Schedules, jobs: &Arc<Store>) -> Scheduler {
    Scheduler::start(schedules, jobs.clone(), Clock::System, Random::System)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the worker ended badly");
    }
}

/// All that a worker is started with, again and again.
#[derive(Debug)]
struct Office {
    config: Workers,
    engine: Engine,
    jobs: Arc<Store>,
    budget: Budget,
}

impl Office {
    fn open(config: &Workers, engine: &Engine, jobs: &Arc<Store>) -> Arc<Self> {
        let budget = config.budget();
        accounts::exempt_from(&budget);
        let (engine, jobs) = (engine.clone(), jobs.clone());
        Arc::new(Self { config: config.clone(), engine, jobs, budget })
    }

    fn worker(&self) -> Result<Worker, Failure> {
        let failed = |error| Failure::failed("starting the worker", error);
        let registry = self.engine.registry().map_err(|error| failed(error.into()))?;
        let binary = env!("CARGO_PKG_VERSION").to_owned();
        let settings = Settings { binary, ..self.config.settings(name(&Random::System)) };
        let (jobs, budget) = (self.jobs.clone(), self.budget.clone());
        Worker::start(settings, jobs, registry, budget, Clock::System, Random::System)
            .map_err(|error| failed(anyhow::Error::from(error)))
    }
}

/// After a worker that could not be started, or has ended by itself.
const START_AGAIN: Duration = Duration::from_secs(5);

/// One worker after the other: the next one when it is told to restart, or when there is another office.
async fn keep(
    mut worker: Option<Worker>,
    mut offices: watch::Receiver<Option<Arc<Office>>>,
    stopped: watch::Receiver<Option<Instant>>,
) {
    loop {
        let Some(running) = worker.take() else {
            let is_wanted = offices.borrow().is_some();
            tokio::select! {
                biased;
                _ = told(stopped.clone()) => return,
                Ok(()) = offices.changed() => {}
                () = Clock::System.sleep(START_AGAIN), if is_wanted => {}
            }
            worker = next(&mut offices);
            continue;
        };
        let order = tokio::select! {
            biased;
            until = told(stopped.clone()) => return running.drain_by(ready(until)).await,
            order = running.ordered() => match order {
                Some(order) => Some(order),
                None => {
                    // It says why, and there is nothing to wait for.
                    running.drain().await;
                    continue;
                }
            },
            Ok(()) = offices.changed() => None,
        };
        let why = order.map_or("other definitions", |order| order.name());
        tracing::info!(order = why, "the worker was told to end");
        running.drain_by(told(stopped.clone())).await;
        if order == Some(Order::Drain) || stopped.borrow().is_some() {
            return;
        }
        worker = next(&mut offices);
    }
}

fn next(offices: &mut watch::Receiver<Option<Arc<Office>>>) -> Option<Worker> {
    let office = offices.borrow_and_update().clone()?;
    let worker = office.worker();
    worker.map_err(|failure| tracing::error!(%failure, "no worker could be started")).ok()
}

/// Jobs that ended this long ago are forgotten, failed ones among them.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

async fn prune(jobs: Arc<Store>) {
    loop {
        Clock::System.sleep(PRUNE_EVERY).await;
        loop {
            match jobs.prune(KEPT).await {
                Ok(forgotten) if forgotten.more => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, "old jobs cannot be forgotten now");
                    break;
                }
            }
        }
    }
}

/// Until the process ends.
async fn told(mut stopped: watch::Receiver<Option<Instant>>) -> Instant {
    let until = stopped.wait_for(Option::is_some).await.ok().and_then(|until| *until);
    // Nobody is left to wait for what runs.
    until.unwrap_or_else(|| Clock::System.now())
}

/// Another one for each worker, so that an order is for one of them.
fn name(random: &Random) -> WorkerName {
    let part = random.id() >> 32;
    WorkerName::new(format!("{}-{part:08x}", instance())).expect("plain and short")
}

/// The machine and the process.
pub(crate) fn instance() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let host: String = host.chars().filter(plain).take(30).collect();
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests;
