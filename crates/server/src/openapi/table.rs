//! Every operation, what it takes and what it may answer.

pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// A schema.
    pub(super) body: Option<&'static str>,
    pub(super) answers: &'static [(u16, Content)],
}

pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: &'static str,
    pub(super) is_needed: bool,
    pub(super) says: &'static str,
}

pub(super) enum Place {
    Path,
    Query,
    Header,
    /// Whatever the widget declares.
    Declared,
}

pub(super) enum Content {
    Nothing,
    Json(&'static str),
    /// Of this media type.
    Text(&'static str),
}

use Content::{Json, Nothing, Text};

const fn path(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, kind: "string", is_needed: true, says }
}

const fn query(
    name: &'static str,
    kind: &'static str,
    is_needed: bool,
    says: &'static str,
) -> Parameter {
    Parameter { name, place: Place::Query, kind, is_needed, says }
}

const fn header(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, place: Place::Header, kind: "string", is_needed: false, says }
}

const TENANT: Parameter = query("tenant", "string", true, "Whose reading it is.");
const DECLARED: Parameter = Parameter {
    name: "params",
    place: Place::Declared,
    kind: "object",
    is_needed: false,
    says: "`range` and the parameters that the widgets declare. What is not given takes its default.",
};
const WIDGET: Parameter = path("name", "Of a widget.");
const UNCHANGED: Parameter = header("If-None-Match", "The `ETag` of bytes that the client has.");
const CODINGS: Parameter = header("Accept-Encoding", "Stored bytes may be sent as `zstd`.");

const QUEUE: Parameter = query("queue", "string", false, "Only on this queue.");
const ONLY_TENANT: Parameter = query("tenant", "string", false, "Only of this tenant.");
const AFTER: Parameter =
    query("after", "string", false, "What the page before this one calls `next`.");
const LIMIT: Parameter =
    query("limit", "integer", false, "At most so many; 100 unless given, 500 at most.");
const JOB: Parameter = path("id", "Of a job.");
const QUEUE_PATH: Parameter = path("queue", "Of a queue.");
const WORKER: Parameter = path("worker", "Of a worker.");

const ERROR: Content = Json("Error");

const fn get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [(u16, Content)],
) -> Operation {
    Operation { method: "get", path, id, summary, parameters, body: None, answers }
}

const fn delete(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [(u16, Content)],
) -> Operation {
    Operation { method: "delete", path, id, summary, parameters, body: None, answers }
}

const fn post(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: &'static str,
    answers: &'static [(u16, Content)],
) -> Operation {
    let body = Some(body);
    Operation { method: "post", path, id, summary, parameters: &[], body, answers }
}

/// Without a body.
const fn order(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [(u16, Content)],
) -> Operation {
    Operation { method: "post", path, id, summary, parameters, body: None, answers }
}

const TEXT: Content = Text("text/plain");

#[rustfmt::skip]
pub(super) const OPERATIONS: &[Operation] = &[
    get("/", "page", "Boards and widgets with links, for a browser.",
        &[query("tenant", "string", false, "Whose readings are linked; the first unless given.")],
        &[(200, Text("text/html")), (503, ERROR)]),
    get("/sign-in", "follow_link", "Whoever follows a link is signed in by a cookie, and sent to the first page.",
        &[query("code", "string", true, "Of the link; it holds once.")],
        &[(200, Text("text/html")), (400, ERROR), (401, ERROR), (429, ERROR), (503, ERROR)]),
    get("/healthz", "healthz", "The process answers.", &[], &[(200, TEXT)]),
    get("/readyz", "readyz", "The store can be reached, so requests may be sent here.", &[],
        &[(200, TEXT), (503, ERROR)]),
    get("/metrics", "metrics", "What this process has done and holds, for Prometheus.", &[], &[(200, TEXT)]),
    get("/openapi.json", "openapi", "This document.", &[], &[(200, Json("Object"))]),
    get("/v1/widgets", "widgets", "What can be read, and for whom.", &[],
        &[(200, Json("Widgets")), (503, ERROR)]),
    get("/v1/widgets/{name}", "read", "A reading, as the bytes that are stored.",
        &[WIDGET, TENANT, DECLARED, UNCHANGED, CODINGS],
        &[(200, Json("Reading")), (304, Nothing), (400, ERROR), (404, ERROR), (409, ERROR), (422, ERROR),
          (503, ERROR)]),
    get("/v1/widgets/{name}/values/{param}", "values", "What a parameter can be.",
        &[WIDGET, path("param", "A parameter of the widget."), TENANT],
        &[(200, Json("Values")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    get("/v1/boards", "boards", "The pages there are, and the widgets on them.", &[], &[(200, Json("Boards"))]),
    get("/v1/boards/{name}", "board", "All widgets of a board in one call.",
        &[path("name", "Of a board."), TENANT, DECLARED],
        &[(200, Json("Board")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    get("/v1/stream", "stream", "An event (SSE) whenever the content of a reading becomes another.",
        &[query("reading", "array", true, "`WIDGET?tenant=ID&PARAM=VALUE`, escaped; once for each."),
          header("Last-Event-ID", "Of the last event that the client has seen.")],
        &[(200, Text("text/event-stream")), (400, ERROR), (404, ERROR), (409, ERROR), (503, ERROR)]),
    get("/v1/why/{name}", "why", "What decides about a reading right now.", &[WIDGET, TENANT, DECLARED],
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    get("/v1/events", "events", "What can happen.", &[], &[(200, Json("Object"))]),
    post("/v1/events", "raise", "Something happened in an application.", "Raise",
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    Operation {
        method: "post", path: "/v1/hooks/{name}", id: "hook", body: Some("Any"),
        summary: "Another system tells what happened there, and signs it.",
        parameters: &[path("name", "Of a hook.")],
        answers: &[(200, Json("Object")), (400, ERROR), (401, ERROR), (404, ERROR), (408, ERROR), (413, ERROR),
            (422, ERROR), (503, ERROR)],
    },
    post("/v1/invalidate", "invalidate", "Data changed: what depends on it is computed anew when read.",
        "Invalidate",
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    post("/v1/clear", "clear", "What is named is not served any more, not even marked stale.", "Clear",
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    post("/v1/cleanup", "cleanup", "Expired entries and dead leases are removed, or listed.", "CleanUp",
        &[(200, Json("Object")), (400, ERROR), (408, ERROR), (413, ERROR), (422, ERROR), (503, ERROR)]),
    post("/v1/warm", "warm", "Readings are computed before anybody asks for them, by jobs.", "WarmUp",
        &[(202, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    post("/v1/verify", "verify", "A sample of what is served is computed once more and compared.", "Verify",
        &[(200, Json("Object")), (400, ERROR), (408, ERROR), (413, ERROR), (422, ERROR), (503, ERROR)]),
    get("/v1/batches/{id}", "batch", "How far a batch of jobs is.", &[path("id", "Of a batch.")],
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    Operation {
        method: "post", path: "/v1/batches/{id}/cancel", id: "cancel_batch", body: None,
        summary: "What waits of a batch ends, what runs is told to stop.",
        parameters: &[path("id", "Of a batch.")],
        answers: &[(200, Json("Object")), (400, ERROR), (404, ERROR), (503, ERROR)],
    },
    get("/v1/batches", "batches", "Which batches there are; those that have not finished first.",
        &[QUEUE, ONLY_TENANT, AFTER, LIMIT],
        &[(200, Json("Batches")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    get("/v1/jobs", "jobs", "Which jobs there are: what runs, waits, is scheduled, and has ended.",
        &[QUEUE, query("state", "string", false, "running, waiting, scheduled, failed, done or cancelled."),
          query("kind", "string", false, "Only of this kind."),
          query("batch", "string", false, "Only of this batch."), ONLY_TENANT,
          query("reason", "string", false, "In the reason of the last attempt; for owners."), AFTER, LIMIT],
        &[(200, Json("Jobs")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    post("/v1/jobs", "push_job", "One more job, of a kind that is pushed from outside.", "NewJob",
        &[(200, Json("Pushed")), (201, Json("Pushed")), (400, ERROR), (404, ERROR), (408, ERROR), (409, ERROR),
          (413, ERROR), (422, ERROR), (503, ERROR)]),
    get("/v1/jobs/{id}", "job", "All that is kept of a job.", &[JOB],
        &[(200, Json("JobDetails")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    delete("/v1/jobs/{id}", "forget_job", "A failed job is forgotten.", &[JOB],
        &[(200, Json("Job")), (400, ERROR), (404, ERROR), (409, ERROR), (503, ERROR)]),
    order("/v1/jobs/{id}/retry", "retry_job", "A failed or cancelled job is tried again.", &[JOB],
        &[(200, Json("Job")), (400, ERROR), (404, ERROR), (409, ERROR), (503, ERROR)]),
    order("/v1/jobs/{id}/cancel", "cancel_job", "What waits ends at once, what runs is told to stop.", &[JOB],
        &[(200, Json("Job")), (400, ERROR), (404, ERROR), (409, ERROR), (503, ERROR)]),
    post("/v1/jobs/retry", "retry_jobs", "All failed jobs that match are tried again.", "FailedJobs",
        &[(200, Json("Counted")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    post("/v1/jobs/flush", "flush_jobs", "All failed jobs that match are forgotten.", "FailedJobs",
        &[(200, Json("Counted")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    post("/v1/jobs/prune", "prune_jobs", "All jobs that ended more than so long ago are forgotten.", "Prune",
        &[(200, Json("Counted")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    get("/v1/queues/{queue}", "queue", "What became of its jobs over the last hours, by kind.",
        &[QUEUE_PATH, query("hours", "integer", false, "How far back; 24 unless given, 744 at most.")],
        &[(200, Json("Queue")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    order("/v1/queues/{queue}/pause", "pause_queue", "Nothing more is claimed from it; what runs goes on.",
        &[QUEUE_PATH],
        &[(200, Json("QueuePaused")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    order("/v1/queues/{queue}/resume", "resume_queue", "Its jobs are claimed again.", &[QUEUE_PATH],
        &[(200, Json("QueuePaused")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    Operation {
        method: "post", path: "/v1/queues/{queue}/clear", id: "clear_queue", body: Some("ClearQueue"),
        summary: "What waits or is scheduled there is cancelled.", parameters: &[QUEUE_PATH],
        answers: &[(200, Json("QueueCleared")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR),
            (422, ERROR), (503, ERROR)],
    },
    order("/v1/workers/{worker}/drain", "drain_worker", "It ends when its jobs have.", &[WORKER],
        &[(200, Json("Told")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    order("/v1/workers/{worker}/restart", "restart_worker", "The same, and another one takes its place.",
        &[WORKER], &[(200, Json("Told")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    order("/v1/workers/restart", "restart_workers", "The same for all workers.", &[],
        &[(200, Json("Told")), (404, ERROR), (503, ERROR)]),
    get("/v1/schedules", "schedules", "What is run by the calendar.", &[],
        &[(200, Json("Schedules")), (404, ERROR), (503, ERROR)]),
    order("/v1/schedules/{schedule}/run", "run_schedule", "Its job is pushed now.",
        &[path("schedule", "Of a schedule.")],
        &[(202, Json("Pushed")), (400, ERROR), (404, ERROR), (422, ERROR), (503, ERROR)]),
    get("/v1/cache/usual", "usual", "What is usually read at an hour of the day.",
        &[query("hour", "integer", false, "0 to 23, in UTC; now unless given.")],
        &[(200, Json("Object")), (400, ERROR)]),
    get("/v1/cache/health", "health", "One figure for how this process's reads fare.", &[],
        &[(200, Json("Object"))]),
    get("/v1/cache/stats", "statistics", "What the cache of this process holds and has done.", &[],
        &[(200, Json("Object"))]),
    get("/v1/cache/stats/{name}", "widget_statistics", "One widget, by tenant and over the last day.",
        &[WIDGET], &[(200, Json("Object")), (400, ERROR), (404, ERROR)]),
    get("/v1/queues", "queues", "What waits, runs and failed, and what is promised of it.", &[],
        &[(200, Json("Object")), (404, ERROR), (503, ERROR)]),
    get("/v1/workers", "workers", "Who runs jobs, and what they hold.", &[],
        &[(200, Json("Object")), (404, ERROR), (503, ERROR)]),
    get("/v1/capture", "capture", "What is captured, and how far it is applied.", &[],
        &[(200, Json("Object"))]),
    get("/v1/alerts", "alerts", "How each alert stands, and what became of what was told.", &[],
        &[(200, Json("Alerts"))]),
    get("/v1/memory", "memory", "What the machine, this process and its jobs hold, and what waits.",
        &[query("history", "boolean", false, "With the last hour.")],
        &[(200, Json("Memory")), (400, ERROR)]),
    post("/v1/sessions", "sign_in", "Signs in: the answer sets a cookie.", "SignIn",
        &[(201, Json("Object")), (400, ERROR), (401, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
          (429, ERROR), (503, ERROR)]),
    get("/v1/sessions/current", "whoami", "Who asks, and what he may do.", &[], &[(200, Json("Object"))]),
    delete("/v1/sessions/current", "sign_out", "Signs out, on every node.", &[],
        &[(200, Json("Object")), (409, ERROR), (503, ERROR)]),
    post("/v1/sessions/current/password", "change_password", "Another password for who is signed in.",
        "OwnPassword",
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (409, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    get("/v1/tokens", "tokens", "Every token, without what it is called by.", &[],
        &[(200, Json("Object")), (503, ERROR)]),
    post("/v1/tokens", "create_token", "A new token, which is shown this once.", "NewToken",
        &[(201, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (409, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    delete("/v1/tokens/{id}", "revoke_token", "It lets nobody in any more.", &[path("id", "Of a token.")],
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    get("/v1/users", "users", "Who can sign in.", &[], &[(200, Json("Object")), (503, ERROR)]),
    post("/v1/users", "add_user", "Somebody who can sign in.", "NewUser",
        &[(201, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (409, ERROR), (413, ERROR), (422, ERROR),
          (503, ERROR)]),
    delete("/v1/users/{name}", "remove_user", "Cannot sign in any more, and is signed out.",
        &[path("name", "Of a user.")],
        &[(200, Json("Object")), (400, ERROR), (404, ERROR), (503, ERROR)]),
    Operation {
        method: "post", path: "/v1/users/{name}/password", id: "set_password", body: Some("Password"),
        summary: "Another password, and whoever was signed in is signed out.",
        parameters: &[path("name", "Of a user.")],
        answers: &[(200, Json("Object")), (400, ERROR), (404, ERROR), (408, ERROR), (413, ERROR), (422, ERROR),
            (503, ERROR)],
    },
    get("/v1/audit-log", "audit_log", "Who changed what, the latest first.",
        &[query("before", "integer", false, "Entries before this one."),
          query("limit", "integer", false, "At most so many entries.")],
        &[(200, Json("Object")), (400, ERROR), (503, ERROR)]),
];
