//! `POST /v1/clear`: what is named is not served any more, not even marked stale.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use samovar_engine::{Cleared, Clearing, Engine};
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, input::JsonBody};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    tenant: Option<String>,
    widget: Option<String>,
    /// Of the widget, `range` among them: only this reading then.
    #[serde(default)]
    params: BTreeMap<String, String>,
    /// Of keys as shown.
    pattern: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Serialize)]
pub(super) struct Output {
    cleared: Vec<Cleared>,
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    let Input { tenant, widget, params, pattern, all } = input;
    let (params, cause) = (params.into_iter().collect(), "POST /v1/clear".to_owned());
    let clearing = Clearing { tenant, widget, params, pattern, all, cause };
    Ok(Json(Output { cleared: engine.clear(&clearing).await? }))
}
