//! SQLite files.
