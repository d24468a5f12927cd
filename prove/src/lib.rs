//! The fault harness: real processes push and run jobs, faults come over them, and what became of
//! every job is compared with what was promised.
//!
//! - `entry`: what is written down, by nodes and about faults
//! - `recorder`: how it gets out of a process that may die at any moment
//! - `deed`: the jobs, and what is expected of each
//! - `produce`, `node`, `points`: the processes that the faults are for
//! - `fault`: what is done to them
//! - `place`, `fleet`: the store with its servers, and the nodes over it
//! - `scene`: one run over one store
//! - `history`, `check`: what happened, and whether it may have
//! - `report`: what people read
//! - `memory`: what is promised about the memory of jobs, tried apart
//! - `command`: what is asked for, and which processes a run has started

mod check;
mod command;
mod deed;
mod entry;
mod fault;
mod fleet;
mod history;
mod memory;
mod node;
mod place;
mod points;
mod produce;
mod recorder;
mod report;
mod scene;

pub use command::{Arguments, Stores, prove, started};
pub use report::Report;
