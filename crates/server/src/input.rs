//! What comes with a request, refused in our own words where it is not what a route takes.

use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query};

use crate::error::ApiError;

#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub(crate) struct UrlPath<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub(crate) struct UrlQuery<T>(pub(crate) T);

#[derive(FromRequest)]
#[from_request(via(Json), rejection(ApiError))]
pub(crate) struct JsonBody<T>(pub(crate) T);
