//! `GET /v1/why/{widget}?tenant=&{param}=`: what decides about a reading right now.

use axum::{Json, extract::State};
use samovar_engine::{Engine, Why};

use crate::{
    error::ApiError,
    input::{ReadingQuery, UrlPath},
};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
    ReadingQuery { tenant, params }: ReadingQuery,
) -> Result<Json<Why>, ApiError> {
    Ok(Json(engine.why(&name, &tenant, params).await?))
}
