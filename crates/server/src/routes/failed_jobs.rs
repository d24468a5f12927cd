//! `POST /v1/jobs/retry` and `POST /v1/jobs/flush`: all failed jobs that match are tried again, or
//! forgotten.

use axum::{Json, extract::State};
use samovar_engine::{Bulk, Engine, Flushed, JobsWanted, Retried};
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

/// Nothing said: all failed jobs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    queue: Option<String>,
    kind: Option<String>,
    batch: Option<String>,
    #[serde(default)]
    tenants: Vec<String>,
    reason: Option<String>,
    /// Counts, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenants)
    }

    /// A reason could hold anything.
    fn told(&self) -> Option<String> {
        let Self { queue, kind, batch, dry_run, reason, .. } = self;
        let named = [("queue", queue), ("kind", kind), ("batch", batch)];
        let named =
            named.into_iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?)));
        let reason = reason.as_ref().map(|_| "by reason".to_owned());
        let dry_run = dry_run.then(|| "dry run".to_owned());
        Some(named.chain(reason).chain(dry_run).collect::<Vec<_>>().join(", "))
    }
}

impl Input {
    fn wanted(self) -> JobsWanted {
        let Self { queue, kind, batch, tenants, reason, .. } = self;
        JobsWanted { queue, kind, batch, tenants, reason, state: None }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Output {
    Counted(Bulk),
    Retried(Retried),
    Flushed(Flushed),
}

pub(super) async fn retry(
    State(engine): State<Engine>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    Ok(Json(match input.dry_run {
        true => Output::Counted(engine.count_failed(&input.wanted()).await?),
        false => Output::Retried(engine.retry_jobs(&input.wanted()).await?),
    }))
}

pub(super) async fn flush(
    State(engine): State<Engine>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    Ok(Json(match input.dry_run {
        true => Output::Counted(engine.count_failed(&input.wanted()).await?),
        false => Output::Flushed(engine.flush_jobs(&input.wanted()).await?),
    }))
}
