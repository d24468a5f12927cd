//! `POST /v1/batches/{id}/cancel`: what waits of it ends, what runs is told to stop.

use axum::{Json, extract::State};
use samovar_engine::{Batch, Engine};

use super::batch::seen;
use crate::{error::ApiError, identity::Identity, input::UrlPath};

pub(super) async fn post(
    State(engine): State<Engine>,
    identity: Identity,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Batch>, ApiError> {
    let unknown = || ApiError::unknown_batch(&id);
    // Before it is cancelled: whose it is does not change.
    let batch = engine.batch(&id).await?.ok_or_else(unknown)?;
    seen(batch, &identity).ok_or_else(unknown)?;
    Ok(Json(engine.cancel_batch(&id).await?.ok_or_else(unknown)?))
}
