//! `GET /v1/batches/{id}`: how far a batch of jobs is.

use axum::{Json, extract::State};
use samovar_access::Role;
use samovar_engine::{Batch, Engine};

use crate::{error::ApiError, identity::Identity, input::UrlPath};

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Batch>, ApiError> {
    let batch = engine.batch(&id).await?.ok_or_else(|| ApiError::unknown_batch(&id))?;
    seen(batch, &identity).map(Json).ok_or_else(|| ApiError::unknown_batch(&id))
}

/// What may be seen of it: nothing of another tenant's, or of one over several, by whoever is bound;
/// no reasons below an owner.
pub(super) fn seen(mut batch: Batch, identity: &Identity) -> Option<Batch> {
    let tenant = batch.tenant.as_deref();
    if !tenant.map_or(identity.principal.is_unbound(), |it| identity.principal.may_see(it)) {
        return None;
    }
    if !identity.may(Role::Owner) {
        batch.failures.iter_mut().for_each(|job| job.reason = None);
    }
    Some(batch)
}
