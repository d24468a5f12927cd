//! From the first span of a process to the last: collected from the start, sent once there is a runtime,
//! and flushed at the end.

use std::future::Future;

use samovar_clock::{Clock, Random};
use samovar_server::Family;
use tokio::{sync::watch, task::JoinSet};
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::filter_fn};

use crate::{
    layer::{Collecting, TARGET},
    limits,
    loss::Loss,
    messages::resource,
    metrics::Exporting,
    post::{Post, client},
    settings::Settings,
    spans::{Sending, Waiting, queue},
};

/// Collects spans; for the subscriber of a process.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Of one process. What is collected before it is started waits.
pub struct Telemetry {
    settings: Settings,
    /// The spans that wait, where spans are collected.
    waiting: Option<Waiting>,
    since_ns: u64,
    clock: Clock,
}

/// Exports until it is stopped.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    exporting: JoinSet<()>,
    clock: Clock,
}

#[derive(Debug, thiserror::Error)]
#[error("no client for HTTP can be made: {0}")]
pub struct NoClient(String);

impl Telemetry {
    /// With the layer that collects spans, where they are asked for.
    pub fn prepare(settings: Settings, clock: Clock, random: Random) -> (Self, Option<SpanLayer>) {
        let (mut waiting, mut layer) = (None, None);
        if let Some(spans) = &settings.spans {
            let (put, taken) = queue(spans.queue);
            let (sampler, clock) = (spans.sampler, clock.clone());
            let collecting = Collecting { sampler, queue: put, clock, random };
            let is_ours = |it: &Metadata<'_>| it.is_span() && it.target() == TARGET;
            let ours = filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
            layer = Some(collecting.with_filter(ours).boxed());
            waiting = Some(taken);
        }
        let since_ns = clock.wall_nanos();
        (Self { settings, waiting, since_ns, clock }, layer)
    }

    /// Begins to export. `families` reads the metrics as they are.
    pub fn start<M, F>(self, families: M) -> Result<Running, NoClient>
    where
        M: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Vec<Family>> + Send + 'static,
    {
        let Self { settings, waiting, since_ns, clock } = self;
        let client = client().map_err(|error| NoClient(error.to_string()))?;
        let (stop, stopping) = watch::channel(false);
        let mut exporting = JoinSet::new();
        let loss = |what| Loss::of(what, clock.clone());
        if let (Some(spans), Some(waiting)) = (settings.spans, waiting) {
            tracing::info!(to = %spans.to, "spans are exported");
            let sending = Sending {
                waiting,
                batching: spans.batching,
                post: Post::new(client.clone(), spans.to),
                resource: resource(&settings.resource),
                clock: clock.clone(),
                loss: loss("spans"),
            };
            exporting.spawn(sending.run(stopping.clone()));
        }
        if let Some(metrics) = settings.metrics {
            tracing::info!(to = %metrics.to, "metrics are exported");
            let sending = Exporting {
                interval: metrics.interval,
                most: metrics.most,
                post: Post::new(client, metrics.to),
                resource: resource(&settings.resource),
                clock: clock.clone(),
                loss: loss("metrics"),
                since_ns,
            };
            exporting.spawn(sending.run(families, stopping));
        }
        Ok(Running { stop, exporting, clock })
    }
}

impl Running {
    /// Exports what there is, as far as that is done soon.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let all = async { while self.exporting.join_next().await.is_some() {} };
        if self.clock.timeout(limits::END, all).await.is_err() {
            let within_s = limits::END.as_secs();
            tracing::warn!(within_s, "telemetry is given up: the collector took too long");
            self.exporting.shutdown().await;
        }
    }
}

/// Until it is told to stop, or nobody is left to tell.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("settings", &self.settings).finish_non_exhaustive()
    }
}
