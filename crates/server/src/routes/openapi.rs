//! `GET /openapi.json`: this interface, for programs.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderName, HeaderValue, header::CONTENT_TYPE},
};

static TEXT: LazyLock<Bytes> = LazyLock::new(|| crate::openapi::text().into());

pub(super) async fn get() -> ([(HeaderName, HeaderValue); 1], Bytes) {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT.clone())
}
