//! Jobs that are never lost: queues, attempts, batches.
//!
//! A job that a push has acknowledged runs, at least once, whatever dies meanwhile. How is drawn in
//! `docs/jobs.md`: the life of a job ([`State`]) and who may move it.

mod backoff;
mod batch;
pub mod http;
mod job;
pub mod limits;
mod name;
mod policy;
pub mod post;
mod rule;
pub mod run;
pub mod schedule;
mod state;
pub mod store;
mod tally;
pub mod trace;

pub use batch::{BatchView, Callbacks, InvalidBatch, NewBatch};
pub use job::{
    Cancelled, Claimed, EndedAttempt, Finish, Finished, Flown, Held, InvalidJob, JobDetails,
    JobView, NewJob, Outcome, Progress, Pushed, Record,
};
pub use name::{
    BatchId, BatchName, Hold, InvalidName, JobId, Kind, QueueName, RemoteName, ScheduleName,
    Tenant, Token, WorkerName,
};
pub use policy::{GiveUp, InvalidPolicy, Next, Policy};
pub use rule::{InvalidRate, Rate, Rule};
pub use state::{STEPS, State, Step};
pub use store::{Refusal, Store, StoreError};
pub use tally::{Histogram, Measured, Tally};
