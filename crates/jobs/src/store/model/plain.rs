//! Jobs in a plain list: what a store does, without a store.
//!
//! Written from the words of `docs/jobs.md` and not from the code it is compared with.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::rule;
use crate::{
    batch::{Callbacks, NewBatch},
    job::{Cancelled, Finished, Held, NewJob, Outcome, Pushed},
    limits,
    name::{BatchId, Hold, JobId, Kind, QueueName, Token, WorkerName},
    state::State,
    store::{Claim, Revived},
};

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) new: NewJob,
    pub(super) state: State,
    pub(super) token: u64,
    /// Attempts that count.
    pub(super) spent: u32,
    /// Attempts that a death took; it is a suspect as long as there are some.
    pub(super) taken: u32,
    pub(super) exceptions: u32,
    pub(super) kills: u32,
    pub(super) at_ms: u64,
    since_ms: u64,
    cancelling: bool,
    worker: Option<WorkerName>,
}

#[derive(Debug, Clone)]
pub(super) struct Batch {
    callbacks: Callbacks,
    allow_failures: bool,
    pub(super) total: u64,
    pub(super) pending: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) is_cancelled: bool,
    pub(super) finished: bool,
    caught: bool,
}

#[derive(Debug, Default)]
pub(super) struct Plain {
    /// In the order of their arrival.
    pub(super) jobs: Vec<Job>,
    pub(super) batches: BTreeMap<BatchId, Batch>,
    pub(super) paused: BTreeSet<QueueName>,
    pub(super) now_ms: u64,
    /// Of the one schedule on each queue.
    pub(super) marks: BTreeMap<QueueName, u64>,
    /// By queue, when the rate would be unused again: in milliseconds times its count.
    pub(super) full_at: BTreeMap<QueueName, u64>,
    /// By the operation that runs, and of them those whose first job failed.
    touched: BTreeMap<BatchId, bool>,
}

impl Plain {
    pub(super) fn find(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.new.id == id)
    }

    fn held(&self, hold: Hold) -> Option<usize> {
        self.find(hold.id).filter(|at| {
            let job = &self.jobs[*at];
            job.state.is_held() && job.token == hold.token.0
        })
    }

    fn is_open(&self, batch: BatchId) -> bool {
        self.batches.get(&batch).is_some_and(|batch| !batch.finished)
    }

    pub(super) fn push(&mut self, jobs: &[NewJob]) -> Option<Vec<Pushed>> {
        let named = jobs.iter().filter_map(|job| job.batch);
        if named.into_iter().any(|batch| !self.is_open(batch)) {
            return None;
        }
        let pushed = jobs.iter().map(|job| self.push_one(job)).collect();
        self.settle();
        Some(pushed)
    }

    fn push_one(&mut self, new: &NewJob) -> Pushed {
        if self.find(new.id).is_some() {
            return Pushed::AlreadyThere(new.id);
        }
        if let Some(holder) = self.holder_of_key(new) {
            return Pushed::AlreadyThere(holder);
        }
        let due_ms = self.now_ms + new.delay.as_millis() as u64;
        self.jobs.push(Job {
            new: new.clone(),
            state: if new.delay.is_zero() { State::Waiting } else { State::Scheduled },
            token: 0,
            spent: 0,
            taken: 0,
            exceptions: 0,
            kills: 0,
            at_ms: due_ms,
            since_ms: due_ms,
            cancelling: false,
            worker: None,
        });
        if let Some(id) = new.batch {
            let batch = self.batches.get_mut(&id).expect("open");
            batch.total += 1;
            batch.pending += 1;
            self.touched.entry(id).or_default();
        }
        Pushed::New(new.id)
    }

    fn holder_of_key(&self, new: &NewJob) -> Option<JobId> {
        let key = new.unique_key.as_ref()?;
        let holds = |job: &&Job| {
            job.new.queue == new.queue
                && job.new.unique_key.as_ref() == Some(key)
                && !job.state.has_ended()
        };
        self.jobs.iter().find(holds).map(|job| job.new.id)
    }

    pub(super) fn push_batch(&mut self, new: &NewBatch) {
        if self.batches.contains_key(&new.id) {
            return;
        }
        let batch = Batch {
            callbacks: new.callbacks.clone(),
            allow_failures: new.allow_failures,
            total: 0,
            pending: 0,
            failed: 0,
            cancelled: 0,
            is_cancelled: false,
            finished: false,
            caught: false,
        };
        self.batches.insert(new.id, batch);
        self.touched.entry(new.id).or_default();
        for job in &new.jobs {
            self.push_one(job);
        }
        self.settle();
    }

    pub(super) fn promote(&mut self) {
        let now_ms = self.now_ms;
        for job in &mut self.jobs {
            if job.state == State::Scheduled && job.at_ms <= now_ms {
                job.state = State::Waiting;
                job.since_ms = job.at_ms;
            }
        }
    }

    /// Ids, tokens, attempts that count, whether it is a suspect.
    pub(super) fn claim(&mut self, claim: &Claim) -> Vec<(JobId, u64, u32, bool)> {
        self.promote();
        let mut claimed = Vec::new();
        for (queue, most) in &claim.queues {
            let mut may = self.permits(claim, queue);
            let mut next = self.next(claim, queue);
            next.retain(|at| {
                self.jobs[*at].new.kind != rule().kind || {
                    let goes = may > 0;
                    may = may.saturating_sub(1);
                    goes
                }
            });
            for at in next.into_iter().take(*most) {
                let batch = self.jobs[at].new.batch;
                let gone = batch.is_some_and(|batch| self.batches[&batch].is_cancelled);
                if gone || self.jobs[at].cancelling {
                    self.end(at, State::Cancelled);
                    continue;
                }
                self.use_permit(claim, queue, at);
                let job = &mut self.jobs[at];
                job.state = State::Claimed;
                job.token += 1;
                job.spent += 1;
                job.at_ms = self.now_ms + claim.lease.as_millis() as u64;
                job.worker = Some(claim.worker.clone());
                claimed.push((job.new.id, job.token, job.spent, job.taken > 0));
            }
        }
        self.settle();
        claimed
    }

    fn next(&self, claim: &Claim, queue: &QueueName) -> Vec<usize> {
        let may = |job: &Job| {
            job.state == State::Waiting
                && job.new.queue == *queue
                && !self.paused.contains(queue)
                && job.new.version <= claim.version
                && !claim.except.contains(&job.new.kind)
                && claim.suspects.admit(job.taken > 0)
        };
        let mut next: Vec<usize> = (0..self.jobs.len()).filter(|at| may(&self.jobs[*at])).collect();
        next.sort_by_key(|at| (self.jobs[*at].since_ms, *at));
        next
    }

    pub(super) fn start(&mut self, hold: Hold) -> Held {
        let Some(at) = self.held(hold) else { return Held::Lost };
        let told = if self.jobs[at].cancelling { Held::Cancelled } else { Held::Yes };
        if self.jobs[at].state == State::Running {
            return told;
        }
        if told == Held::Cancelled {
            self.end(at, State::Cancelled);
            self.settle();
            return Held::Lost;
        }
        self.jobs[at].state = State::Running;
        told
    }

    pub(super) fn renew(&mut self, hold: Hold, lease_ms: u64) -> Held {
        let Some(at) = self.held(hold) else { return Held::Lost };
        self.jobs[at].at_ms = self.now_ms + lease_ms;
        if self.jobs[at].cancelling { Held::Cancelled } else { Held::Yes }
    }

    pub(super) fn finish(&mut self, hold: Hold, outcome: &Outcome) -> Finished {
        let Some(at) = self.held(hold) else { return Finished::Zombie };
        let runs = self.jobs[at].state == State::Running;
        let stops = self.jobs[at].cancelling;
        match outcome {
            Outcome::Failed { .. } => self.end_innocent(at, State::Failed),
            Outcome::Cancelled => self.end(at, State::Cancelled),
            Outcome::Released | Outcome::Retry { .. } | Outcome::Isolated { .. } if stops => {
                self.end(at, State::Cancelled);
            }
            Outcome::Released => self.wait_again(at),
            Outcome::Missing if !runs && self.jobs[at].new.policy.delete_when_missing => {
                return Finished::Zombie;
            }
            Outcome::Missing if self.jobs[at].new.policy.delete_when_missing => {
                self.end_innocent(at, State::Done);
                self.jobs.remove(at);
                self.settle();
                return Finished::Deleted;
            }
            Outcome::Missing => self.end_innocent(at, State::Failed),
            _ if !runs => return Finished::Zombie,
            Outcome::Done { follow_ups, .. } => {
                for job in follow_ups {
                    self.push_one(job);
                }
                self.end_innocent(at, State::Done);
            }
            Outcome::Retry { after, exception, .. } => {
                let job = &mut self.jobs[at];
                job.state = State::Scheduled;
                job.exceptions += u32::from(*exception);
                job.taken = 0;
                job.at_ms = self.now_ms + after.as_millis() as u64;
                job.since_ms = job.at_ms;
                job.worker = None;
            }
            Outcome::Isolated { class, .. } => {
                let policy = &mut self.jobs[at].new.policy;
                (policy.isolated, policy.class) = (true, *class);
                self.wait_again(at);
            }
            Outcome::Killed { .. } => {
                self.jobs[at].kills += 1;
                let most = self.jobs[at].new.policy.max_kills;
                self.lose(at, self.jobs[at].kills >= u32::from(most));
            }
        }
        let state = self.jobs[at].state;
        self.settle();
        Finished::Now(state)
    }

    /// Its process is gone, and its attempt with it.
    fn lose(&mut self, at: usize, for_good: bool) {
        let job = &mut self.jobs[at];
        job.spent -= 1;
        job.taken += 1;
        job.worker = None;
        if for_good {
            self.end(at, State::Failed);
        } else {
            job.state = State::Waiting;
            job.at_ms = job.since_ms;
        }
    }

    fn wait_again(&mut self, at: usize) {
        let job = &mut self.jobs[at];
        job.state = State::Waiting;
        job.spent -= 1;
        job.at_ms = job.since_ms;
        job.worker = None;
    }

    fn end_innocent(&mut self, at: usize, state: State) {
        self.jobs[at].taken = 0;
        self.end(at, state);
    }

    fn end(&mut self, at: usize, state: State) {
        let job = &mut self.jobs[at];
        job.state = state;
        job.at_ms = self.now_ms;
        job.worker = None;
        let Some(id) = job.new.batch else { return };
        let Some(batch) = self.batches.get_mut(&id).filter(|batch| !batch.finished) else { return };
        batch.pending -= 1;
        batch.cancelled += u64::from(state == State::Cancelled);
        let touched = self.touched.entry(id).or_default();
        if state == State::Failed {
            batch.failed += 1;
            batch.is_cancelled |= !batch.allow_failures;
            *touched |= !batch.caught;
            batch.caught = true;
        }
    }

    /// Who holds what, taken back: all that lapsed, all of a worker, or all.
    pub(super) fn reap(&mut self, which: impl Fn(&Job, u64) -> bool) {
        for at in 0..self.jobs.len() {
            let job = &self.jobs[at];
            if !job.state.is_held() || !which(job, self.now_ms) {
                continue;
            }
            match job.state {
                _ if job.cancelling => self.end(at, State::Cancelled),
                State::Claimed => self.wait_again(at),
                _ => self.lose(at, self.jobs[at].taken + 1 >= limits::LAPSES),
            }
        }
        self.settle();
    }

    pub(super) fn cancel(&mut self, id: JobId) -> Cancelled {
        let Some(at) = self.find(id) else { return Cancelled::Unknown };
        let job = &mut self.jobs[at];
        if job.state.has_ended() {
            return Cancelled::Ended(job.state);
        }
        if job.state == State::Running {
            job.cancelling = true;
            return Cancelled::Told;
        }
        self.end(at, State::Cancelled);
        self.settle();
        Cancelled::AtOnce
    }

    pub(super) fn cancel_batch(&mut self, id: BatchId) {
        if let Some(batch) = self.batches.get_mut(&id).filter(|batch| !batch.finished) {
            batch.is_cancelled = true;
            self.touched.entry(id).or_default();
        }
        self.settle();
    }

    pub(super) fn tend(&mut self) {
        self.promote();
        for at in 0..self.jobs.len() {
            let job = &self.jobs[at];
            let waits = matches!(job.state, State::Scheduled | State::Waiting);
            let batch = job.new.batch.and_then(|batch| self.batches.get(&batch));
            if waits && batch.is_some_and(|batch| batch.is_cancelled && !batch.finished) {
                self.end(at, State::Cancelled);
            }
        }
        self.settle();
    }

    pub(super) fn revive(&mut self, id: JobId) -> Revived {
        let Some(at) = self.find(id) else { return Revived::NotFailed };
        let was = self.jobs[at].state;
        if !matches!(was, State::Failed | State::Cancelled) {
            return Revived::NotFailed;
        }
        if self.holder_of_key(&self.jobs[at].new).is_some() {
            return Revived::KeyTaken;
        }
        let job = &mut self.jobs[at];
        job.state = State::Waiting;
        job.taken = job.taken.min(1);
        (job.spent, job.exceptions, job.kills, job.cancelling) = (0, 0, 0, false);
        (job.at_ms, job.since_ms) = (self.now_ms, self.now_ms);
        if let Some(id) = job.new.batch
            && let Some(batch) = self.batches.get_mut(&id).filter(|batch| !batch.finished)
        {
            batch.pending += 1;
            let count = match was {
                State::Failed => &mut batch.failed,
                _ => &mut batch.cancelled,
            };
            *count -= 1;
            self.touched.entry(id).or_default();
        }
        self.settle();
        Revived::Waiting
    }

    /// What the batches call for after an operation.
    fn settle(&mut self) {
        for (id, catches) in std::mem::take(&mut self.touched) {
            let batch = self.batches.get_mut(&id).expect("touched");
            let finishes = batch.pending == 0 && !batch.finished;
            batch.finished |= finishes;
            let well = batch.failed + batch.cancelled == 0 || batch.allow_failures;
            let goes_on = finishes && well && !batch.is_cancelled;
            let Callbacks { then, catch, finally } = batch.callbacks.clone();
            let calls = [(catches, catch), (goes_on, then), (finishes, finally)];
            let is_cancelled = batch.is_cancelled;
            for job in calls.into_iter().filter_map(|(called, job)| job.filter(|_| called)) {
                self.push_one(&job);
            }
            for job in self.jobs.iter_mut().filter(|job| job.new.batch == Some(id)) {
                job.cancelling |= is_cancelled && job.state.is_held();
            }
        }
    }

    pub(super) fn count(&self, queue: &QueueName, state: State) -> u64 {
        let counts = |job: &&Job| job.new.queue == *queue && job.state == state;
        self.jobs.iter().filter(counts).count() as u64
    }

    pub(super) fn is_of(job: &Job, worker: &WorkerName) -> bool {
        job.worker.as_ref() == Some(worker)
    }
}

/// A hold as somebody might still believe in.
pub(super) fn hold(id: JobId, token: u64) -> Hold {
    Hold { id, token: Token(token) }
}

pub(super) fn kind(name: &str) -> Kind {
    Kind::new(name).expect("a name")
}
