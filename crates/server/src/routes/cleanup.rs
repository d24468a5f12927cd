//! `POST /v1/cleanup`: expired entries and the leases of dead processes are removed, or listed.

use axum::{Json, extract::State};
use samovar_engine::Engine;
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    input::{Asked, JsonBody, Tenants},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    #[serde(default = "yes")]
    expired: bool,
    #[serde(default = "yes")]
    leases: bool,
    /// Lists what would go, and removes nothing.
    #[serde(default)]
    dry_run: bool,
}

impl Asked for Input {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::All
    }

    fn told(&self) -> Option<String> {
        Some(if self.dry_run { "dry run" } else { "for good" }.to_owned())
    }
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
pub(super) struct Output {
    dry_run: bool,
    /// Keys of entries past their grace.
    expired: Vec<String>,
    expired_bytes: u64,
    dead_leases: Vec<String>,
    /// Found beyond what is listed by name.
    unlisted: u64,
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(input): JsonBody<Input>,
) -> Result<Json<Output>, ApiError> {
    let Input { expired, leases, dry_run } = input;
    let found = engine.clean_up(expired, leases, dry_run).await?;
    Ok(Json(Output {
        dry_run,
        expired: found.expired,
        expired_bytes: found.expired_bytes,
        dead_leases: found.dead_leases,
        unlisted: found.unlisted,
    }))
}
