//! `GET /v1/cache/usual`: what is usually read at an hour of the day.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, UsualReading};
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, identity::Identity, input::UrlQuery};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// In UTC; now, where it is not given.
    hour: Option<u8>,
}

#[derive(Serialize)]
pub(super) struct Output {
    hour: u8,
    /// Those that are read the most first.
    readings: Vec<UsualReading>,
}

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlQuery(Input { hour }): UrlQuery<Input>,
) -> Result<Json<Output>, ApiError> {
    let hours = engine.clock().wall().as_millis() / 3_600_000;
    let hour = hour.unwrap_or_else(|| u8::try_from(hours.rem_euclid(24)).unwrap_or(0));
    if hour > 23 {
        let message = format!("{hour} is no hour: they go from 0 to 23, in UTC");
        let status = StatusCode::BAD_REQUEST;
        return Err(ApiError::new(status, "invalid_hour", message).field("hour"));
    }
    let mut readings = engine.usual(hour).await;
    readings.retain(|reading| identity.principal.may_see(&reading.tenant));
    Ok(Json(Output { hour, readings }))
}
