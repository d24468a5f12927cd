//! The routes, one file each: what comes in, what goes out, and the handler between them. `table` lists
//! them, with what each asks of whoever asks.

mod alerts;
mod audit_log;
mod batch;
mod batch_cancel;
mod batches;
mod board;
mod boards;
mod capture;
mod cleanup;
mod clear;
mod events;
mod failed_jobs;
mod health;
mod healthz;
mod hooks;
mod invalidate;
mod job;
mod job_cancel;
mod job_retry;
mod jobs;
mod jobs_prune;
mod memory;
mod metrics;
mod openapi;
mod orders;
mod own_password;
mod page;
mod queue;
mod queues;
mod reading;
mod readyz;
mod schedule_run;
mod schedules;
mod session;
mod sessions;
mod sign_in;
mod statistics;
mod stream;
mod table;
mod token;
mod tokens;
mod user;
mod user_password;
mod users;
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
    extract::{DefaultBodyLimit, FromRef},
    http::StatusCode,
};
use samovar_access::Access;
use samovar_engine::Engine;

use crate::{error::ApiError, gate::Gate};

pub use self::table::{Least, RouteShown, TenantIn};
pub(crate) use self::{
    stream::open_streams,
    table::{Audited, READING},
};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    engine: Engine,
    access: Access,
}

impl FromRef<App> for Engine {
    fn from_ref(app: &App) -> Self {
        app.engine.clone()
    }
}

impl FromRef<App> for Access {
    fn from_ref(app: &App) -> Self {
        app.access.clone()
    }
}

/// Every route is one of the table's, behind the gate that its row describes.
pub(crate) fn router(engine: Engine, access: Access) -> Router {
    let router = table::routes().into_iter().fold(Router::new(), |router, row| {
        let (access, path) = (access.clone(), row.path);
        let gate = Gate { access, path, least: row.least, audited: row.audited };
        let most = DefaultBodyLimit::max(row.most_bytes);
        router.route(path, row.handler.route_layer(most).route_layer(gate))
    });
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(App { engine, access })
}

/// What there is, for whoever describes or tests it.
pub(crate) fn shown() -> Vec<RouteShown> {
    table::routes().iter().map(table::Row::shown).collect()
}

async fn no_such_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing at this path")
        .hint("begin with GET /v1/widgets")
}

async fn wrong_method() -> ApiError {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiError::new(status, "wrong_method", "this path does not take this method")
}
