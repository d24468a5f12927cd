//! Side by side with other systems, in one run, on one machine.
//!
//! A figure alone says little about software and much about the machine, so what is measured here
//! are ratios: the contestants take turns, round after round, and each round gives one ratio. The
//! tables show the median over the rounds and its spread.
//!
//! - [`child`]: this executable as a second process
//! - [`measure`]: samples of a round, medians, ratios
//! - [`table`]: what is printed
//! - [`deck`]: the readings, tags and payloads of all benchmarks
//! - [`resident`]: our cache with everything in its local tier
//! - [`peers`]: the bare maps with the same content
//! - [`local_hit`]: a hit in the local tier, quick_cache and moka
//! - [`shared_hit`]: a hit in the shared tier on Redis, and a bare `GET` of the same bytes
//! - [`waits`]: the network waits of a shared hit, counted at a proxy
//! - [`stampede`]: many processes and tasks that read one cold key
//! - [`jobs`]: jobs that do nothing, and BullMQ
//! - [`bus`]: how long another node serves what was invalidated here

pub mod bus;
pub mod child;
pub mod deck;
pub mod jobs;
pub mod local_hit;
pub mod measure;
pub mod peers;
pub mod resident;
pub mod shared_hit;
pub mod stampede;
pub mod table;
pub mod waits;

use std::time::Duration;

/// How long anything is waited for.
const LIMIT: Duration = Duration::from_secs(60);
