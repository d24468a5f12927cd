//! The HTTP surface: routes over an engine. No other crate knows HTTP.

mod connection;
mod descriptors;
mod error;
mod exposition;
mod front;
mod input;
pub mod limits;
mod negotiate;
mod openapi;
mod repeats;
mod routes;
mod server;
mod shown;
mod until;
mod widget_answer;

pub use server::{BindError, Server};
