//! What is said to whoever is not let in. Nothing of it depends on what there is.

use axum::http::StatusCode;
use samovar_access::{Denied, InvalidName, InvalidPassword, Refusal, Role, StoreError};

use crate::error::ApiError;

const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;

pub(crate) fn nobody() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "it is not known who asks")
        .hint("send `Authorization: Bearer smv_...`; `samovar token create` makes a token")
}

pub(crate) fn session_ended() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "session_ended", "the sign-in does not hold any more")
        .hint("sign in again: POST /v1/sessions")
}

pub(crate) fn role(least: Role, has: Role) -> ApiError {
    let message = format!("this asks for the role {least}, and who asks is a {has}");
    ApiError::new(FORBIDDEN, "forbidden", message)
}

pub(crate) fn other_tenant() -> ApiError {
    let message = "who asks is bound to other tenants";
    ApiError::new(FORBIDDEN, "forbidden_tenant", message).field("tenant")
}

pub(crate) fn all_tenants() -> ApiError {
    let message = "this is about all tenants, and who asks is bound to some";
    ApiError::new(FORBIDDEN, "forbidden_tenant", message).field("tenant").hint("name a tenant")
}

pub(crate) fn csrf() -> ApiError {
    let message = "a write by a cookie needs the token of its session";
    ApiError::new(FORBIDDEN, "csrf", message)
        .hint("send what GET /v1/sessions/current calls `csrf` as the header `Samovar-Csrf`")
}

pub(crate) fn cross_site() -> ApiError {
    let message = "a page of another site may not change anything here";
    ApiError::new(FORBIDDEN, "cross_site", message)
}

/// A handler panicked.
pub(crate) fn lost() -> ApiError {
    let message = "it is not known what became of this request";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

pub(crate) fn no_session() -> ApiError {
    let message = "who asks did not sign in";
    ApiError::new(StatusCode::CONFLICT, "no_session", message)
        .hint("a token ends when it is revoked: DELETE /v1/tokens/{id}")
}

pub(crate) fn no_link() -> ApiError {
    let message = "the link is not known, was used already, or is too old";
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_link", message)
        .hint("it holds once, for ten minutes: `samovar demo` prints another one when it is started again")
}

pub(crate) fn unknown_token() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_token", "there is no such token")
        .hint("GET /v1/tokens lists them")
}

pub(crate) fn unknown_user() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_user", "there is no such user")
        .hint("GET /v1/users lists them")
}

pub(crate) fn wrong_password() -> ApiError {
    ApiError::new(FORBIDDEN, "wrong_password", "the current password is another one")
        .field("current")
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        match denied {
            Denied::Unknown => {
                let message = "the token is not known, was revoked, or has expired";
                Self::new(StatusCode::UNAUTHORIZED, "invalid_token", message)
                    .hint("`samovar token create` makes another one")
            }
            Denied::Wrong => Self::new(StatusCode::UNAUTHORIZED, "wrong_credentials", message),
            Denied::TooMany { wait } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message)
                    .again_after(Some(wait))
            }
            Denied::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).again_after(None)
            }
            Denied::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let message = error.to_string();
        match error {
            StoreError::Unavailable(_) | StoreError::Damaged(_) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new(status, "access_unavailable", message).again_after(None)
            }
            StoreError::Refused(Refusal::UserExists) => {
                Self::new(StatusCode::CONFLICT, "user_exists", message).field("user")
            }
            StoreError::Refused(Refusal::TooManyTokens { .. } | Refusal::TooManyUsers { .. }) => {
                Self::new(StatusCode::CONFLICT, "too_many", message)
            }
            StoreError::Refused(Refusal::BoundAdmin | Refusal::Tenants) => {
                Self::new(INVALID, "invalid_tenants", message).field("tenants")
            }
            StoreError::Refused(Refusal::Lifetime) => {
                Self::new(INVALID, "invalid_duration", message).field("expires")
            }
        }
    }
}

impl From<InvalidName> for ApiError {
    fn from(error: InvalidName) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_name", error.to_string()).field("name")
    }
}

impl From<InvalidPassword> for ApiError {
    fn from(error: InvalidPassword) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "invalid_password", error.to_string()).field("password")
    }
}
