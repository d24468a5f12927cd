//! Calls of remotes: how they end is counted in this process, and told to the store when it matters.
//!
//! A remote trips its breaker by so many failed calls in a row, on one queue, in one worker.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Instant};

use super::{
    context::{Context, Told},
    kind::Stop,
};
use crate::{
    Claimed, Hold, QueueName, RemoteName, Store, StoreError,
    store::{OpenBreaker, Report, Said},
};

/// What a worker knows of the remotes that its jobs need.
#[derive(Debug)]
pub(super) struct Remotes {
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
    reports: Vec<Report>,
}

#[derive(Debug, Default)]
struct Known {
    failures: u32,
    open_until: Option<Instant>,
}

/// How a call ended.
enum Went {
    Well,
    Badly(String),
}

impl Remotes {
    pub(super) fn new(failures: u32, clock: Clock) -> Self {
        Self { failures: failures.max(1), clock, state: Mutex::default() }
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

    fn is_open(&self, job: &Claimed, remote: &RemoteName) -> bool {
        let state = self.state();
        let known = state.known.get(&(job.queue.clone(), remote.clone()));
        let until = known.and_then(|known| known.open_until);
        !job.probes.contains(remote) && until.is_some_and(|until| self.clock.now() < until)
    }

    fn count(&self, job: &Claimed, remote: &RemoteName, went: Went) {
        let mut state = self.state();
        let probe = state.probes.iter().position(|(hold, _, it)| *hold == job.hold && it == remote);
        let probe = probe.map(|at| state.probes.swap_remove(at));
        let known = state.known.entry((job.queue.clone(), remote.clone())).or_default();
        let said = match (went, probe) {
            (Went::Well, probe) => {
                known.failures = 0;
                probe.map(|(hold, ..)| Said::ProbeWorked(hold))
            }
            (Went::Badly(reason), Some((hold, ..))) => {
                known.failures = 0;
                Some(Said::ProbeFailed { hold, reason })
            }
            (Went::Badly(reason), None) => {
                known.failures += 1;
                let trips = known.failures >= self.failures;
                known.failures %= self.failures;
                trips.then_some(Said::Broken { reason })
            }
        };
        let (queue, remote) = (job.queue.clone(), remote.clone());
        state.reports.extend(said.map(|said| Report { queue, remote, said }));
    }

    /// An attempt is over: a probe that made no call makes room for another one.
    pub(super) fn ended(&self, hold: Hold) {
        let mut state = self.state();
        let (unused, probes) = state.probes.drain(..).partition(|(it, ..)| *it == hold);
        state.probes = probes;
        let unused: Vec<_> = unused;
        let said = Said::ProbeUnused(hold);
        let report = |(_, queue, remote)| Report { queue, remote, said: said.clone() };
        state.reports.extend(unused.into_iter().map(report));
    }

    /// Tells the store what it has to know. What it does not hear now, it hears later.
    pub(super) async fn tell(&self, store: &Store) {
        let reports = std::mem::take(&mut self.state().reports);
        for report in reports {
            match store.report(report.clone()).await {
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

/// A call that is under way. Dropped without an answer it has failed, because the attempt ran out
/// of time or panicked; unless the attempt was told to stop.
struct Call<'a> {
    cx: &'a Context,
    remote: RemoteName,
    is_answered: bool,
}

impl Call<'_> {
    fn ended<T>(mut self, result: &Result<T, Stop>) {
        self.is_answered = true;
        let went = match result {
            Err(Stop::Error(reason)) => Went::Badly(reason.clone()),
            // These say nothing of the remote.
            Err(Stop::Told | Stop::Memory(_) | Stop::Open(_)) => return,
            _ => Went::Well,
        };
        self.cx.remotes().count(self.cx.claimed(), &self.remote, went);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.cx.told() == Told::Nothing {
            let went = Went::Badly("no answer before the end of the attempt".to_owned());
            self.cx.remotes().count(self.cx.claimed(), &self.remote, went);
        }
    }
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
        if self.remotes().is_open(self.claimed(), &remote) {
            return Err(Stop::Open(remote));
        }
        let under_way = Call { cx: self, remote, is_answered: false };
        let result = call.await.map_err(Into::into);
        under_way.ended(&result);
        self.remotes().tell(self.store()).await;
        result
    }
}
