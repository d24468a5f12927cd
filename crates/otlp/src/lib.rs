//! Spans and metrics leave by OTLP, over HTTP with protobuf. No other crate knows OpenTelemetry.
//!
//! Others make spans with `tracing`, in the target `samovar::span`; a layer gives those that are sampled to
//! a queue with a limit, which is emptied in the background. Metrics are those of `/metrics`.

mod context;
mod fields;
mod layer;
pub mod limits;
mod loss;
mod messages;
mod metrics;
mod post;
mod sampler;
mod settings;
mod spans;
mod telemetry;
mod variables;

pub use context::traceparent;
pub use settings::{Service, Settings};
pub use telemetry::{NoClient, Running, SpanLayer, Telemetry};
pub use variables::Mistake;
