//! `GET /metrics`: what this process has done and holds, for Prometheus.

use axum::{
    extract::State,
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
};
use samovar_engine::Engine;

use crate::{exposition, metrics};

pub(super) async fn get(State(engine): State<Engine>) -> ([(HeaderName, HeaderValue); 2], String) {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, exposition::write(&metrics::read(&engine).await))
}
