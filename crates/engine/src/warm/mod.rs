//! Readings are computed before anybody asks for them: a batch of jobs, one for each tenant, those
//! first whose readings are read the most.
//!
//! - `request`: what is to be warmed, and the batch that it becomes
//! - `readings`: which readings that are, for one tenant
//! - `jobs`: what the jobs do
//! - `schedules`: when they are pushed by themselves
//! - `usual`: what is read how much at which hour

pub(crate) mod jobs;
mod readings;
pub(crate) mod request;
mod schedules;
pub(crate) mod usual;

pub use request::{Batch, FailedJob, WarmFailure, WarmUp, Warming};
pub(crate) use schedules::check_schedule;
pub use usual::UsualReading;
