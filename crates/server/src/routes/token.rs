//! `DELETE /v1/tokens/{id}`: a token lets nobody in any more.

use axum::{Json, extract::State};
use samovar_access::{Access, TokenId};
use serde::Serialize;

use crate::{denied, error::ApiError, input::UrlPath};

#[derive(Serialize)]
pub(super) struct Output {
    revoked: TokenId,
}

pub(super) async fn delete(
    State(access): State<Access>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Output>, ApiError> {
    let id = TokenId::parse(&id).ok_or_else(denied::unknown_token)?;
    if access.revoke_token(id).await? {
        return Ok(Json(Output { revoked: id }));
    }
    Err(denied::unknown_token())
}
