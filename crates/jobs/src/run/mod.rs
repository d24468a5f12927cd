//! Running jobs: kinds as Rust types, and the worker that claims, admits and runs them.
//!
//! - `kind`: what a job is to the code that runs it
//! - `registry`: which kinds a worker knows, and what they may use
//! - `context`: what a running job can do
//! - `remote`: its calls of what may be down
//! - `worker`: a worker from outside
//! - `rounds`: its loop, which claims
//! - `attempt`: one attempt, from admission to its outcome
//! - `gather`: questions of many attempts in one call
//! - `ladder`: what becomes of one that is too big
//! - `isolated`, `child`: one that runs in a process of its own, seen from both sides
//! - `reach`, `wire`: its way to the store
//! - `beats`: the heartbeats, from a thread of their own
//! - `served`: which queue is served next
//! - `slots`: how many jobs run at a time
//! - `signs`: what it shows of itself, and the end it is told to come to
//! - `steps`: what an attempt has passed, told to whoever looks on

mod attempt;
mod beats;
mod child;
mod context;
mod gather;
mod isolated;
mod kind;
mod ladder;
mod reach;
mod registry;
mod remote;
mod rounds;
mod served;
mod signs;
mod slots;
mod spans;
mod steps;
mod wire;
mod worker;

pub use child::run_as_child;
pub use context::{Context, Told};
pub use kind::{Job, NoSuchName, Size, Stop, new_job};
pub use registry::{Registry, UnfitKind};
pub use served::Served;
pub use slots::Slots;
pub use steps::{STEP_NAMES, STEPS_TARGET};
pub use worker::{Relief, Settings, Worker, WorkerError, WorkerState};
