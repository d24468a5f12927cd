//! The two ways Samovar keeps state: SQLite files and Redis. Connections, not meaning.

pub mod embedded;
pub mod redis;
mod trust;

pub use trust::Trust;
