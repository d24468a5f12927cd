//! The store against real files and real servers.

mod embedded;
mod redis;
mod redis_single;
