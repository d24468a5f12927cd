//! Spans and metrics of this process, sent to an OpenTelemetry collector where its environment names one.
//! They are of the process: other definitions change nothing about them, and commands that end soon have
//! none.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(not(feature = "otlp"))]
mod without;

use tracing_subscriber::{Layer, Registry};

#[cfg(feature = "otlp")]
pub(crate) use self::otlp::Telemetry;
#[cfg(not(feature = "otlp"))]
pub(crate) use self::without::Telemetry;

/// By which logs leave spans alone, which change nothing about what they write.
pub(crate) const NO_SPANS: &str = "samovar::span=off";

/// A part of the subscriber of the process.
pub(crate) type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
