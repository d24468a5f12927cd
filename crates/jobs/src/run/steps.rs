//! The steps of an attempt, told as events of `tracing` at level TRACE: for people who look on, and
//! for those who let a process die between two of them.

use crate::{Finished, Hold};

/// The target of all of them. Each has a field `step`.
pub const STEPS_TARGET: &str = "samovar::jobs::step";

/// The names of all steps, in the order in which they come.
pub const STEP_NAMES: [&str; 9] =
    ["promoted", "reaped", "asked", "claimed", "admitted", "started", "renewed", "ran", "reported"];

/// The worker is about to ask for jobs. It waits for the answer before it asks again.
pub(super) fn asked() {
    tracing::trace!(target: STEPS_TARGET, step = "asked");
}

/// Something has happened to a job, and is on record where it has to be.
pub(super) fn passed(step: &'static str, hold: Hold) {
    let Hold { id, token } = hold;
    tracing::trace!(target: STEPS_TARGET, step, job = %id, token = token.as_u64());
}

/// The store knows how an attempt ended, and this is where the job is now.
pub(super) fn reported(hold: Hold, finished: &Finished) {
    let Hold { id, token } = hold;
    let became = match finished {
        Finished::Now(state) => state.name(),
        Finished::Deleted => "deleted",
        Finished::Zombie => "zombie",
    };
    tracing::trace!(target: STEPS_TARGET, step = "reported", job = %id, token = token.as_u64(), became);
}

/// So many jobs were moved by a look after the queues.
pub(super) fn tended(step: &'static str, jobs: usize) {
    if jobs > 0 {
        tracing::trace!(target: STEPS_TARGET, step, jobs);
    }
}
