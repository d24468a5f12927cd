//! `POST /v1/jobs/{id}/cancel`: what waits ends at once, what runs is told to stop.

use axum::{Json, extract::State};
use samovar_engine::{Engine, JobShown};

use super::job::seen;
use crate::{error::ApiError, identity::Identity, input::UrlPath};

pub(super) async fn post(
    State(engine): State<Engine>,
    identity: Identity,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<JobShown>, ApiError> {
    seen(&engine, &identity, &id).await?;
    Ok(Json(engine.cancel_job(&id).await?))
}
