//! `POST /v1/sessions/current/password`: whoever is signed in takes another password, and signs in anew.

use axum::{Json, extract::State};
use samovar_access::{Access, Password, Who};
use serde::Deserialize;

use super::user_password::Output;
use crate::{
    denied,
    error::ApiError,
    identity::Identity,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    current: String,
    password: String,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::Nobodys
    }
}

pub(super) async fn post(
    State(access): State<Access>,
    identity: Identity,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    let Who::User(name) = &identity.principal.who else { return Err(denied::no_session()) };
    let password = Password::new(input.password)?;
    if !access.is_password(name, &input.current).await? {
        return Err(denied::wrong_password());
    }
    access.set_password(name, &password).await?;
    Ok(Json(Output::of(name.clone())))
}
