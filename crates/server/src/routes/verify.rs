//! `POST /v1/verify`: a sample of what is served is computed once more and compared.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, MOST_VERIFIED, Verification};
use serde::Deserialize;

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Readings.
    #[serde(default = "some")]
    sample: usize,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::All
    }
}

fn some() -> usize {
    100
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(Input { sample }): JsonBody<Input>,
) -> Result<Json<Verification>, ApiError> {
    if !(1..=MOST_VERIFIED).contains(&sample) {
        let message = format!("between 1 and {MOST_VERIFIED} readings are compared, not {sample}");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(ApiError::new(status, "invalid_sample", message).field("sample"));
    }
    Ok(Json(engine.verify(sample).await))
}
