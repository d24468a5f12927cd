//! Redis, alone, behind Sentinel or as a Cluster: connections, not meaning.
//!
//! [`Redis`] finds the masters and keeps one [`Link`] to each; a link knows which incarnation of
//! which master it speaks to, and its [`Trust`](crate::Trust) says how long silence on its
//! subscription means that nothing was published. Nothing reconnects behind a link's back.

mod address;
mod backoff;
mod beat;
mod client;
mod cluster;
mod error;
mod handshake;
mod info;
mod link;
mod node;
mod options;
mod reply;
mod route;
mod script;
mod sentinel;
mod shared;
mod slot;
mod status;
mod table;
mod topology;
mod url;

pub use ::redis::{Cmd, FromRedisValue, Pipeline, ToRedisArgs, Value, cmd, from_redis_value, pipe};
pub use address::Address;
pub use client::{OnMessage, Redis};
pub use error::{ConnectError, Lost, QueryError, Repeat, Unavailable};
pub use link::Link;
pub use options::{Credentials, Options, OptionsError, Secret, Topology};
pub use script::{Call, Script};
pub use slot::of as slot_of;
pub use status::{MasterStatus, ServerStatus, Status};
