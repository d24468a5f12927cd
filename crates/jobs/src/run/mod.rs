//! Running jobs: kinds as Rust types, and the worker that claims, admits and runs them.
//!
//! - `kind`: what a job is to the code that runs it
//! - `registry`: which kinds a worker knows, and what they may use
//! - `context`: what a running job can do
//! - `remote`: its calls of what may be down
//! - `worker`: the loop that claims
//! - `attempt`: one attempt, from admission to its outcome
//! - `beats`: the heartbeats, from a thread of their own
//! - `served`: which queue is served next

mod attempt;
mod beats;
mod context;
mod kind;
mod registry;
mod remote;
mod served;
mod worker;

pub use context::{Context, Told};
pub use kind::{Job, NoSuchName, Stop, new_job};
pub use registry::{Registry, UnfitKind};
pub use served::Served;
pub use worker::{Settings, Worker, WorkerError, WorkerState};
