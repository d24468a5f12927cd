//! The routes, one file each: what comes in, what goes out, and the handler between them.

mod batch;
mod batch_cancel;
mod board;
mod boards;
mod capture;
mod cleanup;
mod clear;
mod events;
mod health;
mod healthz;
mod invalidate;
mod queues;
mod reading;
mod readyz;
mod statistics;
mod usual;
mod values;
mod verify;
mod warm;
mod why;
mod widget_statistics;
mod widgets;
mod workers;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{get, post},
};
use samovar_engine::Engine;

use crate::{error::ApiError, limits};

pub(crate) fn router(engine: Engine) -> Router {
    let many = DefaultBodyLimit::max(limits::EVENTS_BYTES);
    Router::new()
        .route("/healthz", get(healthz::get))
        .route("/readyz", get(readyz::get))
        .route("/v1/widgets", get(widgets::get))
        .route("/v1/widgets/{name}", get(reading::get))
        .route("/v1/widgets/{name}/values/{param}", get(values::get))
        .route("/v1/boards", get(boards::get))
        .route("/v1/boards/{name}", get(board::get))
        .route("/v1/why/{name}", get(why::get))
        .route("/v1/invalidate", post(invalidate::post))
        .route("/v1/events", get(events::get).post(events::post).layer(many))
        .route("/v1/capture", get(capture::get))
        .route("/v1/clear", post(clear::post))
        .route("/v1/cleanup", post(cleanup::post))
        .route("/v1/warm", post(warm::post))
        .route("/v1/verify", post(verify::post))
        .route("/v1/batches/{id}", get(batch::get))
        .route("/v1/batches/{id}/cancel", post(batch_cancel::post))
        .route("/v1/cache/usual", get(usual::get))
        .route("/v1/cache/health", get(health::get))
        .route("/v1/cache/stats", get(statistics::get))
        .route("/v1/cache/stats/{name}", get(widget_statistics::get))
        .route("/v1/queues", get(queues::get))
        .route("/v1/workers", get(workers::get))
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .with_state(engine)
}

async fn no_such_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing at this path")
        .hint("begin with GET /v1/widgets")
}

async fn wrong_method() -> ApiError {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiError::new(status, "wrong_method", "this path does not take this method")
}
