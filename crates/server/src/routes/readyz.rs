//! `GET /readyz`: the store can be reached, so requests may be sent here.

use axum::{extract::State, http::StatusCode};
use samovar_engine::Engine;

use crate::error::ApiError;

pub(super) async fn get(State(engine): State<Engine>) -> Result<&'static str, ApiError> {
    if engine.is_ready().await {
        return Ok("ready\n");
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Err(ApiError::new(status, "store_unavailable", "the store cannot be reached"))
}
