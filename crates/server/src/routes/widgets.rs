//! `GET /v1/widgets`: what can be read, and for whom.

use axum::{Json, extract::State};
use samovar_engine::{Engine, WidgetShown};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Output {
    widgets: Vec<WidgetShown>,
    tenants: Vec<TenantShown>,
}

#[derive(Serialize)]
struct TenantShown {
    id: String,
    name: String,
}

pub(super) async fn get(State(engine): State<Engine>) -> Json<Output> {
    let tenants = engine.tenants().iter();
    let shown = |(id, member): (&String, &samovar_engine::Member)| TenantShown {
        id: id.clone(),
        name: member.name.clone(),
    };
    Json(Output { widgets: engine.widgets(), tenants: tenants.map(shown).collect() })
}
