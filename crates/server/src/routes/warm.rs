//! `POST /v1/warm`: readings are computed before anybody asks for them, by jobs.

use axum::{Json, extract::State, http::StatusCode};
use samovar_engine::{Engine, WarmUp, Warming};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

impl Asked for WarmUp {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenants)
    }

    fn told(&self) -> Option<String> {
        let force = self.force.then_some("force");
        let named = self.widgets.iter().chain(&self.ranges).map(String::as_str);
        Some(named.chain(force).collect::<Vec<_>>().join(", "))
    }
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(warm_up): JsonBody<WarmUp>,
) -> Result<(StatusCode, Json<Warming>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(engine.warm(&warm_up).await?)))
}
