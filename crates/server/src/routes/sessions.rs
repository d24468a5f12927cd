//! `POST /v1/sessions`: somebody signs in, and is known by a cookie from then on.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use samovar_access::Access;
use serde::Deserialize;

use super::session::Output;
use crate::{
    cookie,
    error::ApiError,
    identity::Peer,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    user: String,
    password: String,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::Nobodys
    }

    fn told(&self) -> Option<String> {
        Some(format!("user {}", self.user))
    }
}

pub(super) async fn post(
    State(access): State<Access>,
    peer: Peer,
    headers: HeaderMap,
    JsonBody(Input { user, password }): JsonBody<Input>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<Output>), ApiError> {
    let from = peer.behind(&access.settings().proxies, &headers);
    let signed_in = access.sign_in(&user, &password, from.address()).await?;
    let cookie = cookie::given(&signed_in.secret, signed_in.lifetime, &headers);
    let output = Output::of(&signed_in.principal, Some(&signed_in.secret));
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], Json(output)))
}
