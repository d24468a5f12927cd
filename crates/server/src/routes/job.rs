//! `GET /v1/jobs/{id}`: all that is kept of a job. `DELETE /v1/jobs/{id}`: a failed one is forgotten.

use axum::{Json, extract::State};
use samovar_access::Role;
use samovar_engine::{Engine, JobFull, JobShown};

use crate::{error::ApiError, identity::Identity, input::UrlPath};

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<JobFull>, ApiError> {
    let job = seen(&engine, &identity, &id).await?;
    Ok(Json(if identity.may(Role::Owner) { job } else { job.redacted() }))
}

pub(super) async fn delete(
    State(engine): State<Engine>,
    identity: Identity,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<JobShown>, ApiError> {
    seen(&engine, &identity, &id).await?;
    Ok(Json(engine.forget_job(&id).await?))
}

/// To whoever is bound, what is another tenant's or nobody's is not there. Whose a job is does not
/// change, so that who has seen it may be let on to it.
pub(super) async fn seen(
    engine: &Engine,
    identity: &Identity,
    id: &str,
) -> Result<JobFull, ApiError> {
    let job = engine.job(id).await?;
    let may_see = |it: &JobFull| match &it.job.tenant {
        Some(tenant) => identity.principal.may_see(tenant),
        None => identity.principal.is_unbound(),
    };
    job.filter(may_see).ok_or_else(|| ApiError::unknown_job(id))
}
