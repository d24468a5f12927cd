//! `GET /v1/sessions/current`: who asks. `DELETE /v1/sessions/current`: whoever signed in signs out.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use samovar_access::{Access, Principal, Role, Scope, Secret, Who};
use serde::Serialize;

use crate::{cookie, denied, error::ApiError, identity::Identity};

#[derive(Serialize)]
pub(super) struct Output {
    /// `user`, `token`, `owner` where the system has asked, `anyone` where nobody is asked.
    kind: &'static str,
    /// Of the user, or of the token.
    name: Option<String>,
    role: Role,
    /// Null: bound to none.
    tenants: Scope,
    /// What a page sends as the header `Samovar-Csrf` with each write; null without a session.
    csrf: Option<String>,
}

impl Output {
    pub(super) fn of(principal: &Principal, session: Option<&Secret>) -> Self {
        let (kind, name) = match &principal.who {
            Who::User(name) => ("user", Some(name.to_string())),
            Who::Token { label, .. } => ("token", Some(label.to_string())),
            Who::Owner => ("owner", None),
            Who::Anyone => ("anyone", None),
        };
        let (role, tenants) = (principal.role, principal.scope.clone());
        Self { kind, name, role, tenants, csrf: session.map(Secret::csrf) }
    }
}

#[derive(Serialize)]
pub(super) struct Ended {
    signed_out: bool,
}

pub(super) async fn get(identity: Identity) -> Json<Output> {
    Json(Output::of(&identity.principal, identity.session()))
}

pub(super) async fn delete(
    State(access): State<Access>,
    identity: Identity,
    headers: HeaderMap,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Ended>), ApiError> {
    let session = identity.session().ok_or_else(denied::no_session)?;
    let signed_out = access.sign_out(session).await?;
    Ok(([(header::SET_COOKIE, cookie::taken(&headers))], Json(Ended { signed_out })))
}
