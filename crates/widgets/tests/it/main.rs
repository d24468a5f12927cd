//! Definitions with every kind of mistake, and queries against real databases.

mod definitions;
mod mysql;
mod mysql_types;
mod sqlite;
