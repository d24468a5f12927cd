//! `GET /sign-in?code=`: whoever follows a link is signed in, and sent to the first page.

use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE},
    },
};
use samovar_access::{Access, Denied, SignedIn};
use serde::Deserialize;

use crate::{
    cookie, denied,
    error::ApiError,
    identity::Peer,
    input::UrlQuery,
    trail::{self, Code, Trail},
};

/// It goes on by itself. After a redirect the first page would still be asked for by the site of the link,
/// and a browser would keep the cookie back.
const ON: &str =
    "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url=/\"><a href=\"/\">Go on</a>";

#[derive(Deserialize)]
pub(super) struct Input {
    #[serde(default)]
    code: String,
}

pub(super) async fn get(
    State(access): State<Access>,
    peer: Peer,
    method: Method,
    headers: HeaderMap,
    UrlQuery(Input { code }): UrlQuery<Input>,
) -> Result<([(HeaderName, HeaderValue); 4], &'static str), ApiError> {
    // Whoever only looks at a link does not use it up.
    if method == Method::HEAD {
        return Err(denied::no_link());
    }
    let from = peer.behind(&access.settings().proxies, &headers);
    let followed = access.follow_link(code.as_bytes(), from.address()).await;
    note(&access, from, &followed).await;
    let signed_in = followed.map_err(|denied| match denied {
        Denied::Unknown => denied::no_link(),
        other => other.into(),
    })?;
    let cookie = cookie::given(&signed_in.secret, signed_in.lifetime, &headers);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (SET_COOKIE, cookie),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((headers, ON))
}

/// It begins a session, although it is no write by its method.
async fn note(access: &Access, peer: Peer, followed: &Result<SignedIn, Denied>) {
    let trail = Trail::default();
    let became = match followed {
        Ok(signed_in) => {
            trail.note(Vec::new(), Some(signed_in.principal.who.to_string()));
            (StatusCode::OK, None)
        }
        Err(Denied::Unknown) => (StatusCode::UNAUTHORIZED, Some(Code("invalid_link"))),
        Err(_) => return,
    };
    let asked = trail::Request {
        identity: None,
        peer: Some(peer),
        method: Method::GET,
        path: "/sign-in".to_owned(),
        trail,
        repeats: false,
        is_signed: false,
    };
    trail::leave(access, asked, became).await;
}
