//! SQLite files in a data folder that one process owns: connections, not meaning.
//!
//! A [`Folder`] is owned by one process at a time. A [`Database`] is one file in it: one writer
//! thread that commits in groups, a few reader threads, a generation that says whether the file's
//! history is unbroken, and a time that never goes back.

mod blocking;
mod checkpoint;
mod database;
mod errors;
mod file;
mod folder;
mod generation;
mod health;
pub mod limits;
mod operation;
mod options;
mod queue;
mod readers;
mod size;
mod time;
mod writer;

pub use checkpoint::Checkpoint;
pub use database::Database;
pub use errors::{CheckpointError, CloseError, Fault, FaultKind, OpenError, ReadError, WriteError};
pub use folder::Folder;
pub use health::{Health, LastError};
pub use options::{Durability, Options, Shared};
pub use rusqlite_migration::{M, Migrations};
pub use size::Size;
