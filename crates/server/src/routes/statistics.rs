//! `GET /v1/cache/stats`: what the cache of this process holds and has done.

use axum::{Json, extract::State};
use samovar_engine::{Engine, Statistics};

pub(super) async fn get(State(engine): State<Engine>) -> Json<Statistics> {
    Json(engine.statistics().await)
}
