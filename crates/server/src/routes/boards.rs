//! `GET /v1/boards`: the pages there are, and the widgets on them.

use axum::{Json, extract::State};
use samovar_engine::{BoardShown, Engine};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Output {
    boards: Vec<BoardShown>,
}

pub(super) async fn get(State(engine): State<Engine>) -> Json<Output> {
    Json(Output { boards: engine.boards() })
}
