//! Definitions with every kind of mistake, and queries against a real file.

mod definitions;
mod sqlite;
