//! Errors as clients see them. Which failure becomes which status and code stands here alone.

use std::time::Duration;

use axum::{
    extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Json, Response},
};
use samovar_engine::{
    ChangeError, ChangeFailure, EventFailure, EventFault, HookFailure, InvalidReading, JobFailure,
    JobRefusal, JobStoreError, NoTenant, ReadError, ReadFailure, StoreError, WarmFailure,
};
use serde::Serialize;

use crate::{limits, trail::Code};

/// `{"error":{"code","message","hint","field"}}` with its status, and `index` where a list was sent.
/// Codes do not change.
#[derive(Debug, Serialize)]
pub(crate) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    field: Option<String>,
    /// Of what is wrong in a list, from zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u16>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a ApiError,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let (hint, field, index, retry_after) = Default::default();
        Self { status, code, message, hint, field, index, retry_after }
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    fn or_hint(self, hint: &str) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    pub(crate) fn of_reading(self, index: usize) -> Self {
        self.index(index)
    }

    pub(crate) fn without_index(self) -> Self {
        Self { index: None, ..self }
    }

    fn index(self, index: usize) -> Self {
        Self { index: u16::try_from(index).ok(), ..self }
    }

    fn meant(mut self, nearest: Option<String>) -> Self {
        self.hint = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
        self
    }

    /// The process was started without one.
    pub(crate) fn no_jobs() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_jobs", "this process has no store of jobs")
    }

    pub(crate) fn jobs_unavailable(error: impl std::fmt::Display) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "jobs_unavailable", error.to_string()).again_after(None)
    }

    pub(crate) fn slow_body() -> Self {
        let message = format!("the body did not arrive within {:?}", limits::BODY_TIME);
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message)
    }

    pub(crate) fn unknown_job(id: &str) -> Self {
        let message = format!("there is no job `{}`", id.chars().take(64).collect::<String>());
        Self::new(StatusCode::NOT_FOUND, "unknown_job", message)
            .hint("ended ones are forgotten some time after their end")
    }

    pub(crate) fn unknown_batch(id: &str) -> Self {
        let message = format!("there is no batch `{}`", id.chars().take(64).collect::<String>());
        Self::new(StatusCode::NOT_FOUND, "unknown_batch", message)
            .hint("finished ones are forgotten some time after their end")
    }

    /// Another attempt may do better after this time, or soon where it is not known.
    pub(crate) fn again_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(Duration::from_secs(1)));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(code = self.code, message = self.message, "a request failed");
        }
        let mut response = (self.status, Json(Body { error: &self })).into_response();
        response.extensions_mut().insert(Code(self.code));
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never before the time has come.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        response
    }
}

impl From<ReadFailure> for ApiError {
    fn from(failure: ReadFailure) -> Self {
        const MISSING: StatusCode = StatusCode::NOT_FOUND;
        const CONFLICT: StatusCode = StatusCode::CONFLICT;
        let message = failure.to_string();
        let old_path = "take the path that you took before Samovar";
        match failure {
            ReadFailure::UnknownWidget { nearest, .. } => {
                Self::new(MISSING, "unknown_widget", message).field("widget").meant(nearest)
            }
            ReadFailure::UnknownBoard { nearest, .. } => {
                Self::new(MISSING, "unknown_board", message).field("board").meant(nearest)
            }
            ReadFailure::Tenant(error) => error.into(),
            ReadFailure::Invalid(error) => error.into(),
            ReadFailure::Off => Self::new(CONFLICT, "widget_off", message).hint(old_path),
            ReadFailure::Shadow => Self::new(CONFLICT, "widget_shadow", message).hint(old_path),
            ReadFailure::Read(error) => error.into(),
        }
    }
}

impl From<NoTenant> for ApiError {
    fn from(error: NoTenant) -> Self {
        let message = error.to_string();
        match error {
            NoTenant::Unknown { .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown_tenant", message).field("tenant")
            }
            NoTenant::Unread { .. } => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "tenants_unavailable", message).again_after(None)
            }
        }
    }
}

impl From<InvalidReading> for ApiError {
    fn from(error: InvalidReading) -> Self {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        let message = error.to_string();
        match error {
            InvalidReading::UnknownParam { name, nearest } => {
                Self::new(BAD, "unknown_param", message).field(&name).meant(nearest)
            }
            InvalidReading::RepeatedParam { name } => {
                Self::new(BAD, "repeated_param", message).field(&name)
            }
            InvalidReading::MissingParam { name } => {
                Self::new(BAD, "missing_param", message).field(&name)
            }
            InvalidReading::UnknownValue { name, nearest, .. } => {
                Self::new(BAD, "unknown_value", message).field(&name).meant(nearest)
            }
            InvalidReading::WrongType { name, .. } | InvalidReading::Unbindable { name } => {
                Self::new(BAD, "wrong_type", message).field(&name)
            }
            InvalidReading::Range(range) => {
                Self::new(BAD, "invalid_range", message).field("range").hint(range.hint())
            }
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        let wait = error.retry_after();
        let code = match &error {
            ReadError::Reading(_) => {
                let code = StatusCode::UNPROCESSABLE_ENTITY;
                return Self::new(code, "invalid_reading", error.to_string());
            }
            ReadError::Failed { .. } => "compute_failed",
            ReadError::BackingOff { .. } => "backing_off",
            ReadError::Deadline { .. } => "deadline",
            ReadError::TooLarge { .. } => "value_too_large",
            ReadError::Store(_) => "store_unavailable",
            ReadError::Entry(_) | ReadError::Typed(_) => "damaged_entry",
        };
        Self::new(UNAVAILABLE, code, error.to_string()).again_after(wait)
    }
}

impl From<ChangeFailure> for ApiError {
    fn from(failure: ChangeFailure) -> Self {
        const MISSING: StatusCode = StatusCode::NOT_FOUND;
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let message = failure.to_string();
        match failure {
            ChangeFailure::Nothing | ChangeFailure::NothingToClear => {
                Self::new(INVALID, "nothing_named", message)
            }
            ChangeFailure::ParamsWithoutWidget => {
                Self::new(INVALID, "missing_widget", message).field("widget")
            }
            ChangeFailure::PatternAndWidget => {
                Self::new(INVALID, "too_much_named", message).field("pattern")
            }
            ChangeFailure::Pattern(_) => {
                Self::new(INVALID, "invalid_pattern", message).field("pattern")
            }
            ChangeFailure::Tenant(error) => error.into(),
            ChangeFailure::Reading(error) => error.into(),
            ChangeFailure::UnknownClass { nearest, .. } => {
                Self::new(MISSING, "unknown_class", message).field("class").meant(nearest)
            }
            ChangeFailure::TooLong => Self::new(INVALID, "too_long", message).field("over"),
            ChangeFailure::Tag(_) => Self::new(INVALID, "invalid_tag", message).field("tags"),
            ChangeFailure::Change(error) => error.into(),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let message = error.to_string();
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::NoTenant { .. } => {
                Self::new(INVALID, "missing_tenant", message).field("tenant")
            }
            ChangeError::Reading(_) => Self::new(INVALID, "too_many_tags", message).field("tags"),
        }
    }
}

impl From<EventFailure> for ApiError {
    fn from(failure: EventFailure) -> Self {
        const MISSING: StatusCode = StatusCode::NOT_FOUND;
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let message = failure.to_string();
        match failure {
            EventFailure::Nothing => Self::new(INVALID, "nothing_named", message).field("events"),
            EventFailure::TooMany { .. } => Self::new(INVALID, "too_many_events", message)
                .field("events")
                .hint("send them in several calls"),
            EventFailure::Unknown { index, nearest, .. } => {
                Self::new(MISSING, "unknown_event", message)
                    .field("name")
                    .index(index)
                    .meant(nearest)
                    .or_hint("declare it, as [event.\"NAME\"]")
            }
            EventFailure::Invalid { index, fault, .. } => {
                let (status, code) = match &fault {
                    EventFault::Tenant(_) => (MISSING, "unknown_tenant"),
                    EventFault::MissingTenant { .. } => (INVALID, "missing_tenant"),
                    _ => (INVALID, "invalid_event"),
                };
                let error = Self::new(status, code, message).field(&fault.field());
                error.index(index).hint(fault.hint())
            }
            EventFailure::Tenants(error) => error.into(),
            EventFailure::Change(error) => error.into(),
            EventFailure::Jobs(error) => error.into(),
        }
    }
}

impl From<HookFailure> for ApiError {
    fn from(failure: HookFailure) -> Self {
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let (message, pointer) = (failure.to_string(), failure.pointer().map(str::to_owned));
        let error = match failure {
            HookFailure::Unsigned => Self::new(StatusCode::UNAUTHORIZED, "unsigned", message),
            HookFailure::Unknown { nearest, .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown_hook", message).meant(nearest)
            }
            HookFailure::NotJson(_) => Self::new(StatusCode::BAD_REQUEST, "not_json", message),
            HookFailure::Missing { .. }
            | HookFailure::NoList { .. }
            | HookFailure::NoTenant { .. }
            | HookFailure::NotPlain { .. } => Self::new(INVALID, "invalid_hook", message)
                .hint("see the rule of this hook: [hook.NAME] says what stands where"),
            HookFailure::Event(failure) => failure.into(),
        };
        match pointer {
            Some(pointer) => error.field(&pointer),
            None => error,
        }
    }
}

impl From<WarmFailure> for ApiError {
    fn from(failure: WarmFailure) -> Self {
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let message = failure.to_string();
        match failure {
            WarmFailure::NoJobs => Self::no_jobs(),
            WarmFailure::Named(failure) => failure.into(),
            WarmFailure::Range(range) => {
                Self::new(INVALID, "invalid_range", message).field("ranges").hint(range.hint())
            }
            WarmFailure::Name(_) => Self::new(INVALID, "invalid_name", message),
            WarmFailure::Parallel { .. } | WarmFailure::TooFewJobs { .. } => {
                Self::new(INVALID, "invalid_parallel", message).field("parallel")
            }
            WarmFailure::Store(error) => Self::jobs_unavailable(error),
        }
    }
}

impl From<JobFailure> for ApiError {
    fn from(failure: JobFailure) -> Self {
        const MISSING: StatusCode = StatusCode::NOT_FOUND;
        const CONFLICT: StatusCode = StatusCode::CONFLICT;
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let message = failure.to_string();
        match failure {
            JobFailure::NoJobs => Self::no_jobs(),
            JobFailure::Name { field, .. } => {
                Self::new(INVALID, "invalid_name", message).field(field)
            }
            JobFailure::State { nearest, .. } => {
                let states = "running, waiting, scheduled, failed, done or cancelled";
                Self::new(INVALID, "unknown_state", message)
                    .field("state")
                    .meant(nearest)
                    .or_hint(states)
            }
            JobFailure::Cursor { .. } => Self::new(INVALID, "invalid_cursor", message)
                .field("after")
                .hint("send what the page before this one calls `next`"),
            JobFailure::Unknown { id } => Self::unknown_job(&id),
            JobFailure::NotEndedBadly { .. } => Self::new(CONFLICT, "not_failed", message),
            JobFailure::NotFailed { .. } => {
                Self::new(CONFLICT, "not_failed", message).hint("cancel it, or wait for its end")
            }
            JobFailure::KeyTaken { .. } => {
                Self::new(CONFLICT, "key_taken", message).hint("try again when that one has ended")
            }
            JobFailure::Ended { .. } => Self::new(CONFLICT, "already_ended", message),
            JobFailure::Kind { nearest, .. } => Self::new(MISSING, "unknown_kind", message)
                .field("kind")
                .meant(nearest)
                .or_hint("push one of kind `http`"),
            JobFailure::Payload { .. } => Self::new(INVALID, "invalid_payload", message)
                .field("payload")
                .hint("write it like {\"url\": \"https://...\", \"body\": {}}"),
            JobFailure::Http(_) => Self::new(INVALID, "invalid_payload", message).field("payload"),
            JobFailure::NoTargets => Self::new(INVALID, "no_targets", message)
                .field("payload")
                .hint("name the URLs in `targets` of [job.http]"),
            JobFailure::Value { field, .. } => {
                Self::new(INVALID, "invalid_value", message).field(field)
            }
            JobFailure::Queue { nearest, .. } => Self::new(MISSING, "unknown_queue", message)
                .field("queue")
                .meant(nearest)
                .or_hint("declare it, as [queue.NAME]"),
            JobFailure::Worker { .. } => Self::new(MISSING, "unknown_worker", message)
                .hint("GET /v1/workers lists those that are there"),
            JobFailure::Schedule { nearest, .. } => {
                Self::new(MISSING, "unknown_schedule", message).meant(nearest)
            }
            JobFailure::Tenant(error) => error.into(),
            JobFailure::Midway { .. } => Self::jobs_unavailable(message),
            JobFailure::Store(JobStoreError::Refused(refusal)) => refused(&refusal, message),
            JobFailure::Store(error) => Self::jobs_unavailable(error),
        }
    }
}

/// What the store of jobs does not take, however often it is asked.
fn refused(refusal: &JobRefusal, message: String) -> ApiError {
    match refusal {
        JobRefusal::QueueFull { .. } => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", message).again_after(None)
        }
        JobRefusal::IdTaken { .. } => {
            ApiError::new(StatusCode::CONFLICT, "id_taken", message).field("id")
        }
        _ => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_job", message),
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "store_unavailable", error.to_string()).again_after(None)
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            _ => "unreadable_body",
        };
        Self::new(rejection.status(), code, rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", rejection.body_text())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let (status, text) = (rejection.status(), rejection.body_text());
        match rejection {
            JsonRejection::JsonDataError(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", text)
            }
            JsonRejection::MissingJsonContentType(_) => {
                Self::new(StatusCode::BAD_REQUEST, "not_json", text)
                    .hint("send `Content-Type: application/json`; with curl: --json")
            }
            _ if status == StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "body_too_large", text)
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "not_json", text),
        }
    }
}
