//! The HTTP surface: routes over an engine. No other crate knows HTTP.

mod connection;
mod cookie;
mod denied;
mod descriptors;
mod error;
mod exposition;
mod front;
mod gate;
mod identity;
mod input;
pub mod limits;
mod negotiate;
mod openapi;
mod repeats;
mod routes;
mod server;
mod shown;
mod trail;
mod until;
mod widget_answer;

pub use routes::{Least, RouteShown, TenantIn};
pub use server::{BindError, Live, Server};
