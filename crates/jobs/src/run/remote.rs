//! Calls of remotes: how they end is counted in this process, and told to the store when it matters.
//!
//! A remote trips its breaker by so many failed calls in a row, on one queue, in one worker.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Instant};
use serde::{Deserialize, Serialize};

use super::{context::Context, kind::Stop};
use crate::{
    Claimed, Hold, QueueName, RemoteName, Store, StoreError,
    store::{OpenBreaker, Report, Said},
};

/// What a worker knows of the remotes that its jobs need.
#[derive(Debug)]
pub(super) struct Remotes {
    store: Arc<Store>,
    /// Failed calls in a row that trip a breaker.
    failures: u32,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bounded by the remotes that kinds name and the queues that are served.
    known: HashMap<(QueueName, RemoteName), Known>,
    /// Probes of which nothing was said yet.
    probes: Vec<(Hold, QueueName, RemoteName)>,
    /// Calls that have not come to an end.
    calls: Vec<(Hold, QueueName, RemoteName)>,
    reports: Vec<Report>,
}

#[derive(Debug, Default)]
struct Known {
    failures: u32,
    open_until: Option<Instant>,
}

/// How a call ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Went {
    Well,
    Badly(String),
    /// In a way that says nothing of the remote.
    Aside,
}

impl Went {
    fn of<T>(result: &Result<T, Stop>) -> Self {
        match result {
            Err(Stop::Error(reason)) => Went::Badly(reason.clone()),
            Err(Stop::Told | Stop::Memory(_) | Stop::Open(_)) => Went::Aside,
            _ => Went::Well,
        }
    }
}

impl Remotes {
    pub(super) fn new(store: Arc<Store>, failures: u32, clock: Clock) -> Self {
        Self { store, failures: failures.max(1), clock, state: Mutex::default() }
    }

    /// What a claim of these queues was answered with: breakers it does not name are closed.
    pub(super) fn hear(&self, queues: &[(QueueName, usize)], open: Vec<OpenBreaker>) {
        let now = self.clock.now();
        let mut state = self.state();
        for ((queue, _), known) in &mut state.known {
            if queues.iter().any(|(asked, _)| asked == queue) {
                known.open_until = None;
            }
        }
        for OpenBreaker { queue, remote, left } in open {
            state.known.entry((queue, remote)).or_default().open_until = Some(now + left);
        }
    }

    /// A job was given to this worker.
    pub(super) fn begins(&self, job: &Claimed) {
        let probes = job.probes.iter().map(|it| (job.hold, job.queue.clone(), it.clone()));
        self.state().probes.extend(probes);
    }

    /// Whether the breaker is open for this job; if it is not, it now calls.
    pub(super) fn call(&self, job: &Claimed, remote: &RemoteName) -> bool {
        let mut state = self.state();
        let key = (job.queue.clone(), remote.clone());
        let until = state.known.get(&key).and_then(|known| known.open_until);
        let is_open = !job.probes.contains(remote) && until.is_some_and(|it| self.clock.now() < it);
        if !is_open {
            state.calls.push((job.hold, key.0, key.1));
        }
        is_open
    }

    /// The call came to an end.
    pub(super) async fn called(&self, job: &Claimed, remote: &RemoteName, went: Went) {
        {
            let mut state = self.state();
            let call = (job.hold, job.queue.clone(), remote.clone());
            if let Some(at) = state.calls.iter().position(|it| *it == call) {
                state.calls.swap_remove(at);
            }
            self.count(&mut state, call, went);
        }
        self.tell().await;
    }

    fn count(
        &self,
        state: &mut State,
        (hold, queue, remote): (Hold, QueueName, RemoteName),
        went: Went,
    ) {
        let probe = state.probes.iter().position(|(it, _, name)| *it == hold && *name == remote);
        let probe = probe.filter(|_| !matches!(went, Went::Aside));
        let probe = probe.map(|at| state.probes.swap_remove(at));
        let known = state.known.entry((queue.clone(), remote.clone())).or_default();
        let said = match (went, probe) {
            (Went::Well, probe) => {
                known.failures = 0;
                probe.map(|(hold, ..)| Said::ProbeWorked(hold))
            }
            (Went::Badly(reason), Some((hold, ..))) => {
                known.failures = 0;
                Some(Said::ProbeFailed { hold, reason })
            }
            (Went::Aside, _) => None,
            (Went::Badly(reason), None) => {
                known.failures += 1;
                let trips = known.failures >= self.failures;
                known.failures %= self.failures;
                trips.then_some(Said::Broken { reason })
            }
        };
        state.reports.extend(said.map(|said| Report { queue, remote, said }));
    }

    /// An attempt is over. A call that has not come to an end has failed, because the attempt ran
    /// out of time, panicked or gave it up, unless it was told to stop; a probe that made no call
    /// makes room for another one.
    pub(super) async fn ended(&self, hold: Hold, is_told: bool) {
        {
            let mut state = self.state();
            for call in take_of(&mut state.calls, hold) {
                let no_answer = "no answer before the end of the attempt".to_owned();
                let went = if is_told { Went::Aside } else { Went::Badly(no_answer) };
                self.count(&mut state, call, went);
            }
            for (_, queue, remote) in take_of(&mut state.probes, hold) {
                let said = Said::ProbeUnused(hold);
                state.reports.push(Report { queue, remote, said });
            }
        }
        self.tell().await;
    }

    /// Tells the store what it has to know. What it does not hear now, it hears later.
    async fn tell(&self) {
        let reports = std::mem::take(&mut self.state().reports);
        for report in reports {
            match self.store.report(report.clone()).await {
                Ok(left) => self.told(report, left),
                Err(StoreError::Refused(refusal)) => {
                    tracing::warn!(remote = %report.remote, %refusal, "a breaker is not kept");
                }
                Err(error) => {
                    tracing::warn!(remote = %report.remote, %error, "a breaker is not stored yet");
                    self.state().reports.push(report);
                }
            }
        }
    }

    fn told(&self, report: Report, left: Option<Duration>) {
        if let (Said::Broken { reason } | Said::ProbeFailed { reason, .. }, Some(left)) =
            (&report.said, left)
        {
            let (queue, remote) = (&report.queue, &report.remote);
            tracing::warn!(%queue, %remote, reason, ?left, "a breaker opens");
        }
        let open_until = left.map(|left| self.clock.now() + left);
        let key = (report.queue, report.remote);
        self.state().known.entry(key).or_default().open_until = open_until;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_of(
    list: &mut Vec<(Hold, QueueName, RemoteName)>,
    hold: Hold,
) -> Vec<(Hold, QueueName, RemoteName)> {
    list.extract_if(.., |(it, ..)| *it == hold).collect()
}

impl Context {
    /// Calls a remote that the kind of this job [needs](super::Job::NEEDS), unless its breaker is
    /// open: then the job goes back to its queue, its attempt unspent.
    ///
    /// [`Stop::Error`] counts as a failure of the remote, and so does no answer. Whatever else it
    /// answers, it works: make a refusal [`Stop::Hopeless`], [`Stop::Missing`] or [`Stop::Later`].
    pub async fn remote<T, E>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Stop>
    where
        E: Into<Stop>,
    {
        let Some(remote) = self.needed(name) else {
            let kind = &self.claimed().kind;
            let reason = format!("jobs of kind {kind} do not say that they need {name}: add it");
            return Err(Stop::Hopeless(reason));
        };
        let (reach, job) = (self.reach(), self.claimed());
        if reach.call(job, &remote).await? {
            return Err(Stop::Open(remote));
        }
        let result = call.await.map_err(Into::into);
        if let Err(error) = reach.called(job, &remote, Went::of(&result)).await {
            tracing::warn!(%remote, %error, "how a call ended is not counted");
        }
        result
    }
}
