//! `GET /v1/widgets/{name}/values/{param}?tenant=`: what a parameter can be.

use axum::{Json, extract::State};
use samovar_engine::Engine;
use serde::Serialize;

use crate::{
    error::ApiError,
    input::{UrlPath, UrlQuery, take_tenant},
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
    UrlQuery(mut params): UrlQuery<Vec<(String, String)>>,
) -> Result<Json<Output>, ApiError> {
    let tenant = take_tenant(&mut params)?;
    let values = engine.values(&widget, &param, &tenant).await?;
    Ok(Json(Output { widget, param, tenant, values }))
}
