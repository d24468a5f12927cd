//! One attempt: admitted by the budget, started on record, run, and reported until the store knows.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use samovar_memory::{
    Admitted, Budget, FlightRecorder, OperationLine, RunningJob, Usage, Work, child::Pool,
};
use tokio::sync::{Notify, watch};
use tracing::Instrument;

use super::{
    beats::Holds,
    context::{Common, Context, Left, Told},
    gather::Reports,
    isolated,
    kind::Stop,
    ladder::Climber,
    registry::AnyJob,
    remote::Remotes,
    signs::told_to_end,
    spans, steps,
};
use crate::{
    Claimed, Finish, Finished, Flown, Held, Hold, Measured, Next, Outcome, Policy, QueueName,
    Record, StoreError, store::Order,
};

/// How long a job that is told to stop may take to do so by itself.
const COURTESY: Duration = Duration::from_secs(5);
/// The longest time between two questions to a store that does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// All that an attempt needs from its worker.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) common: Common,
    pub(super) budget: Budget,
    pub(super) holds: Arc<Holds>,
    /// Told when a slot is free.
    pub(super) freed: Arc<Notify>,
    pub(super) children: Option<Pool>,
    pub(super) flights: Arc<FlightRecorder>,
    pub(super) remotes: Arc<Remotes>,
    /// Queues with a share of the budget.
    pub(super) shares: Arc<[QueueName]>,
    /// Of jobs whose policy leaves them at the default.
    pub(super) timeout: Duration,
    pub(super) tries: u16,
    /// The worker drains: what has not started goes back.
    pub(super) ending: watch::Receiver<Option<Order>>,
}

/// How a job's code came to an end.
pub(super) enum End {
    Well,
    Stopped(Stop),
    /// Over its limit, and by how it was noticed.
    TooBig(String),
    /// Its process died of it.
    Killed(String),
    Told(Told),
}

impl End {
    pub(super) fn of(stop: Stop, cx: &Context) -> Self {
        match stop {
            Stop::Told => End::Told(cx.told()),
            Stop::Memory(exceeded) => End::TooBig(exceeded.to_string()),
            stop => End::Stopped(stop),
        }
    }
}

/// Runs a claimed job to its end.
pub(super) async fn run(host: Host, reports: Reports, job: Claimed, told: watch::Receiver<Told>) {
    let hold = job.hold;
    let _end = Given { holds: &host.holds, hold };
    host.remotes.begins(&job);
    let span = spans::job(&job);
    let finish = host.attempt(job, &reports, told.clone()).instrument(span.clone()).await;
    spans::ended(&span, finish.as_ref().map(|finish| &finish.outcome));
    // Before the job may be claimed again.
    let is_told = *told.borrow() != Told::Nothing;
    host.remotes.ended(hold, is_told).await;
    if let Some(finish) = finish {
        host.holds.reports(hold);
        host.freed.notify_one();
        host.report(finish, &reports).await;
    }
}

/// However the attempt ends, its slot is free.
struct Given<'a> {
    holds: &'a Holds,
    hold: Hold,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        self.holds.remove(self.hold);
    }
}

impl Host {
    /// Nothing to report when the job is somebody else's by now.
    async fn attempt(
        &self,
        job: Claimed,
        reports: &Reports,
        told: watch::Receiver<Told>,
    ) -> Option<Finish> {
        let hold = job.hold;
        let admitted = match self.admit(&job, told.clone()).await {
            Ok(admitted) => admitted,
            Err(outcome) => return outcome.map(|outcome| Finish::new(hold, outcome)),
        };
        steps::passed("admitted", hold);
        if self.ending.borrow().is_some() {
            return Some(Finish::new(hold, Outcome::Released));
        }
        match self.begin(hold, reports, told.clone()).await {
            Held::Yes => steps::passed("started", hold),
            Held::Cancelled => return Some(Finish::new(hold, Outcome::Cancelled)),
            Held::Lost => return None,
        }
        self.holds.runs_until(hold, self.common.clock.now() + self.timeout_of(&job));
        let known = match self.common.registry.read(job.kind.as_str(), &job.payload) {
            Ok(known) => known,
            Err(reason) => return Some(Finish::new(hold, unusable(&job, reason))),
        };
        let (account, since) = (admitted.account(), self.common.clock.now());
        let cx = Context::new(&self.common, job.clone(), account.clone(), told);
        let climber = Climber { host: self, job: &job, known: &known, cx: &cx, account };
        let outcome = match climber.ahead().await {
            Some(parts) => parts,
            None => {
                let end = self.to_its_end(&job, &known, &cx, &admitted).await;
                steps::passed("ran", hold);
                self.outcome(&climber, &admitted, end).await?
            }
        };
        tell_memory(job.kind.as_str(), &admitted);
        let flight = self.flight(&outcome, &job, &admitted);
        let record = Record { flight, ..cx.take_record() };
        let run = Some(self.common.clock.now().since(since));
        let measured = Measured { run, peak_bytes: peak_bytes(&admitted) };
        Some(Finish { hold, outcome, record, measured })
    }

    /// Until it ends, its time is over, or it was told to stop and had its time to do so.
    async fn to_its_end(
        &self,
        job: &Claimed,
        known: &Arc<dyn AnyJob>,
        cx: &Context,
        admitted: &Admitted,
    ) -> End {
        let here = async {
            let run = AssertUnwindSafe(known.clone().run(cx.clone())).catch_unwind();
            match admitted.account().wrap(run).await {
                Ok(Ok(())) => End::Well,
                Ok(Err(stop)) => End::of(stop, cx),
                Err(panic) => {
                    End::Stopped(Stop::Error(format!("it panicked: {}", message(&*panic))))
                }
            }
        };
        let work = async {
            match self.children.as_ref().filter(|_| self.isolates(job)) {
                Some(pool) => isolated::run(pool, job, cx, admitted).await,
                None => here.await,
            }
        };
        let stopped = async {
            let told = cx.to_be_stopped().await;
            if told != Told::Lost {
                self.common.clock.sleep(COURTESY).await;
            }
            told
        };
        let timeout = self.timeout_of(job);
        tokio::select! {
            biased;
            ended = self.common.clock.timeout(timeout, work) => ended.unwrap_or_else(|_| {
                let reason = format!("it took longer than its timeout of {timeout:?}");
                End::Stopped(Stop::Error(reason))
            }),
            told = stopped => End::Told(told),
        }
    }

    /// Nothing when nobody wants to know.
    async fn outcome(
        &self,
        climber: &Climber<'_>,
        admitted: &Admitted,
        end: End,
    ) -> Option<Outcome> {
        let Climber { job, cx, account, .. } = climber;
        Some(match end {
            End::Well => {
                let Left { result, follow_ups } = cx.take_left();
                Outcome::Done { result, follow_ups }
            }
            End::Told(told) => return of_told(told),
            End::Killed(reason) => Outcome::Killed { reason },
            End::Stopped(stop) => after(job, stop, self.tries),
            End::TooBig(reason) => {
                let here = account.usage().map_or(0, |usage| usage.peak_bytes);
                let peak = here.max(admitted.child_gauge().peak_bytes());
                climber.next(reason, peak).await
            }
        })
    }

    pub(super) fn timeout_of(&self, job: &Claimed) -> Duration {
        let own = job.policy.timeout;
        if own == Policy::DEFAULT.timeout { self.timeout } else { own }
    }

    /// Whether it runs in a process of its own, where there are any.
    pub(super) fn isolates(&self, job: &Claimed) -> bool {
        job.suspect || job.policy.isolated
    }

    /// What it held, where that may be why it ended like this.
    fn flight(&self, outcome: &Outcome, job: &Claimed, admitted: &Admitted) -> Vec<Flown> {
        let samples = self.flights.take(&job.hold.id.to_string());
        let ended_badly = matches!(
            outcome,
            Outcome::Retry { .. }
                | Outcome::Failed { .. }
                | Outcome::Isolated { .. }
                | Outcome::Killed { .. }
        );
        if !ended_badly {
            return Vec::new();
        }
        let now_ms = self.common.clock.wall().as_millis();
        let flown = |(at_ms, it): (i64, RunningJob)| Flown {
            before_ms: u64::try_from(now_ms - at_ms).unwrap_or(0),
            bytes: it.usage.map_or(0, |usage| usage.current_bytes) + it.child_bytes,
        };
        let last = admitted.account().usage().map(|usage| Flown {
            before_ms: 0,
            bytes: usage.peak_bytes.max(admitted.child_gauge().peak_bytes()),
        });
        samples.into_iter().map(flown).chain(last).collect()
    }

    /// Waits for memory; gives the job back when the worker drains meanwhile.
    async fn admit(
        &self,
        job: &Claimed,
        mut told: watch::Receiver<Told>,
    ) -> Result<Admitted, Option<Outcome>> {
        let name = job.hold.id.to_string();
        let share = self.shares.iter().find(|queue| **queue == job.queue);
        let work = Work {
            kind: job.kind.as_str(),
            job: &name,
            class: job.policy.class,
            share: share.map(QueueName::as_str),
        };
        let ending = told_to_end(self.ending.clone());
        tokio::select! {
            biased;
            _ = ending => Err(Some(Outcome::Released)),
            admitted = self.budget.admit(work) => admitted
                .map_err(|refused| Some(Outcome::Failed { reason: refused.to_string() })),
            told = told.wait_for(|told| *told != Told::Nothing) => {
                Err(of_told(told.map_or(Told::Lost, |told| *told)))
            }
        }
    }

    /// Not all at the same time.
    fn ask_again(&self) -> Duration {
        let half_ms = ASK_AGAIN.as_millis() as u64 / 2;
        ASK_AGAIN / 2 + Duration::from_millis(self.common.random.below(half_ms + 1))
    }

    /// Puts on record that the job runs, however long that takes.
    async fn begin(&self, hold: Hold, reports: &Reports, mut told: watch::Receiver<Told>) -> Held {
        loop {
            match reports.starts.ask(hold).await {
                Ok(held) => return held,
                Err(StoreError::Refused(_)) => return Held::Lost,
                Err(error) => tracing::warn!(job = %hold.id, %error, "a job cannot start yet"),
            }
            let stop = told.wait_for(|told| *told != Told::Nothing);
            match self.common.clock.timeout(self.ask_again(), stop).await {
                Err(_) => {}
                Ok(Ok(told)) if *told == Told::Cancelled => return Held::Cancelled,
                Ok(_) => return Held::Lost,
            }
        }
    }

    /// Says how it ended until the store knows, or knows better.
    async fn report(&self, mut finish: Finish, reports: &Reports) {
        let hold = finish.hold;
        loop {
            match reports.finishes.ask(finish.clone()).await {
                Ok(finished) => {
                    steps::reported(hold, &finished);
                    if finished == Finished::Zombie {
                        tracing::warn!(job = %hold.id, "another worker has this job by now");
                    }
                    return;
                }
                Err(StoreError::Refused(refusal)) => {
                    let reason = format!("its outcome was refused: {refusal}");
                    if matches!(finish.outcome, Outcome::Failed { .. }) {
                        tracing::error!(job = %hold.id, reason, "an outcome is lost");
                        return;
                    }
                    finish.outcome = Outcome::Failed { reason };
                }
                Err(error) => {
                    tracing::warn!(job = %hold.id, %error, "an outcome is not stored yet");
                    self.common.clock.sleep(self.ask_again()).await;
                }
            }
        }
    }
}

/// One line for each operation, with these six names and no other.
fn tell_memory(operation: &str, admitted: &Admitted) {
    let (account, child) = (admitted.account(), admitted.child_gauge());
    let Some(here) = account.usage() else { return };
    let usage = Usage {
        current_bytes: here.current_bytes + child.current_bytes(),
        peak_bytes: here.peak_bytes.max(child.peak_bytes()),
        ..here
    };
    let line = OperationLine::with(account.job(), operation, usage);
    tracing::info!(
        target: "samovar::memory",
        job = line.job,
        operation = line.operation,
        current_memory_mb = line.current_memory_mb,
        peak_memory_mb = line.peak_memory_mb,
        memory_limit_mb = line.memory_limit_mb,
        usage_percentage = line.usage_percentage,
    );
}

fn of_told(told: Told) -> Option<Outcome> {
    match told {
        Told::Lost => None,
        Told::Cancelled => Some(Outcome::Cancelled),
        Told::Nothing | Told::Drained => Some(Outcome::Released),
    }
}

/// Here or in a child process; nothing where neither was metered.
fn peak_bytes(admitted: &Admitted) -> Option<u64> {
    let here = admitted.account().usage().map(|usage| usage.peak_bytes);
    let in_child = Some(admitted.child_gauge().peak_bytes()).filter(|bytes| *bytes > 0);
    here.max(in_child)
}

/// Its code or its payload is not what this worker knows.
fn unusable(job: &Claimed, reason: String) -> Outcome {
    if job.policy.delete_when_missing { Outcome::Missing } else { Outcome::Failed { reason } }
}

/// What follows an attempt that did not end well.
fn after(job: &Claimed, stop: Stop, tries: u16) -> Outcome {
    let after_failure = |exceptions| match job.policy.tries {
        own if own == Policy::DEFAULT.tries => {
            Policy { tries, ..job.policy.clone() }.after_failure(job.attempt, exceptions)
        }
        _ => job.policy.after_failure(job.attempt, exceptions),
    };
    let (reason, exception) = match stop {
        Stop::Open(_) => return Outcome::Released,
        Stop::Hopeless(reason) => return Outcome::Failed { reason },
        Stop::Missing(_) if job.policy.delete_when_missing => return Outcome::Missing,
        Stop::Missing(reason) => return Outcome::Failed { reason },
        Stop::Later { after, reason } => {
            return match after_failure(job.exceptions) {
                Next::Retry(_) => Outcome::Retry { after, reason, exception: false },
                Next::GiveUp(why) => Outcome::Failed { reason: format!("{reason}: {why}") },
            };
        }
        stop => (stop.to_string(), true),
    };
    match after_failure(job.exceptions + 1) {
        Next::Retry(after) => Outcome::Retry { after, reason, exception },
        Next::GiveUp(why) => Outcome::Failed { reason: format!("{reason}: {why}") },
    }
}

pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
