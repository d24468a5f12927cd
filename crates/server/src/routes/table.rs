//! The table of all routes: which role each asks for, and where it says whose data it is about.

use axum::{
    handler::Handler,
    routing::{self, MethodRouter},
};
use samovar_access::Role;

use super::{
    App, alerts, audit_log, batch, batch_cancel, batches, board, boards, capture, cleanup, clear,
    events, failed_jobs, health, healthz, hooks, invalidate, job, job_cancel, job_retry, jobs,
    jobs_prune, memory, metrics, openapi, orders, own_password, page, queue, queues, reading,
    readyz, schedule_run, schedules, session, sessions, sign_in, statistics, stream, token, tokens,
    user, user_password, users, usual, values, verify, warm, why, widget_statistics, widgets,
    workers,
};
use crate::limits;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    /// Also who is not known.
    Anyone,
    Role(Role),
}

/// Whose data a route is about, and where that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantIn {
    /// No tenant's: the process, its definitions, whoever asks.
    Nobodys,
    /// One tenant's, who is named in the query.
    Query,
    /// Those tenants' who are named in the body; all, where none is.
    Body,
    /// What is asked for belongs to a tenant: to others it does not exist.
    Found,
    /// The answer shows what whoever asks may see.
    Answer,
    /// All tenants' at once.
    All,
}

/// What is written down of requests that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audited {
    Each,
    /// Those that are the same within a minute as one: applications send them.
    Often,
    /// The same, of those that prove in their own way whose they are. Others leave nothing: they could
    /// be anybody's, and fill the log.
    Signed,
    /// They change nothing.
    Never,
}

pub(super) struct Row {
    method: &'static str,
    pub(super) path: &'static str,
    pub(super) least: Least,
    tenant: TenantIn,
    pub(super) audited: Audited,
    /// Of a request's body.
    pub(super) most_bytes: usize,
    pub(super) handler: MethodRouter<App>,
}

/// A route, without what answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteShown {
    pub method: &'static str,
    pub path: &'static str,
    pub least: Least,
    pub tenant: TenantIn,
}

/// What is answered again without being routed.
pub(crate) const READING: &str = "/v1/widgets/{name}";

const ANYONE: Least = Least::Anyone;
const VIEWER: Least = Least::Role(Role::Viewer);
const MANAGER: Least = Least::Role(Role::Manager);
const OWNER: Least = Least::Role(Role::Owner);
const ADMIN: Least = Least::Role(Role::Admin);

pub(super) fn routes() -> Vec<Row> {
    use TenantIn::{All, Answer, Body, Found, Nobodys, Query};
    vec![
        get("/healthz", ANYONE, Nobodys, healthz::get),
        get("/readyz", ANYONE, Nobodys, readyz::get),
        get("/v1/widgets", VIEWER, Answer, widgets::get),
        get(READING, VIEWER, Query, reading::get),
        get("/v1/widgets/{name}/values/{param}", VIEWER, Query, values::get),
        get("/v1/boards", VIEWER, Nobodys, boards::get),
        get("/v1/boards/{name}", VIEWER, Query, board::get),
        get("/v1/stream", VIEWER, Query, stream::get),
        get("/", VIEWER, Answer, page::get),
        get("/sign-in", ANYONE, Nobodys, sign_in::get),
        get("/openapi.json", ANYONE, Nobodys, openapi::get),
        get("/metrics", MANAGER, Nobodys, metrics::get),
        get("/v1/why/{name}", MANAGER, Query, why::get),
        get("/v1/cache/usual", MANAGER, Answer, usual::get),
        get("/v1/cache/health", MANAGER, Nobodys, health::get),
        get("/v1/cache/stats", MANAGER, Answer, statistics::get),
        get("/v1/cache/stats/{name}", MANAGER, Answer, widget_statistics::get),
        get("/v1/queues", MANAGER, Nobodys, queues::get),
        get("/v1/workers", MANAGER, Nobodys, workers::get),
        get("/v1/capture", MANAGER, Nobodys, capture::get),
        get("/v1/alerts", MANAGER, Nobodys, alerts::get),
        get("/v1/memory", MANAGER, Nobodys, memory::get),
        get("/v1/batches/{id}", MANAGER, Found, batch::get),
        post("/v1/batches/{id}/cancel", OWNER, Found, batch_cancel::post),
        get("/v1/batches", MANAGER, Answer, batches::get),
        get("/v1/jobs", MANAGER, Answer, jobs::get),
        post("/v1/jobs", OWNER, Body, jobs::post).up_to(limits::JOB_BYTES),
        get("/v1/jobs/{id}", MANAGER, Found, job::get),
        delete("/v1/jobs/{id}", OWNER, Found, job::delete),
        post("/v1/jobs/{id}/retry", OWNER, Found, job_retry::post),
        post("/v1/jobs/{id}/cancel", OWNER, Found, job_cancel::post),
        post("/v1/jobs/retry", OWNER, Body, failed_jobs::retry),
        post("/v1/jobs/flush", OWNER, Body, failed_jobs::flush),
        post("/v1/jobs/prune", ADMIN, All, jobs_prune::post),
        get("/v1/queues/{queue}", MANAGER, Nobodys, queue::get),
        post("/v1/queues/{queue}/pause", ADMIN, All, queue::pause),
        post("/v1/queues/{queue}/resume", ADMIN, All, queue::resume),
        post("/v1/queues/{queue}/clear", OWNER, Body, queue::clear),
        post("/v1/workers/{worker}/drain", ADMIN, All, orders::drain),
        post("/v1/workers/{worker}/restart", ADMIN, All, orders::restart),
        post("/v1/workers/restart", ADMIN, All, orders::restart_all),
        get("/v1/schedules", MANAGER, Nobodys, schedules::get),
        post("/v1/schedules/{schedule}/run", ADMIN, All, schedule_run::post),
        get("/v1/events", MANAGER, Nobodys, events::get),
        post("/v1/events", OWNER, Body, events::post).often().up_to(limits::EVENTS_BYTES),
        post("/v1/hooks/{name}", ANYONE, Body, hooks::post).signed(),
        post("/v1/invalidate", OWNER, Body, invalidate::post).often(),
        post("/v1/clear", OWNER, Body, clear::post),
        post("/v1/warm", OWNER, Body, warm::post),
        post("/v1/cleanup", ADMIN, All, cleanup::post),
        post("/v1/verify", ADMIN, All, verify::post),
        post("/v1/sessions", ANYONE, Nobodys, sessions::post),
        get("/v1/sessions/current", VIEWER, Nobodys, session::get),
        delete("/v1/sessions/current", VIEWER, Nobodys, session::delete),
        post("/v1/sessions/current/password", VIEWER, Nobodys, own_password::post),
        get("/v1/tokens", ADMIN, All, tokens::get),
        post("/v1/tokens", ADMIN, All, tokens::post),
        delete("/v1/tokens/{id}", ADMIN, All, token::delete),
        get("/v1/users", ADMIN, All, users::get),
        post("/v1/users", ADMIN, All, users::post),
        delete("/v1/users/{name}", ADMIN, All, user::delete),
        post("/v1/users/{name}/password", ADMIN, All, user_password::post),
        get("/v1/audit-log", ADMIN, All, audit_log::get),
    ]
}

fn get<H, T>(path: &'static str, least: Least, tenant: TenantIn, handler: H) -> Row
where
    H: Handler<T, App>,
    T: 'static,
{
    row("GET", (path, least, tenant), Audited::Never, routing::get(handler))
}

fn post<H, T>(path: &'static str, least: Least, tenant: TenantIn, handler: H) -> Row
where
    H: Handler<T, App>,
    T: 'static,
{
    row("POST", (path, least, tenant), Audited::Each, routing::post(handler))
}

fn delete<H, T>(path: &'static str, least: Least, tenant: TenantIn, handler: H) -> Row
where
    H: Handler<T, App>,
    T: 'static,
{
    row("DELETE", (path, least, tenant), Audited::Each, routing::delete(handler))
}

fn row(
    method: &'static str,
    (path, least, tenant): (&'static str, Least, TenantIn),
    audited: Audited,
    handler: MethodRouter<App>,
) -> Row {
    Row { method, path, least, tenant, audited, most_bytes: limits::BODY_BYTES, handler }
}

impl Row {
    fn often(self) -> Self {
        Self { audited: Audited::Often, ..self }
    }

    fn signed(self) -> Self {
        Self { audited: Audited::Signed, ..self }
    }

    fn up_to(self, most_bytes: usize) -> Self {
        Self { most_bytes, ..self }
    }

    pub(super) fn shown(&self) -> RouteShown {
        let Self { method, path, least, tenant, .. } = *self;
        RouteShown { method, path, least, tenant }
    }
}
