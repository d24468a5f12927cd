//! Definitions with every kind of mistake, and queries against real databases.

mod definitions;
mod postgres;
mod postgres_faults;
mod postgres_tls;
mod postgres_types;
mod sqlite;
