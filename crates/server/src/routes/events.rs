//! `POST /v1/events`: something happened in an application. `GET /v1/events`: what can happen.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, Event, EventShown, Raised};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

/// One event, or a list of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    name: Option<String>,
    tenant: Option<String>,
    data: Option<Value>,
    events: Option<Vec<Event>>,
}

/// What is in an event is its application's business.
impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        let listed = self.events.iter().flatten().map(|event| &event.tenant);
        let one = self.name.is_some().then_some(&self.tenant);
        let named: Option<Vec<&str>> = listed.chain(one).map(|it| it.as_deref()).collect();
        match named {
            Some(named) => Tenants::These(named),
            None => Tenants::All,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Output {
    events: Vec<EventShown>,
}

pub(super) async fn get(State(engine): State<Engine>) -> Json<Output> {
    Json(Output { events: engine.events() })
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Raised>, ApiError> {
    let refused = |code, message: &str, field: &str| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message).field(field)
    };
    let events = match input {
        Input { name: None, tenant: None, data: None, events: Some(events) } => events,
        Input { events: Some(_), .. } => {
            let message = "either one event is named or a list of them";
            let hint = "put name, tenant and data into the list";
            return Err(refused("too_much_named", message, "events").hint(hint));
        }
        Input { name: Some(name), tenant, data, events: None } => {
            let event = Event { name, tenant, data: data.unwrap_or_default() };
            return match engine.raise(vec![event]).await {
                Ok(raised) => Ok(Json(raised)),
                // Of one it need not be said which.
                Err(failure) => Err(ApiError::from(failure).without_index()),
            };
        }
        Input { name: None, .. } => {
            let hint =
                "send {\"name\": ..., \"tenant\": ..., \"data\": {...}}, or {\"events\": [...]}";
            return Err(refused("nothing_named", "no event is named", "name").hint(hint));
        }
    };
    Ok(Json(engine.raise(events).await?))
}
