//! `POST /v1/users/{name}/password`: another password for somebody, whose sessions end.

use axum::{Json, extract::State};
use samovar_access::{Access, Password, UserName};
use serde::{Deserialize, Serialize};

use crate::{
    denied,
    error::ApiError,
    input::{Asked, JsonBody, Tenants, UrlPath},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    password: String,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::Nobodys
    }
}

#[derive(Serialize)]
pub(super) struct Output {
    changed: UserName,
}

impl Output {
    pub(super) fn of(changed: UserName) -> Self {
        Self { changed }
    }
}

pub(super) async fn post(
    State(access): State<Access>,
    UrlPath(name): UrlPath<String>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    let name = UserName::new(name).map_err(|_| denied::unknown_user())?;
    let password = Password::new(input.password)?;
    if access.set_password(&name, &password).await? {
        return Ok(Json(Output::of(name)));
    }
    Err(denied::unknown_user())
}
