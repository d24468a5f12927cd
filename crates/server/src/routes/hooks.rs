//! `POST /v1/hooks/{name}`: another system tells what happened there, and signs it.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::HeaderMap,
};
use samovar_engine::{Engine, HookFailure, Raised, Signed};

use crate::{error::ApiError, identity::Peer, input::UrlPath, limits, trail::Trail};

struct Headers<'h>(&'h HeaderMap);

impl Signed for Headers<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.get_all(name).iter();
        let line = lines.next()?;
        // Which of two is meant is not guessed.
        lines.next().is_none().then(|| line.to_str().ok()).flatten()
    }
}

/// Its owner need not sign what he sends through his socket: he may raise any event.
pub(super) async fn post(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
    request: Request,
) -> Result<Json<Raised>, ApiError> {
    let is_owner = request.extensions().get() == Some(&Peer::Owner);
    let trail = request.extensions().get::<Trail>().cloned();
    let headers = request.headers().clone();
    let body = Bytes::from_request(request, &());
    let body = engine.clock().timeout(limits::BODY_TIME, body).await;
    let body = body.map_err(|_| ApiError::slow_body())??;
    if !is_owner && !engine.is_signed(&name, &Headers(&headers), &body) {
        return Err(HookFailure::Unsigned.into());
    }
    let events = engine.events_of(&name, &body);
    if let Some(trail) = trail {
        let events = events.iter().flatten();
        let mut tenants: Vec<String> = events.filter_map(|event| event.tenant.clone()).collect();
        tenants.sort_unstable();
        tenants.dedup();
        trail.signed_by(format!("hook {name}"), tenants);
    }
    Ok(Json(engine.take_hook(events?).await?))
}
