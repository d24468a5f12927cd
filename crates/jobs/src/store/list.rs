//! What people ask a store about jobs and batches, and what it answers.

use std::fmt;

use crate::{
    batch::BatchView,
    job::JobView,
    name::{BatchId, Kind, QueueName, Tenant},
    state::State,
};

/// The lists in which jobs stand, each in an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// Claimed or running, by the end of their leases.
    Held,
    /// What waits longest first.
    Waiting,
    /// What is due next first.
    Scheduled,
    /// The last that failed first.
    Failed,
    /// However it ended; the last first.
    Ended,
}

impl List {
    pub const ALL: [List; 5] =
        [List::Held, List::Waiting, List::Scheduled, List::Failed, List::Ended];

    /// In which jobs of this state are found.
    pub fn of(state: State) -> Self {
        match state {
            State::Claimed | State::Running => List::Held,
            State::Waiting => List::Waiting,
            State::Scheduled => List::Scheduled,
            State::Failed => List::Failed,
            State::Done | State::Cancelled => List::Ended,
        }
    }

    /// The last comes first.
    pub(crate) fn descends(self) -> bool {
        matches!(self, List::Failed | List::Ended)
    }

    /// Where an entry stands in it: what comes first is less.
    pub(crate) fn rank(self, cursor: Cursor) -> (i64, i64) {
        if self.descends() { (!cursor.at_ms, !cursor.seq) } else { (cursor.at_ms, cursor.seq) }
    }
}

/// Empty: all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub queue: Option<QueueName>,
    pub kind: Option<Kind>,
    /// One of these; none: any.
    pub tenants: Vec<Tenant>,
    /// The reason of the last attempt holds this text.
    pub reason: Option<String>,
    pub batch: Option<BatchId>,
    /// Of the states that a list holds, one.
    pub state: Option<State>,
}

impl Filter {
    /// Of failed jobs: the counts by queue and kind know how many match.
    pub(crate) fn is_of_lanes(&self) -> bool {
        let is_by_job = !self.tenants.is_empty() || self.reason.is_some() || self.batch.is_some();
        !is_by_job && self.state.is_none_or(|state| state == State::Failed)
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) at_ms: i64,
    pub(crate) seq: i64,
}

impl Cursor {
    /// From what it is displayed as.
    pub fn parse(text: &str) -> Option<Self> {
        let (at_ms, seq) = text.split_once('.')?;
        Some(Self { at_ms: at_ms.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at_ms, self.seq)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub jobs: Vec<JobView>,
    /// There may be more, even when this page has fewer rows than were asked for.
    pub next: Option<Cursor>,
}

/// Batches that have not finished, or have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFilter {
    pub finished: bool,
    pub queue: Option<QueueName>,
    /// One of these; none: any.
    pub tenants: Vec<Tenant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPage {
    pub batches: Vec<BatchView>,
    /// As of a [`Page`].
    pub next: Option<Cursor>,
}

/// A number that says whether it is the whole truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Exactly(u64),
    /// Counting went on for as long as it may.
    AtLeast(u64),
}

/// What became of a wish to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revived {
    Waiting,
    /// Another job that has not ended holds its unique key.
    KeyTaken,
    /// It has not failed and was not cancelled, or there is no such job.
    NotFailed,
}

/// What became of a page of failed jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevivedPage {
    pub waiting: usize,
    /// Left alone: another job that has not ended holds their unique key.
    pub key_taken: usize,
    pub next: Option<Cursor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    pub jobs: usize,
    /// There may be more.
    pub more: bool,
}
