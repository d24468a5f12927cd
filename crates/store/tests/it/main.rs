//! The store against real files and real servers.

mod embedded;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod redis_single;
mod redis_trust;
