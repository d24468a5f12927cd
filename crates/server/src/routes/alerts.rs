//! `GET /v1/alerts`: what is looked at, how it stands, and what became of what was told.

use axum::{Json, extract::State};
use samovar_engine::{AlertsShown, Engine};

use crate::identity::Identity;

/// Which jobs an alert is about is for whoever may see those of all tenants.
pub(super) async fn get(State(engine): State<Engine>, identity: Identity) -> Json<AlertsShown> {
    let mut shown = engine.alerts();
    if !identity.principal.is_unbound() {
        let of_jobs = shown.alerts.iter_mut().filter(|it| it.name.starts_with("memory_"));
        of_jobs.for_each(|it| it.detail = None);
    }
    Json(shown)
}
