//! `GET /v1/widgets`: what can be read, and for whom.

use axum::{Json, extract::State};
use samovar_engine::{Engine, WidgetShown};
use serde::Serialize;

use crate::{error::ApiError, limits};

#[derive(Serialize)]
pub(super) struct Output {
    widgets: Vec<WidgetShown>,
    /// The first of them, by id.
    tenants: Vec<TenantShown>,
    tenants_in_all: usize,
}

#[derive(Serialize)]
struct TenantShown {
    id: String,
    name: String,
}

pub(super) async fn get(State(engine): State<Engine>) -> Result<Json<Output>, ApiError> {
    let members = engine.tenants().await?;
    let shown = members
        .iter()
        .take(limits::TENANTS_SHOWN)
        .map(|(id, member)| TenantShown { id: id.clone(), name: member.name.clone() });
    let tenants = shown.collect();
    Ok(Json(Output { widgets: engine.widgets(), tenants, tenants_in_all: members.len() }))
}
