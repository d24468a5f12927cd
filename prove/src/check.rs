//! Whether what happened may have happened.

use std::collections::{HashMap, HashSet};

use samovar_jobs::{BatchId, JobId, State};

use crate::{
    entry::Ends,
    history::{Attempt, BatchFact, Facts, Fate, History, Left, OfferedBatch},
    node::LEASE,
};

/// A fault is felt for longer than it lasts: nodes connect again, and leases go on.
const SLACK_US: u64 = LEASE.as_micros() as u64;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    pub jobs: usize,
    pub acknowledged: usize,
    pub lost: usize,
    pub batches: usize,
    pub unfinished: usize,
    pub callbacks_wrong: usize,
    /// Attempts that were begun once more though they had not asked for it.
    pub repeated: usize,
    /// Attempts in flight at faults: no more may be repeated.
    pub bound: usize,
    /// Of those repeated, not in flight at a fault, but in a process that had waited for its turn.
    pub starved: usize,
    /// Where a promise would be broken, if one was given.
    pub broken: Vec<Broken>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub what: &'static str,
    /// Of a job or a batch, as they are displayed and as they are written down.
    pub id: Option<u64>,
    pub why: String,
}

pub(crate) fn check(history: &History, facts: &Facts) -> Verdict {
    let acked = |fate: Fate| matches!(fate, Fate::Acked { .. });
    let mut checker = Checker { history, facts, verdict: Verdict::default() };
    checker.verdict.jobs = facts.jobs.len();
    checker.verdict.acknowledged =
        history.offered.values().filter(|offered| acked(offered.fate)).count();
    checker.verdict.batches = history.batches.values().filter(|it| acked(it.fate)).count();
    checker.jobs();
    checker.batches();
    checker.left();
    checker.attempts();
    checker.unique();
    checker.whole();
    checker.verdict
}

struct Checker<'a> {
    history: &'a History,
    facts: &'a Facts,
    verdict: Verdict,
}

impl Checker<'_> {
    fn broken(&mut self, what: &'static str, id: Option<u64>, why: impl Into<String>) {
        self.verdict.broken.push(Broken { what, id, why: why.into() });
    }

    /// Each that was acknowledged has come to the end it was meant for.
    fn jobs(&mut self) {
        for (job, offered) in &self.history.offered {
            let id = Some(job.as_u64());
            match (self.facts.jobs.get(job), offered.fate) {
                (None, Fate::Acked { .. }) => {
                    self.verdict.lost += 1;
                    self.broken("lost", id, "acknowledged, and not in the store");
                }
                (None, _) => {}
                (Some(_), Fate::Not) => self.broken("stranger", id, "refused, and in the store"),
                (Some(state), _) if !state.has_ended() => {
                    self.verdict.lost += 1;
                    self.broken("lost", id, format!("still {state}"));
                }
                (Some(State::Done), _) if !self.history.effects.contains_key(job) => {
                    self.verdict.lost += 1;
                    self.broken("lost", id, "done without effect");
                }
                (Some(state), _) => {
                    let cancelled = offered.offer.batch.is_some_and(|it| self.is_cancelled(it));
                    let meant = match (state, offered.offer.ends) {
                        (State::Cancelled, _) => cancelled,
                        (state, Ends::Well) => *state == State::Done,
                        (state, Ends::Badly) => *state == State::Failed,
                    };
                    if !meant {
                        let why = format!("{state}, meant to end {:?}", offered.offer.ends);
                        self.broken("wrong end", id, why);
                    }
                }
            }
        }
    }

    fn is_cancelled(&self, batch: BatchId) -> bool {
        self.facts.batches.get(&batch).is_some_and(|batch| batch.is_cancelled)
    }

    fn batches(&mut self) {
        let members = self.history.members();
        for (id, offered) in &self.history.batches {
            let Some(fact) = self.facts.batches.get(id) else {
                if matches!(offered.fate, Fate::Acked { .. }) {
                    self.verdict.unfinished += 1;
                    self.broken("unfinished", Some(id.as_u64()), "acknowledged, and not there");
                }
                continue;
            };
            let none = Vec::new();
            let ended = Ended::of(members.get(id).unwrap_or(&none), &self.facts.jobs);
            if let Some(why) = ended.contradicts(fact) {
                self.verdict.unfinished += 1;
                self.broken("unfinished", Some(id.as_u64()), why);
            }
            self.callbacks(offered, fact, &ended);
        }
    }

    /// Exactly those that were called for.
    fn callbacks(&mut self, offered: &OfferedBatch, fact: &BatchFact, ended: &Ended) {
        let well = ended.failed == 0 && ended.cancelled == 0;
        let called = [well || offered.offer.allow_failures, ended.failed > 0, fact.is_finished];
        for ((name, job), called) in offered.offer.callbacks().into_iter().zip(called) {
            let found = self.facts.jobs.get(&job);
            let ends = self.history.attempts.iter().filter(|it| it.job == job && it.became("done"));
            let why = match (called, found, ends.count()) {
                (false, None, _) | (true, Some(_), 0..=1) => continue,
                (false, Some(_), _) => "there, though nothing called for it".to_owned(),
                (true, None, _) => "called for, and not there".to_owned(),
                (true, Some(_), times) => format!("acknowledged as done {times} times"),
            };
            self.verdict.callbacks_wrong += 1;
            self.broken("callback", Some(job.as_u64()), format!("{name}: {why}"));
        }
    }

    /// Of what the attempts of a job wanted to leave behind, one is there if the job is done.
    fn left(&mut self) {
        let mut by_parent: HashMap<JobId, usize> = HashMap::new();
        for Left { parent, job } in &self.history.left {
            let there = usize::from(self.facts.jobs.contains_key(job));
            *by_parent.entry(*parent).or_default() += there;
        }
        for (parent, there) in by_parent {
            let due = usize::from(self.facts.jobs.get(&parent) == Some(&State::Done));
            if there != due {
                let why = format!("{there} jobs left behind, {due} due");
                self.broken("left behind", Some(parent.as_u64()), why);
            }
        }
    }

    fn attempts(&mut self) {
        let mut of_job: HashMap<JobId, Vec<&Attempt>> = HashMap::new();
        self.history.attempts.iter().for_each(|it| of_job.entry(it.job).or_default().push(it));
        let faults = &self.history.faults;
        let met = |attempt: &Attempt| faults.iter().filter(|it| it.met(attempt, SLACK_US)).count();
        self.verdict.bound = self.history.attempts.iter().map(met).sum();
        for attempts in of_job.values() {
            for (attempt, later) in attempts.iter().zip(attempts.iter().skip(1)) {
                if ["done", "failed", "cancelled", "deleted"].iter().any(|it| attempt.became(it)) {
                    let why = format!("token {} began after {attempt:?}", later.token);
                    self.broken("ran again", Some(attempt.job.as_u64()), why);
                }
                if !attempt.is_acknowledged() {
                    self.repeated(attempt, met(attempt));
                }
            }
        }
        let Verdict { repeated, starved, bound, .. } = self.verdict;
        if repeated > bound + starved {
            self.broken("repeated", None, format!("{repeated} attempts, {bound} were in flight"));
        }
    }

    fn repeated(&mut self, attempt: &Attempt, faults: usize) {
        self.verdict.repeated += 1;
        let starved = || self.history.starved.iter().any(|it| it.met(attempt, SLACK_US));
        match faults {
            1.. => {}
            0 if starved() => {
                self.verdict.starved += 1;
            }
            0 => {
                let why = format!("not in flight at any fault: {attempt:?}");
                self.broken("repeated", Some(attempt.job.as_u64()), why);
            }
        }
    }

    /// A key is free again when the job that held it has ended, not before.
    fn unique(&mut self) {
        let mut by_key: HashMap<&str, Vec<(u64, JobId)>> = HashMap::new();
        for (job, offered) in &self.history.offered {
            if let (Some(key), Fate::Acked { at_us }) = (&offered.offer.unique, offered.fate) {
                by_key.entry(key).or_default().push((at_us, *job));
            }
        }
        for jobs in by_key.values_mut() {
            jobs.sort_unstable();
            for pair in jobs.windows(2) {
                let ((_, first), (next_us, next)) = (pair[0], pair[1]);
                if !self.may_have_ended(first, next_us) {
                    let why = format!("pushed while {first} held its key");
                    self.broken("unique", Some(next.as_u64()), why);
                }
            }
        }
    }

    /// It ran, at least.
    fn may_have_ended(&self, job: JobId, before_us: u64) -> bool {
        let mut begun = self.history.attempts.iter().filter(|attempt| attempt.job == job);
        begun.any(|attempt| attempt.began_us < before_us)
    }

    /// The store holds what was pushed and nothing else.
    fn whole(&mut self) {
        let known = self.facts.jobs.len() as u64;
        if self.facts.total_jobs != known {
            let why = format!("{} jobs in the store, {known} of them known", self.facts.total_jobs);
            self.broken("stranger", None, why);
        }
        if self.facts.open_jobs > 0 {
            let why = format!("{} jobs have not ended though all is calm", self.facts.open_jobs);
            self.broken("not quiet", None, why);
        }
        let troubles: HashSet<&String> = self.history.troubles.iter().collect();
        for reason in troubles {
            self.broken("trouble", None, reason.as_str());
        }
    }
}

/// How the members of a batch ended.
struct Ended {
    there: u64,
    failed: u64,
    cancelled: u64,
}

impl Ended {
    fn of(members: &[JobId], jobs: &HashMap<JobId, State>) -> Self {
        let states: Vec<_> = members.iter().filter_map(|job| jobs.get(job)).collect();
        let count = |state: State| states.iter().filter(|it| ***it == state).count() as u64;
        Self {
            there: states.len() as u64,
            failed: count(State::Failed),
            cancelled: count(State::Cancelled),
        }
    }

    fn contradicts(&self, fact: &BatchFact) -> Option<String> {
        if !fact.is_finished || fact.pending > 0 {
            return Some(format!("{} of {} jobs are pending", fact.pending, fact.total));
        }
        let says = (fact.total, fact.failed, fact.cancelled);
        let is = (self.there, self.failed, self.cancelled);
        (says != is)
            .then(|| format!("it counts {says:?} in all, failed, cancelled; there are {is:?}"))
    }
}
