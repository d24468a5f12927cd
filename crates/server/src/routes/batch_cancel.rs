//! `POST /v1/batches/{id}/cancel`: what waits of it ends, what runs is told to stop.

use axum::{Json, extract::State};
use samovar_engine::{Batch, Engine};

use crate::{error::ApiError, input::UrlPath};

pub(super) async fn post(
    State(engine): State<Engine>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Batch>, ApiError> {
    Ok(Json(engine.cancel_batch(&id).await?.ok_or_else(|| ApiError::unknown_batch(&id))?))
}
