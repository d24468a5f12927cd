//! Definitions with every kind of mistake, and queries against real databases.

mod definitions;
mod mysql;
mod mysql_faults;
mod mysql_types;
mod sqlite;
