//! What people ask a store about failed jobs, and what it answers.

use crate::{
    job::JobView,
    name::{Kind, QueueName, Tenant},
};

/// Empty: all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    pub queue: Option<QueueName>,
    pub kind: Option<Kind>,
    pub tenant: Option<Tenant>,
    /// The reason of the last attempt holds this text.
    pub reason: Option<String>,
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) at_ms: i64,
    pub(crate) seq: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub jobs: Vec<JobView>,
    /// There may be more, even when this page has fewer rows than were asked for.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    pub jobs: usize,
    /// There may be more.
    pub more: bool,
}
