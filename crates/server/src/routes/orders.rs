//! `POST /v1/workers/{worker}/drain` and `restart`, and `POST /v1/workers/restart` for all of them.

use axum::{Json, extract::State};
use samovar_engine::{Engine, Told};

use crate::{error::ApiError, input::UrlPath};

/// It ends when its jobs have.
pub(super) async fn drain(
    State(engine): State<Engine>,
    UrlPath(worker): UrlPath<String>,
) -> Result<Json<Told>, ApiError> {
    Ok(Json(engine.order_worker(&worker, false).await?))
}

/// The same, and another one takes its place.
pub(super) async fn restart(
    State(engine): State<Engine>,
    UrlPath(worker): UrlPath<String>,
) -> Result<Json<Told>, ApiError> {
    Ok(Json(engine.order_worker(&worker, true).await?))
}

pub(super) async fn restart_all(State(engine): State<Engine>) -> Result<Json<Told>, ApiError> {
    Ok(Json(engine.order_workers(true).await?))
}
