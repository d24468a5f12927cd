//! `GET /v1/capture`: what sources tell of their own changes, and how that is applied.

use axum::{Json, extract::State};
use samovar_engine::{CaptureShown, Engine};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Output {
    sources: Vec<CaptureShown>,
}

pub(super) async fn get(State(engine): State<Engine>) -> Json<Output> {
    Json(Output { sources: engine.captures() })
}
