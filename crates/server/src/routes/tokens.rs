//! `POST /v1/tokens`: a token is made, and told this once. `GET /v1/tokens`: which there are.

use axum::{Json, extract::State, http::StatusCode};
use samovar_access::{Access, Label, NewToken, Role, Scope, TokenId, TokenShown};
use samovar_engine::{Engine, parse_duration};
use serde::{Deserialize, Serialize};

use super::users::{known_role, known_tenants};
use crate::{
    error::ApiError,
    identity::Identity,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// What it is for.
    #[serde(default = "unnamed")]
    name: String,
    role: String,
    /// None: it is bound to none.
    #[serde(default)]
    tenants: Vec<String>,
    /// Such as `30d`; where it is missing, it lives until it is revoked.
    expires: Option<String>,
}

fn unnamed() -> String {
    "unnamed".to_owned()
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenants)
    }

    fn told(&self) -> Option<String> {
        let Self { name, role, expires, .. } = self;
        let expires = expires.as_deref().unwrap_or("never");
        Some(format!("name {name}, role {role}, expires {expires}"))
    }
}

#[derive(Serialize)]
pub(super) struct Created {
    id: TokenId,
    name: Label,
    role: Role,
    tenants: Scope,
    /// What to send; it is told here and nowhere else.
    token: String,
}

#[derive(Serialize)]
pub(super) struct Output {
    /// The newest first.
    tokens: Vec<TokenShown>,
}

pub(super) async fn get(State(access): State<Access>) -> Result<Json<Output>, ApiError> {
    Ok(Json(Output { tokens: access.tokens().await? }))
}

pub(super) async fn post(
    State(engine): State<Engine>,
    State(access): State<Access>,
    identity: Identity,
    JsonBody(input): JsonBody<Input>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let role = known_role(&input.role)?;
    let lifetime = input.expires.as_deref().map(parse_duration).transpose();
    let lifetime = lifetime.map_err(|reason| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        ApiError::new(status, "invalid_duration", reason).field("expires")
    })?;
    let name = Label::new(input.name)?;
    let tenants = known_tenants(&engine, input.tenants).await?;
    let (label, scope, by) = (name.clone(), tenants.clone(), identity.principal.who.to_string());
    let (id, secret) = access.create_token(NewToken { label, role, scope, lifetime, by }).await?;
    let token = secret.exposed().to_owned();
    Ok((StatusCode::CREATED, Json(Created { id, name, role, tenants, token })))
}
