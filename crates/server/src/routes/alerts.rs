//! `GET /v1/alerts`: what is looked at, how it stands, and what became of what was told.

use axum::{Json, extract::State};
use samovar_engine::{AlertsShown, Engine};

pub(super) async fn get(State(engine): State<Engine>) -> Json<AlertsShown> {
    Json(engine.alerts())
}
