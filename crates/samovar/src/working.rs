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
    /// Nothing where others work.
    budget: Option<Budget>,
    /// Until when jobs that run may go on.
    stop: watch::Sender<Option<Instant>>,
    /// Nothing where others work, or when it has ended.
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
        let (stop, stopped) = watch::channel(None);
        let budget = config.map(Workers::budget);
        let office = config.zip(budget.clone());
        let office = office.map(|(it, budget)| Office::open(it, budget, engine, state, stopped));
        let keeper = office.transpose()?;
        let fired = |it| Scheduler::start(it, state.jobs.clone(), Clock::System, Random::System);
        let scheduler = schedules.map(fired);
        let pruner = tokio::spawn(prune(state.jobs.clone()));
        Ok(Self { scheduler, pruner, budget, stop, keeper })
    }

    /// Of all its jobs, where it runs any.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.budget.clone()
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

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the worker ended badly");
    }
}

/// All that a worker is started with, again and again.
struct Office {
    config: Workers,
    engine: Engine,
    jobs: Arc<Store>,
    budget: Budget,
}

impl Office {
    fn open(
        config: &Workers,
        budget: Budget,
        engine: &Engine,
        state: &State,
        stopped: watch::Receiver<Option<Instant>>,
    ) -> Result<JoinHandle<()>, Failure> {
        let (engine, jobs) = (engine.clone(), state.jobs.clone());
        accounts::exempt_from(&budget);
        let office = Self { config: config.clone(), engine, jobs, budget };
        let first = office.worker()?;
        Ok(tokio::spawn(office.keep(first, stopped)))
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

    async fn keep(self, mut worker: Worker, stopped: watch::Receiver<Option<Instant>>) {
        loop {
            let order = tokio::select! {
                biased;
                until = told(stopped.clone()) => return worker.drain_by(ready(until)).await,
                order = worker.ordered() => order,
            };
            tracing::info!(order = order.name(), "the worker was told to end");
            worker.drain_by(told(stopped.clone())).await;
            if order == Order::Drain || stopped.borrow().is_some() {
                return;
            }
            worker = match self.worker() {
                Ok(next) => next,
                Err(failure) => {
                    tracing::error!(%failure, "no other worker took its place");
                    return;
                }
            };
        }
    }
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
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_called_by_its_process_and_no_two_are_called_alike() {
        let random = Random::seeded(1);
        let (one, other) = (name(&random), name(&random));
        assert!(one.as_str().contains(&format!("-{}-", std::process::id())), "{one}");
        assert_ne!(one, other);
    }
}
