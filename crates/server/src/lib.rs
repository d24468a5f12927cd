//! The HTTP surface: routes over an engine. No other crate knows HTTP.

mod error;
mod input;
pub mod limits;
mod negotiate;
mod routes;
mod server;
mod shown;

pub use server::{BindError, Server};
