//! Jobs as people and programs reach them: which there are, what becomes of them, and how they get there.
//!
//! - `rules`: what a configuration says of kinds of jobs
//! - `shown`: a job as it is shown
//! - `list`: which jobs and batches there are
//! - `change`: tried again, cancelled, forgotten, one or all that match
//! - `push`: jobs from outside
//! - `figures`: what became of the jobs of a queue over time
//! - `orders`: what queues, workers and schedules are told

mod change;
mod failure;
mod figures;
mod list;
mod orders;
mod push;
mod rules;
mod shown;

pub(crate) use self::rules::PUSHED_FROM_OUTSIDE;
pub use self::{
    change::{Bulk, Flushed, Pruned, Retried},
    failure::JobFailure,
    figures::{Figures, KindFigures, MOST_HOURS, QueueFigures},
    list::{BatchesWanted, JobsWanted, ManyBatches, ManyJobs},
    orders::{QueueCleared, ScheduleShown, Told},
    push::{JobPushed, JobWanted},
    rules::{JobRule, JobRules, KINDS},
    shown::{AttemptShown, JobFull, JobShown},
};
