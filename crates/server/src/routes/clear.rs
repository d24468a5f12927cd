//! `POST /v1/clear`: what is named is not served any more, not even marked stale.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use samovar_engine::{Cleared, Clearing, Engine};
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

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

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenant)
    }

    fn told(&self) -> Option<String> {
        let Self { widget, params, pattern, all, .. } = self;
        let widget = widget.as_ref().map(|name| format!("widget {name}"));
        let params = params.iter().map(|(name, value)| format!("{name} {value}"));
        let pattern = pattern.as_ref().map(|pattern| format!("pattern {pattern}"));
        let all = all.then(|| "all".to_owned());
        let told = widget.into_iter().chain(params).chain(pattern).chain(all);
        Some(told.collect::<Vec<_>>().join(", "))
    }
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
