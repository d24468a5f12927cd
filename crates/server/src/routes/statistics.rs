//! `GET /v1/cache/stats`: what the cache of this process holds and has done.

use axum::{Json, extract::State};
use samovar_engine::{Engine, Statistics, WidgetStatistics};

use crate::identity::Identity;

/// Sums are over all tenants; what names one is left out where it may not be seen.
pub(super) async fn get(State(engine): State<Engine>, identity: Identity) -> Json<Statistics> {
    let mut statistics = engine.statistics().await;
    statistics.slow.retain(|slow| identity.principal.may_see(&slow.tenant));
    if !identity.principal.is_unbound() {
        statistics.widgets.values_mut().for_each(without_keys);
    }
    Json(statistics)
}

/// The key of a reading names its tenant.
pub(super) fn without_keys(widget: &mut WidgetStatistics) {
    if let Some(shadow) = &mut widget.shadow {
        shadow.last_difference = None;
    }
}
