//! `GET /v1/queues/{queue}`: what became of its jobs. `POST /v1/queues/{queue}/pause`, `resume` and
//! `clear`.

use axum::{Json, extract::State};
use samovar_engine::{Engine, QueueCleared, QueueFigures};
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants, UrlPath, UrlQuery},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// How far back; as far as they are kept at most.
    #[serde(default = "a_day")]
    hours: u32,
}

fn a_day() -> u32 {
    24
}

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(queue): UrlPath<String>,
    UrlQuery(Input { hours }): UrlQuery<Input>,
) -> Result<Json<QueueFigures>, ApiError> {
    Ok(Json(engine.queue_figures(&queue, hours).await?))
}

#[derive(Serialize)]
pub(super) struct Output {
    queue: String,
    paused: bool,
}

/// Nothing more is claimed from it; what runs goes on.
pub(super) async fn pause(
    State(engine): State<Engine>,
    UrlPath(queue): UrlPath<String>,
) -> Result<Json<Output>, ApiError> {
    Ok(Json(Output { queue: engine.pause_queue(&queue, true).await?, paused: true }))
}

pub(super) async fn resume(
    State(engine): State<Engine>,
    UrlPath(queue): UrlPath<String>,
) -> Result<Json<Output>, ApiError> {
    Ok(Json(Output { queue: engine.pause_queue(&queue, false).await?, paused: false }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearInput {
    /// Only jobs of these; none: all jobs.
    #[serde(default)]
    tenants: Vec<String>,
}

impl Asked for ClearInput {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenants)
    }
}

/// What waits or is scheduled there is cancelled.
pub(super) async fn clear(
    State(engine): State<Engine>,
    UrlPath(queue): UrlPath<String>,
    JsonBody(ClearInput { tenants }): JsonBody<ClearInput>,
) -> Result<Json<QueueCleared>, ApiError> {
    Ok(Json(engine.clear_queue(&queue, tenants).await?))
}
