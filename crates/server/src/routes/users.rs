//! `POST /v1/users`: somebody who may sign in. `GET /v1/users`: who that is.

use axum::{Json, extract::State, http::StatusCode};
use samovar_access::{Access, NewUser, Password, Role, Scope, UserName, UserShown};
use samovar_engine::{Engine, NoTenant};
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    name: String,
    password: String,
    role: String,
    /// None: bound to none.
    #[serde(default)]
    tenants: Vec<String>,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenants)
    }

    fn told(&self) -> Option<String> {
        Some(format!("name {}, role {}", self.name, self.role))
    }
}

#[derive(Serialize)]
pub(super) struct Created {
    name: UserName,
    role: Role,
    tenants: Scope,
}

#[derive(Serialize)]
pub(super) struct Output {
    /// By name.
    users: Vec<UserShown>,
}

pub(super) async fn get(State(access): State<Access>) -> Result<Json<Output>, ApiError> {
    Ok(Json(Output { users: access.users().await? }))
}

pub(super) async fn post(
    State(engine): State<Engine>,
    State(access): State<Access>,
    JsonBody(input): JsonBody<Input>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let role = known_role(&input.role)?;
    let name = UserName::new(input.name)?;
    let password = Password::new(input.password)?;
    let tenants = known_tenants(&engine, input.tenants).await?;
    let user = NewUser { name: name.clone(), role, scope: tenants.clone() };
    access.create_user(user, &password).await?;
    Ok((StatusCode::CREATED, Json(Created { name, role, tenants })))
}

pub(super) fn known_role(text: &str) -> Result<Role, ApiError> {
    text.parse().map_err(|error: samovar_access::UnknownRole| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        ApiError::new(status, "unknown_role", error.to_string()).field("role")
    })
}

/// A name that is written wrong would bind to nobody.
pub(super) async fn known_tenants(
    engine: &Engine,
    tenants: Vec<String>,
) -> Result<Scope, ApiError> {
    if !tenants.is_empty() {
        let members = engine.tenants().await?;
        if let Some(id) = tenants.iter().find(|id| !members.contains_key(*id)) {
            return Err(NoTenant::Unknown { id: id.clone() }.into());
        }
    }
    Ok(Scope::of(tenants))
}
