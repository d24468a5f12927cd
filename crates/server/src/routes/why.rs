//! `GET /v1/why/{widget}?tenant=&{param}=`: what decides about a reading right now.

use axum::{Json, extract::State};
use samovar_engine::{Engine, Why};

use crate::{
    error::ApiError,
    input::{UrlPath, UrlQuery, take_tenant},
};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
    UrlQuery(mut params): UrlQuery<Vec<(String, String)>>,
) -> Result<Json<Why>, ApiError> {
    let tenant = take_tenant(&mut params)?;
    Ok(Json(engine.why(&name, &tenant, params).await?))
}
