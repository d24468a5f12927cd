//! `POST /v1/jobs/{id}/retry`: a failed or cancelled job is tried again, with all its attempts.

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
    Ok(Json(engine.retry_job(&id).await?))
}
