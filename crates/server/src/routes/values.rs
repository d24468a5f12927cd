//! `GET /v1/widgets/{name}/values/{param}?tenant=`: what a parameter can be.

use axum::{Json, extract::State};
use samovar_engine::Engine;
use serde::Serialize;

use crate::{
    error::ApiError,
    input::{ReadingQuery, UrlPath},
};

#[derive(Serialize)]
pub(super) struct Output {
    widget: String,
    param: String,
    tenant: String,
    /// Null where anything goes.
    values: Option<Vec<String>>,
}

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath((widget, param)): UrlPath<(String, String)>,
    ReadingQuery { tenant, .. }: ReadingQuery,
) -> Result<Json<Output>, ApiError> {
    let values = engine.values(&widget, &param, &tenant).await?;
    Ok(Json(Output { widget, param, tenant, values }))
}
