//! `POST /v1/jobs/prune`: all jobs that ended, however, more than so long ago are forgotten.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, Pruned, parse_duration};
use serde::Deserialize;

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Like 7d.
    older_than: String,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::All
    }

    fn told(&self) -> Option<String> {
        Some(format!("older than {}", self.older_than.chars().take(20).collect::<String>()))
    }
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(Input { older_than }): JsonBody<Input>,
) -> Result<Json<Pruned>, ApiError> {
    let invalid = |message: String| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        ApiError::new(status, "invalid_duration", message).field("older_than")
    };
    Ok(Json(engine.prune_jobs(parse_duration(&older_than).map_err(invalid)?).await?))
}
