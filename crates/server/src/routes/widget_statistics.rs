//! `GET /v1/cache/stats/{widget}`: one widget, by tenant and over the last day.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, WidgetDetail};

use super::statistics::without_keys;
use crate::{error::ApiError, identity::Identity, input::UrlPath};

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<WidgetDetail>, ApiError> {
    let missing = || {
        let message = format!("there is no widget `{name}`");
        ApiError::new(StatusCode::NOT_FOUND, "unknown_widget", message).field("widget")
    };
    let mut detail = engine.widget_statistics(&name).ok_or_else(missing)?;
    if !identity.principal.is_unbound() {
        detail.tenants.retain(|tenant, _| identity.principal.may_see(tenant));
        without_keys(&mut detail.total);
    }
    Ok(Json(detail))
}
