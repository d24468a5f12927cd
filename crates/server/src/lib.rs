//! The HTTP surface: routes over an engine. No other crate knows HTTP.

mod cookie;
mod denied;
mod error;
mod gate;
mod identity;
mod input;
pub mod limits;
mod negotiate;
mod routes;
mod server;
mod shown;
mod trail;

pub use routes::{Least, RouteShown, TenantIn};
pub use server::{BindError, Server};
