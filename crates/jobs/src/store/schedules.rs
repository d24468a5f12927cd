//! What schedulers ask a store, and what it answers.

use crate::{
    job::{NewJob, Pushed},
    name::{QueueName, ScheduleName},
};

/// How far a schedule is, in milliseconds of the calendar and not of the store's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub schedule: ScheduleName,
    /// Whatever was due up to here has been pushed or left out.
    pub mark_ms: u64,
    /// The last instant for which jobs were pushed.
    pub fired_ms: Option<u64>,
}

/// Pushes the jobs and moves the mark, if it still is where it was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// Of all its jobs: their schedule lives where they do.
    pub queue: QueueName,
    pub schedule: ScheduleName,
    /// The mark that was seen; nothing: the schedule is new.
    pub expected_ms: Option<u64>,
    pub mark_ms: u64,
    pub jobs: Vec<NewJob>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    Now(Vec<Pushed>),
    /// Somebody else has moved the mark, or this was sent before: nothing was changed.
    Moved {
        mark_ms: Option<u64>,
    },
}
