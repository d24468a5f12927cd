//! What workers ask a store, and what it answers.

use std::{sync::Arc, time::Duration};

use crate::{
    job::Claimed,
    name::{Hold, Kind, QueueName, RemoteName, WorkerName},
    rule::Rule,
};

/// For some slots of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub worker: WorkerName,
    /// How many at most of each, in the order in which they are served.
    pub queues: Vec<(QueueName, usize)>,
    /// How long the worker may stay silent about them.
    pub lease: Duration,
    /// Of the worker's definitions: what a newer version wrote is left to newer workers.
    pub version: u32,
    /// Not now, for reasons of the worker's own.
    pub except: Vec<Kind>,
    /// Of the kinds that have one: what the store leaves alone by itself.
    pub rules: Arc<[Rule]>,
    pub suspects: Suspects,
}

/// What a claim is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    pub jobs: Vec<Claimed>,
    /// By the store's time, from now: when the first of what a rule held back may go.
    pub next_allowed: Option<Duration>,
    /// On the queues of the claim, where a rule names a remote: all that hold back jobs.
    pub open: Vec<OpenBreaker>,
}

/// Jobs that need this remote are left alone for so long, or until the one that tries it out has
/// told how that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBreaker {
    pub queue: QueueName,
    pub remote: RemoteName,
    pub left: Duration,
}

/// Whether suspects are given out: jobs that ran when their worker was lost, and may be why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspects {
    /// Not to a worker that would run them beside others.
    None,
    /// To one that runs each in a process of its own.
    Also,
    /// To one that runs nothing else meanwhile.
    Only,
}

impl Suspects {
    /// Whether a job that is one, or is none, is given out.
    pub fn admit(self, suspect: bool) -> bool {
        match self {
            Suspects::None => !suspect,
            Suspects::Also => true,
            Suspects::Only => suspect,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// Where all of them are, if that is known.
    pub queue: Option<QueueName>,
    pub holds: Vec<Hold>,
    pub lease: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reap {
    /// Leases that ran out.
    Lapsed,
    /// Whatever this worker holds: it is known to be dead.
    Dead(WorkerName),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reaped {
    /// They had not started and wait again, their attempt given back.
    pub unstarted: usize,
    /// They had started: they wait for a process of their own.
    pub suspects: usize,
    /// They were to be cancelled, or were lost too often.
    pub ended: usize,
    /// There may be more.
    pub more: bool,
    /// Nothing is taken back yet: the store was away, and those who hold leases have one lease of
    /// time to renew them (law 13).
    pub held_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tended {
    pub promoted: usize,
    pub cancelled: usize,
    /// There may be more.
    pub more: bool,
    /// By the store's time, from now: when the next scheduled job is due.
    pub next_due: Option<Duration>,
}

/// What is on a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFigures {
    pub queue: QueueName,
    pub paused: bool,
    /// How many may wait or be scheduled.
    pub limit: u64,
    pub scheduled: u64,
    /// Of them `suspects` wait for a process of their own.
    pub waiting: u64,
    pub suspects: u64,
    pub claimed: u64,
    pub running: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// How long the one that waits longest has waited.
    pub oldest_waiting: Option<Duration>,
}
