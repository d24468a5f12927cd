//! The HTTP surface: routes over an engine. No other crate knows HTTP.

mod connection;
mod cookie;
mod denied;
mod descriptors;
mod error;
mod exposition;
mod families;
mod front;
mod gate;
mod identity;
mod input;
pub mod limits;
mod metrics;
mod negotiate;
mod openapi;
mod repeats;
mod resting;
mod routes;
mod server;
mod shown;
mod spans;
mod threads;
mod trail;
mod until;
mod widget_answer;

pub use families::{Family, Figure, Kind, Sample};
pub use metrics::read as metrics;
pub use routes::{Least, RouteShown, TenantIn};
pub use server::{BindError, Live, Server};
