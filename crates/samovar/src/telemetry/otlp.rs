//! With the feature `otlp`.

use samovar_clock::{Clock, Random};
use samovar_otlp::{Mistake, Service, Settings};
use samovar_server::Family;

use super::{LogLayer, variable};
use crate::working::instance;

#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// Nothing where nothing is to be exported.
    prepared: Option<samovar_otlp::Telemetry>,
    mistakes: Vec<Mistake>,
}

#[derive(Debug)]
pub(crate) struct Running(Option<samovar_otlp::Running>);

impl Telemetry {
    /// As the environment says. The layer collects spans from now on, where they are asked for.
    pub(crate) fn prepare() -> (Self, Option<LogLayer>) {
        let service = Service { version: env!("CARGO_PKG_VERSION"), instance: instance() };
        let (settings, mistakes) = Settings::read(&variable, &service);
        let Some(settings) = settings else { return (Self { prepared: None, mistakes }, None) };
        let (prepared, layer) =
            samovar_otlp::Telemetry::prepare(settings, Clock::System, Random::System);
        if layer.is_some() {
            samovar_jobs::trace::tell_by(samovar_otlp::traceparent);
        }
        (Self { prepared: Some(prepared), mistakes }, layer)
    }

    /// Begins to export. A process without telemetry is better than none.
    pub(crate) fn start<F>(self, families: impl Fn() -> F + Send + Sync + 'static) -> Running
    where
        F: Future<Output = Vec<Family>> + Send + 'static,
    {
        for Mistake { variable, reason, hint } in self.mistakes {
            tracing::warn!(variable, hint, "{reason}");
        }
        let running = self.prepared.and_then(|prepared| {
            let running = prepared.start(families);
            running.map_err(|error| tracing::error!(%error, "no telemetry is exported")).ok()
        });
        Running(running)
    }
}

impl Running {
    /// After all that leaves spans has come to its end.
    pub(crate) async fn stop(self) {
        if let Some(running) = self.0 {
            running.stop().await;
        }
    }
}
