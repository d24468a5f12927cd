//! What comes with a request, refused in our own words where it is not what a route takes.

use axum::{
    extract::{FromRequest, FromRequestParts, Json, Path, Query, Request},
    http::StatusCode,
};
use samovar_engine::Engine;
use serde::de::DeserializeOwned;

use crate::{error::ApiError, limits};

#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub(crate) struct UrlPath<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub(crate) struct UrlQuery<T>(pub(crate) T);

/// It has to arrive within [`limits::BODY_TIME`].
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Engine> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, ApiError> {
        let read = Json::<T>::from_request(request, engine);
        match engine.clock().timeout(limits::BODY_TIME, read).await {
            Ok(read) => Ok(Self(read?.0)),
            Err(_) => Err(ApiError::slow_body()),
        }
    }
}

/// Whose reading it is, out of what a query names.
pub(crate) fn take_tenant(params: &mut Vec<(String, String)>) -> Result<String, ApiError> {
    let refused = |code, message: &str| {
        let error = ApiError::new(StatusCode::BAD_REQUEST, code, message);
        error.field("tenant").hint("say whose reading it is: ?tenant=ID")
    };
    let mut tenants = params.extract_if(.., |(name, _)| name == "tenant").map(|(_, id)| id);
    match (tenants.next(), tenants.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(refused("missing_tenant", "the tenant is missing")),
        (Some(_), Some(_)) => Err(refused("repeated_param", "the tenant is given twice")),
    }
}
