//! `DELETE /v1/users/{name}`: somebody is signed out everywhere, and does not sign in any more.

use axum::{Json, extract::State};
use samovar_access::{Access, UserName};
use serde::Serialize;

use crate::{denied, error::ApiError, input::UrlPath};

#[derive(Serialize)]
pub(super) struct Output {
    removed: UserName,
}

pub(super) async fn delete(
    State(access): State<Access>,
    UrlPath(name): UrlPath<String>,
) -> Result<Json<Output>, ApiError> {
    let name = UserName::new(name).map_err(|_| denied::unknown_user())?;
    if access.remove_user(&name).await? {
        return Ok(Json(Output { removed: name }));
    }
    Err(denied::unknown_user())
}
