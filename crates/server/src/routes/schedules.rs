//! `GET /v1/schedules`: what is run by the calendar, when it was and when it will be.

use axum::{Json, extract::State};
use samovar_engine::{Engine, ScheduleShown};
use serde::Serialize;

use crate::error::ApiError;

#[derive(Serialize)]
pub(super) struct Output {
    schedules: Vec<ScheduleShown>,
}

pub(super) async fn get(State(engine): State<Engine>) -> Result<Json<Output>, ApiError> {
    Ok(Json(Output { schedules: engine.schedules_shown().await? }))
}
