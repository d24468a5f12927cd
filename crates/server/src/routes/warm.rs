//! `POST /v1/warm`: readings are computed before anybody asks for them, by jobs.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, WarmUp, Warming};

use crate::{error::ApiError, input::JsonBody};

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(warm_up): JsonBody<WarmUp>,
) -> Result<(StatusCode, Json<Warming>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(engine.warm(&warm_up).await?)))
}
