//! What comes with a request, refused in our own words where it is not what a route takes.

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Json, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use samovar_engine::Engine;
use serde::de::DeserializeOwned;

use crate::{denied, error::ApiError, identity::Identity, limits, trail::Trail};

#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub(crate) struct UrlPath<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub(crate) struct UrlQuery<T>(pub(crate) T);

/// Of a reading: whose it is, and what else the query names.
pub(crate) struct ReadingQuery {
    pub(crate) tenant: String,
    pub(crate) params: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for ReadingQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let UrlQuery(mut params) = UrlQuery::from_request_parts(parts, state).await?;
        let tenant = take_tenant(&mut params)?;
        // Before anything is said about what there is.
        Identity::of(&parts.extensions)?.must_see(&tenant)?;
        Ok(Self { tenant, params })
    }
}

/// What a body asks for, and whose data that is about: nothing is taken that does not say so.
pub(crate) trait Asked {
    fn tenants(&self) -> Tenants<'_>;

    /// What of it stands in the audit log: nothing that could be a secret.
    fn told(&self) -> Option<String> {
        None
    }
}

pub(crate) enum Tenants<'a> {
    /// It is about no tenant's data.
    Nobodys,
    All,
    These(Vec<&'a str>),
}

impl<'a> Tenants<'a> {
    /// Nobody named: all of them.
    pub(crate) fn or_all(named: impl IntoIterator<Item = &'a String>) -> Self {
        let named: Vec<&str> = named.into_iter().map(String::as_str).collect();
        if named.is_empty() { Tenants::All } else { Tenants::These(named) }
    }
}

/// It has to arrive within [`limits::BODY_TIME`].
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Asked> FromRequest<S> for JsonBody<T>
where
    Engine: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let identity = request.extensions().get::<Identity>().cloned();
        let trail = request.extensions().get::<Trail>().cloned();
        let read = Json::<T>::from_request(request, state);
        let read = Engine::from_ref(state).clock().timeout(limits::BODY_TIME, read).await;
        let Json(body) = read.map_err(|_| ApiError::slow_body())??;
        let (asked, detail) = (body.tenants(), body.told());
        let named = match &asked {
            Tenants::These(ids) => ids.iter().map(|id| (*id).to_owned()).collect(),
            Tenants::All | Tenants::Nobodys => Vec::new(),
        };
        if let Some(trail) = trail {
            trail.note(named, detail);
        }
        let identity = || identity.as_ref().ok_or_else(denied::nobody);
        match asked {
            Tenants::Nobodys => {}
            Tenants::All => identity()?.must_see_all()?,
            Tenants::These(ids) => {
                let identity = identity()?;
                ids.into_iter().try_for_each(|id| identity.must_see(id))?;
            }
        }
        Ok(Self(body))
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
