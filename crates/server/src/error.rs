//! Errors as clients see them. Which failure becomes which status and code stands here alone.

use std::time::Duration;

use axum::{
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Json, Response},
};
use samovar_engine::{ChangeError, ChangeFailure, ReadError, ReadFailure};
use serde::Serialize;

/// `{"error":{"code","message","hint","field"}}` with its status. Codes do not change.
#[derive(Debug, Serialize)]
pub(crate) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    field: Option<String>,
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
        Self { status, code, message, hint: None, field: None, retry_after: None }
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    fn meant(mut self, nearest: Option<String>) -> Self {
        self.hint = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
        self
    }

    /// Another attempt may do better after this time, or soon where it is not known.
    fn again_after(mut self, wait: Option<Duration>) -> Self {
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
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        let message = failure.to_string();
        match failure {
            ReadFailure::UnknownWidget { nearest, .. } => {
                Self::new(MISSING, "unknown_widget", message).field("widget").meant(nearest)
            }
            ReadFailure::UnknownTenant { .. } => {
                Self::new(MISSING, "unknown_tenant", message).field("tenant")
            }
            ReadFailure::UnknownParam { name, nearest } => {
                Self::new(BAD, "unknown_param", message).field(&name).meant(nearest)
            }
            ReadFailure::RepeatedParam { name } => {
                Self::new(BAD, "repeated_param", message).field(&name)
            }
            ReadFailure::MissingParam { name } => {
                Self::new(BAD, "missing_param", message).field(&name)
            }
            ReadFailure::UnknownValue { name, nearest, .. } => {
                Self::new(BAD, "unknown_value", message).field(&name).meant(nearest)
            }
            ReadFailure::Range(invalid) => {
                Self::new(BAD, "invalid_range", message).field("range").hint(invalid.hint())
            }
            ReadFailure::Read(error) => error.into(),
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
            ChangeFailure::Nothing => Self::new(INVALID, "nothing_named", message),
            ChangeFailure::UnknownTenant { .. } => {
                Self::new(MISSING, "unknown_tenant", message).field("tenant")
            }
            ChangeFailure::UnknownWidget { nearest, .. } => {
                Self::new(MISSING, "unknown_widget", message).field("widget").meant(nearest)
            }
            ChangeFailure::UnknownClass { nearest, .. } => {
                Self::new(MISSING, "unknown_class", message).field("class").meant(nearest)
            }
            ChangeFailure::TooLong => Self::new(INVALID, "too_long", message).field("over"),
            ChangeFailure::Tag(_) => Self::new(INVALID, "invalid_tag", message).field("tags"),
            ChangeFailure::Change(ChangeError::Store(_)) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "store_unavailable", message).again_after(None)
            }
            ChangeFailure::Change(ChangeError::NoTenant { .. }) => {
                Self::new(INVALID, "missing_tenant", message).field("tenant")
            }
            ChangeFailure::Change(ChangeError::Reading(_)) => {
                Self::new(INVALID, "too_many_tags", message).field("tags")
            }
        }
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
