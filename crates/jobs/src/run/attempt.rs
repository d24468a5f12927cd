//! One attempt: admitted by the budget, started on record, run, and reported until the store knows.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use samovar_clock::{Clock, Instant};
use samovar_memory::{Account, Admitted, Work};
use tokio::sync::watch;

use super::{
    beats::Holds,
    context::{Common, Context, Told},
    kind::Stop,
};
use crate::{Claimed, Finish, Finished, Held, Hold, Measured, Next, Outcome, StoreError};

/// How long a job that is told to stop may take to do so by itself.
const COURTESY: Duration = Duration::from_secs(5);
/// Between two questions to a store that does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// All that an attempt needs from its worker.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) common: Common,
    pub(super) holds: Arc<Holds>,
    /// The worker drains: what has not started goes back.
    pub(super) draining: watch::Receiver<bool>,
}

/// Runs a claimed job to its end.
pub(super) async fn run(host: Host, job: Claimed, told: watch::Receiver<Told>) {
    let hold = job.hold;
    let _end = Given { holds: &host.holds, hold };
    host.common.remotes.begins(&job);
    let mut meter = None;
    let outcome = host.attempt(job, told, &mut meter).await;
    let measured = meter.as_ref().map(Meter::read).unwrap_or_default();
    // Before the job may be claimed again.
    host.common.remotes.ended(hold);
    host.common.remotes.tell(&host.common.store).await;
    if let Some(outcome) = outcome {
        host.report(hold, outcome, measured).await;
    }
}

/// However the attempt ends, its slot is free.
struct Given<'a> {
    holds: &'a Holds,
    hold: Hold,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        self.holds.remove(self.hold.id);
    }
}

/// Of an attempt that runs.
struct Meter {
    clock: Clock,
    since: Instant,
    account: Account,
}

impl Meter {
    fn start(clock: &Clock, account: &Account) -> Self {
        Self { clock: clock.clone(), since: clock.now(), account: account.clone() }
    }

    fn read(&self) -> Measured {
        let run = self.clock.now().since(self.since);
        let peak_bytes = self.account.usage().map(|usage| usage.peak_bytes);
        Measured { run: Some(run), peak_bytes }
    }
}

impl Host {
    /// Nothing to report when the job is somebody else's by now.
    async fn attempt(
        &self,
        job: Claimed,
        told: watch::Receiver<Told>,
        meter: &mut Option<Meter>,
    ) -> Option<Outcome> {
        let admitted = match self.admit(&job, told.clone()).await {
            Ok(admitted) => admitted,
            Err(outcome) => return outcome,
        };
        match self.begin(job.hold, told.clone()).await {
            Held::Yes => {}
            Held::Cancelled => return Some(Outcome::Cancelled),
            Held::Lost => return None,
        }
        let timeout = job.policy.timeout;
        self.holds.runs_until(job.hold.id, self.common.clock.now() + timeout);
        let account = admitted.account().clone();
        *meter = Some(Meter::start(&self.common.clock, &account));
        let cx = Context::new(&self.common, job.clone(), account.clone(), told);
        let run = self.common.registry.start(job.kind.as_str(), &job.payload, cx.clone());
        let run = match run {
            Ok(run) => run,
            Err(reason) => return Some(unusable(&job, reason)),
        };
        let run = account.wrap(AssertUnwindSafe(run).catch_unwind());
        let stopped = async {
            let told = cx.to_be_stopped().await;
            if told != Told::Lost {
                self.common.clock.sleep(COURTESY).await;
            }
            told
        };
        let ended = tokio::select! {
            biased;
            ended = self.common.clock.timeout(timeout, run) => ended,
            told = stopped => return of_told(told),
        };
        let stop = match ended {
            Ok(Ok(Ok(()))) => {
                let left = cx.take_left();
                let (result, follow_ups) = (left.result, left.follow_ups);
                return Some(Outcome::Done { result, follow_ups });
            }
            Ok(Ok(Err(Stop::Told))) => return of_told(cx.told()),
            Ok(Ok(Err(stop))) => stop,
            Ok(Err(panic)) => Stop::Error(format!("it panicked: {}", message(&*panic))),
            Err(_) => Stop::Error(format!("it took longer than its timeout of {timeout:?}")),
        };
        Some(after(&job, stop))
    }

    /// Waits for memory; gives the job back when the worker drains meanwhile.
    async fn admit(
        &self,
        job: &Claimed,
        mut told: watch::Receiver<Told>,
    ) -> Result<Admitted, Option<Outcome>> {
        let name = job.hold.id.to_string();
        let work =
            Work { kind: job.kind.as_str(), job: &name, class: job.policy.class, share: None };
        let mut draining = self.draining.clone();
        tokio::select! {
            biased;
            admitted = self.common.budget.admit(work) => admitted
                .map_err(|refused| Some(Outcome::Failed { reason: refused.to_string() })),
            _ = draining.wait_for(|draining| *draining) => Err(Some(Outcome::Released)),
            told = told.wait_for(|told| *told != Told::Nothing) => {
                Err(of_told(told.map_or(Told::Lost, |told| *told)))
            }
        }
    }

    /// Puts on record that the job runs, however long that takes.
    async fn begin(&self, hold: Hold, mut told: watch::Receiver<Told>) -> Held {
        loop {
            match self.common.store.start(vec![hold]).await {
                Ok(said) => return said.first().copied().unwrap_or(Held::Lost),
                Err(StoreError::Refused(_)) => return Held::Lost,
                Err(error) => tracing::warn!(job = %hold.id, %error, "a job cannot start yet"),
            }
            let stop = told.wait_for(|told| *told != Told::Nothing);
            match self.common.clock.timeout(ASK_AGAIN, stop).await {
                Err(_) => {}
                Ok(Ok(told)) if *told == Told::Cancelled => return Held::Cancelled,
                Ok(_) => return Held::Lost,
            }
        }
    }

    /// Says how it ended until the store knows, or knows better.
    async fn report(&self, hold: Hold, mut outcome: Outcome, measured: Measured) {
        loop {
            let finish = Finish { measured, ..Finish::new(hold, outcome.clone()) };
            match self.common.store.finish(vec![finish]).await {
                Ok(finished) => {
                    if finished.first() == Some(&Finished::Zombie) {
                        tracing::warn!(job = %hold.id, "another worker has this job by now");
                    }
                    return;
                }
                Err(StoreError::Refused(refusal)) => {
                    let reason = format!("its outcome was refused: {refusal}");
                    if matches!(outcome, Outcome::Failed { .. }) {
                        tracing::error!(job = %hold.id, reason, "an outcome is lost");
                        return;
                    }
                    outcome = Outcome::Failed { reason };
                }
                Err(error) => {
                    tracing::warn!(job = %hold.id, %error, "an outcome is not stored yet");
                    self.common.clock.sleep(ASK_AGAIN).await;
                }
            }
        }
    }
}

fn of_told(told: Told) -> Option<Outcome> {
    match told {
        Told::Lost => None,
        Told::Cancelled => Some(Outcome::Cancelled),
        Told::Nothing | Told::Drained => Some(Outcome::Released),
    }
}

/// Its code or its payload is not what this worker knows.
fn unusable(job: &Claimed, reason: String) -> Outcome {
    if job.policy.delete_when_missing { Outcome::Missing } else { Outcome::Failed { reason } }
}

/// What follows an attempt that did not end well.
fn after(job: &Claimed, stop: Stop) -> Outcome {
    let (reason, exception) = match stop {
        Stop::Open(_) => return Outcome::Released,
        Stop::Hopeless(reason) => return Outcome::Failed { reason },
        Stop::Missing(_) if job.policy.delete_when_missing => return Outcome::Missing,
        Stop::Missing(reason) => return Outcome::Failed { reason },
        Stop::Later { after, reason } => {
            return match job.policy.after_failure(job.attempt, job.exceptions) {
                Next::Retry(_) => Outcome::Retry { after, reason, exception: false },
                Next::GiveUp(why) => Outcome::Failed { reason: format!("{reason}: {why}") },
            };
        }
        stop => (stop.to_string(), true),
    };
    match job.policy.after_failure(job.attempt, job.exceptions + 1) {
        Next::Retry(after) => Outcome::Retry { after, reason, exception },
        Next::GiveUp(why) => Outcome::Failed { reason: format!("{reason}: {why}") },
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
