//! `GET /v1/cache/stats/{widget}`: one widget, by tenant and over the last day.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, WidgetDetail};

use crate::{error::ApiError, input::UrlPath};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<WidgetDetail>, ApiError> {
    let missing = || {
        let message = format!("there is no widget `{name}`");
        ApiError::new(StatusCode::NOT_FOUND, "unknown_widget", message).field("widget")
    };
    engine.widget_statistics(&name).map(Json).ok_or_else(missing)
}
