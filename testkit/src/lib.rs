//! What tests need from the real world: servers on free ports, a network that misbehaves, and
//! other processes to kill, stop and continue.
//!
//! Everything blocks and works inside and outside of a Tokio runtime; the proxy has a runtime of
//! its own. Whatever is started here dies with the value that owns it, or with the test process.
//!
//! - [`wait`]: conditions awaited with a limit, in place of sleeps
//! - [`port`]: ports that no other test takes meanwhile
//! - [`process`]: this test executable as a second process
//! - [`redis`]: `redis-server` alone, behind Sentinel, and as a Cluster
//! - [`sql`]: PostgreSQL and MariaDB
//! - [`Terminal`]: keys are pressed, what is drawn is kept
//! - [`wrong_clock`]: a clock for one process that jumps
//! - [`receiver`]: a server that keeps what is posted to it
//! - [`proxy`]: delays, cuts, black holes, and the counting of round trips

pub mod port;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redis;
mod spawner;
pub mod sql;
mod terminal;
pub mod wait;
pub mod wrong_clock;

pub use process::Process;
pub use proxy::{Direction, Proxy};
pub use receiver::Receiver;
pub use redis::{RedisCluster, RedisSentinel, RedisServer};
pub use sql::{MariaDbServer, PostgresServer};
pub use terminal::Terminal;
