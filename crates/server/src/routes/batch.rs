//! `GET /v1/batches/{id}`: how far a batch of jobs is.

use axum::{Json, extract::State};
use samovar_engine::{Batch, Engine};

use crate::{error::ApiError, input::UrlPath};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Batch>, ApiError> {
    Ok(Json(engine.batch(&id).await?.ok_or_else(|| ApiError::unknown_batch(&id))?))
}
