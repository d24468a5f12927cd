//! `GET /v1/memory`: what the machine, this process and its jobs hold, and what waits.

use axum::{Json, extract::State};
use samovar_engine::{Engine, MemoryPoint, MemoryShown};
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, identity::Identity, input::UrlQuery};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// With the last hour.
    #[serde(default)]
    history: bool,
}

#[derive(Serialize)]
pub(super) struct Output {
    #[serde(flatten)]
    now: MemoryShown,
    /// The oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<MemoryPoint>>,
}

/// Which jobs run is for whoever may see those of all tenants.
pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlQuery(input): UrlQuery<Input>,
) -> Result<Json<Output>, ApiError> {
    let history = input.history.then(|| engine.memory_history());
    let mut now = engine.memory().await;
    if !identity.principal.is_unbound() {
        now.sample.jobs.clear();
    }
    Ok(Json(Output { now, history }))
}
