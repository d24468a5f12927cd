//! Definitions with every kind of mistake, and queries against real databases.

mod capture;
mod definitions;
mod memory;
mod mysql;
mod mysql_faults;
mod mysql_types;
mod panics;
mod postgres;
mod postgres_faults;
mod postgres_tls;
mod postgres_types;
mod rollup_definitions;
mod rollup_partials;
mod rollups;
mod sqlite;
