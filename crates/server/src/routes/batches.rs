//! `GET /v1/batches`: which batches there are; those that have not finished first.

use axum::{Json, extract::State};
use samovar_engine::{BatchesWanted, Engine, ManyBatches};
use serde::Deserialize;

use super::jobs::{seen_by, some};
use crate::{error::ApiError, identity::Identity, input::UrlQuery, limits};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    queue: Option<String>,
    tenant: Option<String>,
    /// What the page before this one calls `next`.
    after: Option<String>,
    #[serde(default = "some")]
    limit: usize,
}

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlQuery(Input { queue, tenant, after, limit }): UrlQuery<Input>,
) -> Result<Json<ManyBatches>, ApiError> {
    let Some(tenants) = seen_by(&identity, tenant)? else {
        return Ok(Json(ManyBatches::default()));
    };
    let most = limit.clamp(1, limits::MOST_JOBS_SHOWN);
    let wanted = BatchesWanted { queue, tenants };
    Ok(Json(engine.list_batches(&wanted, after.as_deref(), most).await?))
}
