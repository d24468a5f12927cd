//! `GET /v1/widgets`: what can be read, and for whom.

use axum::{Json, extract::State};
use samovar_engine::{Engine, WidgetShown};
use serde::Serialize;

use crate::{error::ApiError, identity::Identity, limits};

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

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
) -> Result<Json<Output>, ApiError> {
    let members = engine.tenants().await?;
    let seen = || members.iter().filter(|(id, _)| identity.principal.may_see(id));
    let shown = seen()
        .take(limits::TENANTS_SHOWN)
        .map(|(id, member)| TenantShown { id: id.clone(), name: member.name.clone() });
    let tenants = shown.collect();
    Ok(Json(Output { widgets: engine.widgets(), tenants, tenants_in_all: seen().count() }))
}
