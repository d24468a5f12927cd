//! `POST /v1/schedules/{schedule}/run`: its job is pushed now; when it is due next does not change.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, JobPushed};

use crate::{error::ApiError, input::UrlPath};

pub(super) async fn post(
    State(engine): State<Engine>,
    UrlPath(schedule): UrlPath<String>,
) -> Result<(StatusCode, Json<JobPushed>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(engine.run_schedule(&schedule).await?)))
}
