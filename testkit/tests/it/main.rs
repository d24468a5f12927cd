//! The testkit tested: each file one subject.

mod cluster;
mod process;
mod proxy;
mod sentinel;
mod server;
mod sql;
