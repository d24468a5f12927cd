//! Whether what happened may have happened.

mod rule;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use samovar_jobs::{BatchId, JobId, State, limits};

pub(crate) use self::rule::Rule;
use crate::{
    entry::Ends,
    history::{Attempt, BatchFact, Facts, Fate, History, Left, OfferedBatch},
};

/// What was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub jobs: usize,
    pub acknowledged: usize,
    pub batches: usize,
    /// Attempts that were begun once more though they had not asked for it.
    pub repeated: usize,
    /// Attempts in flight at faults: no more may be repeated.
    pub in_flight: usize,
    /// Of those repeated, not in flight at a fault, but in a process that had waited for its turn.
    pub starved: usize,
    /// Jobs that failed as the store says it: lost so often in a row that it gave them up.
    pub given_up: usize,
    pub broken: Vec<Broken>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub rule: Rule,
    /// Of a job or a batch, as they are displayed and as they are written down.
    pub id: Option<u64>,
    pub why: String,
}

impl Verdict {
    /// How often a rule was broken.
    pub(crate) fn count(&self, rule: Rule) -> usize {
        self.broken.iter().filter(|it| it.rule == rule).count()
    }
}

pub(crate) fn check(history: &History, facts: &Facts) -> Verdict {
    let acked = |fate: Fate| matches!(fate, Fate::Acked { .. });
    let mut attempts: HashMap<JobId, Vec<&Attempt>> = HashMap::new();
    history.attempts.iter().for_each(|it| attempts.entry(it.job).or_default().push(it));
    let verdict = Verdict {
        jobs: facts.jobs.len(),
        acknowledged: history.offered.values().filter(|offered| acked(offered.fate)).count(),
        batches: history.batches.values().filter(|it| acked(it.fate)).count(),
        ..Verdict::default()
    };
    let mut checker = Checker { history, facts, attempts, verdict };
    checker.jobs();
    checker.batches();
    checker.left();
    checker.attempts();
    checker.fences();
    checker.unique();
    checker.whole();
    checker.verdict
}

struct Checker<'a> {
    history: &'a History,
    facts: &'a Facts,
    /// Of each job, in the order of their tokens.
    attempts: HashMap<JobId, Vec<&'a Attempt>>,
    verdict: Verdict,
}

impl<'a> Checker<'a> {
    fn broken(&mut self, rule: Rule, id: Option<u64>, why: impl Into<String>) {
        self.verdict.broken.push(Broken { rule, id, why: why.into() });
    }

    fn attempts_of(&self, job: JobId) -> &[&'a Attempt] {
        self.attempts.get(&job).map_or(&[], Vec::as_slice)
    }

    /// Each that was acknowledged has come to the end it was meant for.
    fn jobs(&mut self) {
        for (job, offered) in &self.history.offered {
            let id = Some(job.as_u64());
            match (self.facts.jobs.get(job), offered.fate) {
                (None, Fate::Acked { .. }) => {
                    let (rule, why) = self.gone(Rule::JobKept, *job);
                    self.broken(rule, id, why);
                }
                (None, _) => {}
                (Some(_), Fate::Not) => {
                    self.broken(Rule::NoStranger, id, "refused, and in the store");
                }
                (Some(state), _) if !state.has_ended() => {
                    self.broken(Rule::AllEnd, id, format!("still {state}"));
                }
                (Some(State::Done), _) if !self.history.effects.contains(job) => {
                    self.broken(Rule::NoEmptyEnd, id, "done without effect");
                }
                (Some(state), _) => {
                    let cancelled = offered.offer.batch.is_some_and(|it| self.is_cancelled(it));
                    let meant = match (state, offered.offer.ends) {
                        (State::Cancelled, _) => cancelled,
                        (state, Ends::Well) => *state == State::Done,
                        (state, Ends::Badly) => *state == State::Failed,
                    };
                    if *state == State::Failed && !meant && self.was_lost_too_often(*job) {
                        self.verdict.given_up += 1;
                    } else if !meant {
                        let why = format!("{state}, meant to end {:?}", offered.offer.ends);
                        self.broken(Rule::RightEnd, id, why);
                    }
                }
            }
        }
    }

    /// Of what is not there: whether the store said before that `last` had ended.
    fn gone(&self, lost: Rule, last: JobId) -> (Rule, &'static str) {
        if self.attempts_of(last).iter().any(|attempt| attempt.is_final()) {
            (Rule::EndKept, "it has ended, and is not in the store")
        } else {
            (lost, "acknowledged, and not in the store")
        }
    }

    /// Claims are counted, for a start may be on record of which the killed node could tell nobody.
    fn was_lost_too_often(&self, job: JobId) -> bool {
        let attempts = self.attempts_of(job);
        let last = attempts.last().map_or(0, |attempt| attempt.token);
        let came_to_an_end = attempts.iter().filter(|it| it.is_acknowledged()).count() as u64;
        last - came_to_an_end.min(last) >= u64::from(limits::LAPSES)
    }

    fn is_cancelled(&self, batch: BatchId) -> bool {
        self.facts.batches.get(&batch).is_some_and(|batch| batch.is_cancelled)
    }

    fn batches(&mut self) {
        let members = self.history.members();
        for (id, offered) in &self.history.batches {
            let Some(fact) = self.facts.batches.get(id) else {
                if matches!(offered.fate, Fate::Acked { .. }) {
                    let (rule, why) = self.gone(Rule::BatchKept, offered.offer.finally);
                    self.broken(rule, Some(id.as_u64()), why);
                }
                continue;
            };
            let members = members.get(id).map_or(&[][..], Vec::as_slice);
            let ended = Ended::of(members, &self.facts.jobs);
            if let Some(why) = ended.contradicts(fact) {
                self.broken(Rule::BatchFinishes, Some(id.as_u64()), why);
            }
            self.callbacks(offered, fact, &ended);
        }
    }

    /// Exactly those that were called for. That one is not done twice is what `attempts` sees.
    fn callbacks(&mut self, offered: &OfferedBatch, fact: &BatchFact, ended: &Ended) {
        let well = ended.failed == 0 && ended.cancelled == 0;
        let called = [well || offered.offer.allow_failures, ended.failed > 0, fact.is_finished];
        for ((name, job), called) in offered.offer.callbacks().into_iter().zip(called) {
            let why = match (called, self.facts.jobs.contains_key(&job)) {
                (false, true) => "there, though nothing called for it",
                (true, false) => "called for, and not there",
                _ => continue,
            };
            self.broken(Rule::Callbacks, Some(job.as_u64()), format!("{name}: {why}"));
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
                self.broken(Rule::LeftOnce, Some(parent.as_u64()), why);
            }
        }
    }

    fn attempts(&mut self) {
        let faults = &self.history.faults;
        let met = |attempt: &Attempt| faults.iter().filter(|it| it.met(attempt)).count();
        self.verdict.in_flight = self.history.attempts.iter().map(met).sum();
        let pairs = self.attempts.values().flat_map(|all| all.windows(2));
        for (attempt, later) in pairs.map(|pair| (pair[0], pair[1])).collect::<Vec<_>>() {
            let id = Some(attempt.job.as_u64());
            if attempt.is_final() {
                let why = format!("token {} began after {attempt:?}", later.token);
                self.broken(Rule::NotAgain, id, why);
            } else if !attempt.is_acknowledged() {
                self.verdict.repeated += 1;
                let starved = || self.history.starved.iter().any(|it| it.met(attempt));
                if met(attempt) > 0 {
                    continue;
                } else if starved() {
                    self.verdict.starved += 1;
                } else {
                    let why = format!("not in flight at any fault: {attempt:?}");
                    self.broken(Rule::Repeats, id, why);
                }
            }
        }
        let Verdict { repeated, starved, in_flight, .. } = self.verdict;
        if repeated > in_flight + starved {
            let why = format!("{repeated} attempts, {in_flight} were in flight at faults");
            self.broken(Rule::Repeats, None, why);
        }
    }

    /// Who still ran when the next attempt had begun was fenced off by then.
    fn fences(&mut self) {
        for attempts in self.attempts.clone().into_values() {
            let mut tokens = HashSet::new();
            for attempt in &attempts {
                let id = Some(attempt.job.as_u64());
                if !tokens.insert(attempt.token) {
                    self.broken(Rule::Fence, id, format!("token {} twice", attempt.token));
                }
                let newer = |it: &&&Attempt| it.token > attempt.token;
                let fenced_us = attempts.iter().filter(newer).map(|it| it.began_us).min();
                let ran_on = fenced_us.is_some_and(|at_us| Some(at_us) < attempt.ran_us);
                if ran_on && attempt.is_acknowledged() {
                    let why =
                        format!("another attempt had begun, and still it counted: {attempt:?}");
                    self.broken(Rule::Fence, id, why);
                }
            }
        }
    }

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
                let ran = |it: &&Attempt| it.ran_us.is_some_and(|at_us| at_us < next_us);
                if !self.attempts_of(first).iter().any(ran) {
                    let why = format!("pushed while {first} held its key");
                    self.broken(Rule::Unique, Some(next.as_u64()), why);
                }
            }
        }
    }

    /// The store holds what was pushed and nothing else.
    fn whole(&mut self) {
        let known = self.facts.jobs.len() as u64;
        if self.facts.total_jobs != known {
            let why = format!("{} jobs in the store, {known} of them known", self.facts.total_jobs);
            self.broken(Rule::NoStranger, None, why);
        }
        if self.facts.open_jobs > 0 {
            let why = format!("{} jobs have not ended though all is calm", self.facts.open_jobs);
            self.broken(Rule::AllEnd, None, why);
        }
        for reason in self.history.troubles.clone() {
            self.broken(Rule::NoTrouble, None, reason);
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
