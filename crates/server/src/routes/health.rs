//! `GET /v1/cache/health`: one figure for how this process's reads fare, and what it is made of.

use axum::{Json, extract::State};
use samovar_engine::{Engine, HealthShown};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Output {
    /// Null before anything was read.
    health: Option<HealthShown>,
    store_connected: bool,
    warnings: Vec<String>,
}

pub(super) async fn get(State(engine): State<Engine>) -> Json<Output> {
    let statistics = engine.statistics().await;
    let store = statistics.store;
    let (store_connected, warnings) = (store.connected, store.warnings);
    Json(Output { health: statistics.health, store_connected, warnings })
}
