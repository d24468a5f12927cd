//! `GET /v1/audit-log`: who changed what, the newest first.

use axum::{Json, extract::State};
use samovar_access::{Access, Entries, limits};
use serde::Deserialize;

use crate::{error::ApiError, input::UrlQuery};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// What the page before this one said; where it is missing, the first one is shown.
    before: Option<u64>,
    /// Entries.
    #[serde(default = "some")]
    limit: usize,
}

fn some() -> usize {
    limits::PAGE / 5
}

pub(super) async fn get(
    State(access): State<Access>,
    UrlQuery(Input { before, limit }): UrlQuery<Input>,
) -> Result<Json<Entries>, ApiError> {
    Ok(Json(access.entries(before, limit).await?))
}
