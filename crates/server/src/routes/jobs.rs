//! `GET /v1/jobs`: which jobs there are. `POST /v1/jobs`: one more.

use axum::{Json, extract::State, http::StatusCode};
use samovar_access::Role;
use samovar_engine::{Engine, JobPushed, JobShown, JobWanted, JobsWanted, ManyJobs};
use serde::Deserialize;

use crate::{
    denied,
    error::ApiError,
    identity::Identity,
    input::{Asked, JsonBody, Tenants, UrlQuery},
    limits,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    queue: Option<String>,
    /// `running`, `waiting`, `scheduled`, `failed`, `done` or `cancelled`.
    state: Option<String>,
    kind: Option<String>,
    batch: Option<String>,
    tenant: Option<String>,
    /// In the reason of the last attempt.
    reason: Option<String>,
    /// What the page before this one calls `next`.
    after: Option<String>,
    #[serde(default = "some")]
    limit: usize,
}

pub(super) fn some() -> usize {
    limits::JOBS_SHOWN
}

/// Whose jobs or batches somebody is shown: nothing, where nobody's can be.
pub(super) fn seen_by(
    identity: &Identity,
    tenant: Option<String>,
) -> Result<Option<Vec<String>>, ApiError> {
    if let Some(tenant) = tenant {
        identity.must_see(&tenant)?;
        return Ok(Some(vec![tenant]));
    }
    Ok(match identity.principal.tenants() {
        None => Some(Vec::new()),
        Some([]) => None,
        Some(bound) => Some(bound.to_vec()),
    })
}

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlQuery(input): UrlQuery<Input>,
) -> Result<Json<ManyJobs>, ApiError> {
    let Input { queue, state, kind, batch, tenant, reason, after, limit } = input;
    if reason.is_some() && !identity.may(Role::Owner) {
        // Whoever may not read reasons may not try out what stands in them.
        return Err(denied::role(Role::Owner, identity.principal.role));
    }
    let Some(tenants) = seen_by(&identity, tenant)? else { return Ok(Json(ManyJobs::default())) };
    let wanted = JobsWanted { queue, kind, batch, tenants, reason, state };
    let most = limit.clamp(1, limits::MOST_JOBS_SHOWN);
    let mut page = engine.list_jobs(&wanted, after.as_deref(), most).await?;
    if !identity.may(Role::Owner) {
        page.jobs = page.jobs.into_iter().map(JobShown::redacted).collect();
    }
    Ok(Json(page))
}

impl Asked for JobWanted {
    fn tenants(&self) -> Tenants<'_> {
        Tenants::or_all(&self.tenant)
    }

    fn told(&self) -> Option<String> {
        Some(format!("kind {}", self.kind))
    }
}

pub(super) async fn post(
    State(engine): State<Engine>,
    JsonBody(wanted): JsonBody<JobWanted>,
) -> Result<(StatusCode, Json<JobPushed>), ApiError> {
    let pushed = engine.push_job(&wanted).await?;
    let status = if pushed.pushed { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(pushed)))
}
