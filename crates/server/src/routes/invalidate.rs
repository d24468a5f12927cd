//! `POST /v1/invalidate`: data changed, and whatever depends on it is computed anew when read.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Change, Engine, parse_duration};
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    tenant: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    widget: Option<String>,
    class: Option<String>,
    /// Spreads the recomputation, such as `10m`.
    over: Option<String>,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        if Change::is_global(&self.tags) { Tenants::All } else { Tenants::or_all(&self.tenant) }
    }

    fn told(&self) -> Option<String> {
        let Self { tags, widget, class, over, .. } = self;
        let over = over.as_ref().map(|over| format!("over {over}"));
        let widget = widget.as_ref().map(|name| format!("widget {name}"));
        let class = class.as_ref().map(|name| format!("class {name}"));
        let tags = tags.iter().map(|tag| format!("tag {tag}"));
        Some(tags.chain(widget).chain(class).chain(over).collect::<Vec<_>>().join(", "))
    }
}

/// What was invalidated, as it was named.
#[derive(Serialize)]
pub(super) struct Output {
    invalidated: Named,
}

#[derive(Serialize)]
struct Named {
    tenant: Option<String>,
    tags: Vec<String>,
    widget: Option<String>,
    class: Option<String>,
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    let over = input.over.as_deref().map_or(Ok(Duration::ZERO), parse_duration);
    let over = over.map_err(|reason| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_duration", reason).field("over")
    })?;
    let change = Change {
        tenant: input.tenant,
        tags: input.tags,
        widget: input.widget,
        class: input.class,
        over,
        cause: "POST /v1/invalidate".to_owned(),
    };
    engine.invalidate(&change).await?;
    let Change { tenant, tags, widget, class, .. } = change;
    Ok(Json(Output { invalidated: Named { tenant, tags, widget, class } }))
}
