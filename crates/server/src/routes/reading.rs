//! `GET /v1/widgets/{name}?tenant=&{param}=`: a reading, as the bytes that are stored.
//!
//! Whatever changes from read to read is in the headers.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use samovar_engine::Engine;

use crate::{
    error::ApiError,
    input::{ReadingQuery, UrlPath},
    repeats::Repeat,
    widget_answer,
};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
    ReadingQuery { tenant, params }: ReadingQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = engine.ask(&name, &tenant, params).await?;
    let answer = engine.answer(&asked).await?;
    let repeat = Repeat::new(asked);
    let described = repeat.describe(&engine, &answer);
    let mut response = widget_answer::respond(&answer, &described, &headers)?;
    // For whoever asks the same again.
    response.extensions_mut().insert(Arc::new(repeat));
    Ok(response)
}
