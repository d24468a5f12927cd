//! Real SQL databases: PostgreSQL and MariaDB, each with a folder and a port of its own.
//!
//! Nothing is synced to the disk. What was committed outlives the server's process all the same,
//! because the kernel has it.

mod daemon;
mod family;
mod mariadb;
mod postgres;
mod programs;
mod template;

pub(crate) use family::end as end_family;
pub use mariadb::{MariaDbBuilder, MariaDbServer};
pub use postgres::{PostgresBuilder, PostgresServer};

/// What [`PostgresServer::query`] and [`MariaDbServer::query`] answer: each value as text, `NULL`
/// as the word.
pub type Row = Vec<String>;

/// Who connects, with itself as its password.
const USER: &str = "samovar";

/// The name of the data folder in that of a server.
pub(crate) const DATA: &str = "data";
