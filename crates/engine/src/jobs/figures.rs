//! What became of the jobs of a queue, by kind, over the last hours.

use std::time::Duration;

use samovar_jobs::{
    Histogram, Tally,
    store::{KindTallies, Period, Tallies},
};
use serde::Serialize;

use super::JobFailure;
use crate::engine::Engine;

/// Hours that are kept.
pub const MOST_HOURS: u32 = 31 * 24;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueFigures {
    pub queue: String,
    pub hours: u32,
    pub oldest_waiting_ms: Option<u64>,
    /// By name, behind them those that are counted together.
    pub kinds: Vec<KindFigures>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindFigures {
    /// Nothing: of all kinds above the limit of those that are counted by themselves.
    pub kind: Option<String>,
    #[serde(flatten)]
    pub total: Figures,
    /// Minutes, or hours where they go back further than a day, in which something happened.
    pub points: Vec<PointFigures>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointFigures {
    pub from_ms: u64,
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Attempts after which another one followed.
    pub retried: u64,
    /// Attempts that killed their process.
    pub killed: u64,
    /// Of those that were done or failed; nothing where there were none.
    pub success_rate: Option<f64>,
    /// Jobs done.
    pub per_second: f64,
    pub waited_ms: Spread,
    pub ran_ms: Spread,
    pub peak_bytes: Spread,
}

/// At most an eighth above the truth; nothing where nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub p50: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
}

impl Engine {
    pub async fn queue_figures(&self, queue: &str, hours: u32) -> Result<QueueFigures, JobFailure> {
        let store = self.job_store()?;
        let queue = self.known_queue(store, queue).await?;
        let hours = hours.clamp(1, MOST_HOURS);
        let period = Period::hours(queue.clone(), hours);
        let (back, step) = (period.back, period.step);
        let Tallies { kinds, oldest_waiting } = store.tallies(period).await?;
        let ms = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let of_kind = |KindTallies { kind, total, points }| KindFigures {
            kind: kind.map(String::from),
            total: figures(&total, back),
            points: points
                .into_iter()
                .map(|it| PointFigures { from_ms: it.from_ms, figures: figures(&it.tally, step) })
                .collect(),
        };
        Ok(QueueFigures {
            queue: queue.into(),
            hours,
            oldest_waiting_ms: oldest_waiting.map(ms),
            kinds: kinds.into_iter().map(of_kind).collect(),
        })
    }
}

fn figures(tally: &Tally, over: Duration) -> Figures {
    Figures {
        done: tally.done,
        failed: tally.failed,
        cancelled: tally.cancelled,
        retried: tally.retried,
        killed: tally.killed,
        success_rate: tally.success_rate(),
        per_second: tally.throughput(over),
        waited_ms: spread(&tally.waited_ms),
        ran_ms: spread(&tally.ran_ms),
        peak_bytes: spread(&tally.peak_bytes),
    }
}

fn spread(histogram: &Histogram) -> Spread {
    let [p50, p95, p99] = [50, 95, 99].map(|percent| histogram.percentile(percent));
    Spread { p50, p95, p99 }
}
