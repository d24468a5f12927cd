//! Without the feature `otlp` nothing is collected. Whoever asks for it is told.

use samovar_server::Family;

use super::{LogLayer, variable};

#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// The variable that asks for it.
    asked_by: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Running;

impl Telemetry {
    pub(crate) fn prepare() -> (Self, Option<LogLayer>) {
        let endpoints = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ];
        let is_named = |name: &&str| variable(name).is_some_and(|value| !value.trim().is_empty());
        let is_disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let asked_by = endpoints.into_iter().find(is_named).filter(|_| !is_disabled);
        (Self { asked_by }, None)
    }

    pub(crate) fn start<F>(self, _: impl Fn() -> F) -> Running
    where
        F: Future<Output = Vec<Family>>,
    {
        if let Some(variable) = self.asked_by {
            let hint = "take a samovar that was built with `--features otlp`, or unset it";
            tracing::warn!(variable, hint, "this samovar exports no telemetry");
        }
        Running
    }
}

impl Running {
    pub(crate) async fn stop(self) {}
}
