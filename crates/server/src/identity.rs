//! Who asks: what a request presents, and whose that is.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, Method, header, request::Parts},
};
use samovar_access::{Access, Denied, Principal, Role, Secret, SecretKind, Who};
use samovar_engine::Clock;

use crate::{cookie, denied, error::ApiError, limits};

/// What a page sends along with each write that a cookie lets in.
pub(crate) const CSRF: &str = "samovar-csrf";

/// At the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Whoever may connect to the owner's socket, or runs in its process.
    Owner,
    Address(IpAddr),
}

/// Whoever was let in, for the handler of a route.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) principal: Arc<Principal>,
    /// What was presented.
    secret: Option<Secret>,
}

/// What a request presents.
#[derive(Debug)]
enum Presented {
    Nothing,
    Secret(Secret),
    /// It was meant to be one.
    Malformed,
}

/// As far as it is known without a wait.
#[derive(Debug)]
pub(crate) enum Asker {
    Known(Identity),
    /// To be asked at the store.
    Unknown {
        secret: Secret,
        from: IpAddr,
    },
    Nobody(ApiError),
}

impl Identity {
    /// Of somebody who signed in.
    pub(crate) fn session(&self) -> Option<&Secret> {
        self.secret.as_ref().filter(|secret| secret.kind() == SecretKind::Session)
    }

    pub(crate) fn may(&self, role: Role) -> bool {
        self.principal.is_at_least(role)
    }

    /// Said before anything is said about the tenant, and the same whether there is such a one.
    pub(crate) fn must_see(&self, tenant: &str) -> Result<(), ApiError> {
        if self.principal.may_see(tenant) { Ok(()) } else { Err(denied::other_tenant()) }
    }

    pub(crate) fn must_see_all(&self) -> Result<(), ApiError> {
        if self.principal.is_unbound() { Ok(()) } else { Err(denied::all_tenants()) }
    }

    /// Until what was presented lets nobody in any more. Who presented nothing keeps what he has.
    pub(crate) async fn revoked(&self, access: &Access, clock: &Clock) {
        let Some(secret) = &self.secret else { return std::future::pending().await };
        loop {
            clock.sleep(limits::STREAM_CHECK).await;
            if access.known(secret).is_none()
                && access.check(secret, UNKNOWN.address()).await == Err(Denied::Unknown)
            {
                return;
            }
        }
    }

    /// Missing where a route was asked without its gate, which must never answer.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, ApiError> {
        extensions.get().ok_or_else(denied::nobody)
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.extensions).cloned()
    }
}

/// For the routes by which somebody is let in.
impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(UNKNOWN))
    }
}

/// Of a request that came by no connection of ours; failures are counted under it.
const UNKNOWN: Peer = Peer::Address(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));

impl Peer {
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Peer::Owner => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            Peer::Address(address) => address,
        }
    }

    /// Whom a proxy speaks for, where its word is taken: the last address in front of it that is no
    /// such proxy itself. What stands before that one anybody may have written.
    pub(crate) fn behind(self, proxies: &[IpAddr], headers: &HeaderMap) -> Self {
        let Peer::Address(address) = self else { return self };
        let is_proxy = |address: &IpAddr| proxies.contains(&address.to_canonical());
        if !is_proxy(&address) {
            return self;
        }
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let parts = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        let mut last = address;
        for part in parts {
            let Ok(before) = part.trim().parse::<IpAddr>() else { break };
            last = before;
            if !is_proxy(&before) {
                break;
            }
        }
        Peer::Address(last)
    }
}

/// Without a wait: as a rule this is all there is to it.
pub(crate) fn asker(
    access: &Access,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<Peer>,
) -> Asker {
    let from = match peer {
        Some(Peer::Owner) => return Asker::Known(Identity::open(Who::Owner)),
        Some(peer) => peer,
        None => return Asker::Nobody(denied::nobody()),
    };
    let (secret, from) = match presented(headers) {
        Presented::Secret(secret) => (secret, from),
        Presented::Nothing => return nobody(access, method, headers),
        Presented::Malformed => {
            let from = from.behind(&access.settings().proxies, headers);
            return Asker::Nobody(access.malformed(from.address()).into());
        }
    };
    if secret.kind() == SecretKind::Session
        && let Err(error) = check_csrf(&secret, method, headers)
    {
        return Asker::Nobody(error);
    }
    match access.known(&secret) {
        Some(principal) => Asker::Known(Identity::by(secret, principal)),
        None => {
            let from = from.behind(&access.settings().proxies, headers);
            Asker::Unknown { secret, from: from.address() }
        }
    }
}

/// [`asker`], with the store's word about whom it does not know.
pub(crate) async fn ask(
    access: &Access,
    secret: Secret,
    from: IpAddr,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Identity, ApiError> {
    match access.check(&secret, from).await {
        Ok(principal) => Ok(Identity::by(secret, principal)),
        // A browser sends along what it was given once; where nobody has to sign in, that is nothing.
        Err(Denied::Unknown) if secret.kind() == SecretKind::Session => {
            match nobody(access, method, headers) {
                Asker::Known(identity) => Ok(identity),
                _ => Err(denied::session_ended()),
            }
        }
        Err(denied) => Err(denied.into()),
    }
}

fn nobody(access: &Access, method: &Method, headers: &HeaderMap) -> Asker {
    if access.settings().required {
        return Asker::Nobody(denied::nobody());
    }
    // Who needs no credentials could be anybody's page, in a browser of this machine.
    let site = headers.get("sec-fetch-site").map(header::HeaderValue::as_bytes);
    if !method.is_safe() && matches!(site, Some(b"cross-site" | b"same-site")) {
        return Asker::Nobody(denied::cross_site());
    }
    Asker::Known(Identity::open(Who::Anyone))
}

impl Identity {
    fn open(who: Who) -> Self {
        Self { principal: Arc::new(Principal::unbound_admin(who)), secret: None }
    }

    fn by(secret: Secret, principal: Arc<Principal>) -> Self {
        Self { principal, secret: Some(secret) }
    }
}

/// A token is preferred to a cookie: a browser adds cookies by itself, and never a token.
fn presented(headers: &HeaderMap) -> Presented {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Presented::Malformed;
    }
    // Another scheme is meant for somebody else, a proxy for example.
    if let Some(text) = line.and_then(|line| bearer(line.as_bytes())) {
        let secret = Secret::parse(SecretKind::Token, text);
        return secret.map_or(Presented::Malformed, Presented::Secret);
    }
    let Some(text) = cookie::session(headers) else { return Presented::Nothing };
    Secret::parse(SecretKind::Session, text).map_or(Presented::Nothing, Presented::Secret)
}

fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, text) = line.split_at_checked(6)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    let text = text.trim_ascii_start();
    (is_bearer && text.len() + scheme.len() < line.len()).then_some(text.trim_ascii_end())
}

fn check_csrf(secret: &Secret, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let given = || headers.get(CSRF).map_or(&[][..], header::HeaderValue::as_bytes);
    if method.is_safe() || secret.is_csrf(given()) { Ok(()) } else { Err(denied::csrf()) }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    fn found(lines: &[(&str, &[u8])]) -> String {
        match presented(&headers(lines)) {
            Presented::Nothing => "nothing".to_owned(),
            Presented::Malformed => "malformed".to_owned(),
            Presented::Secret(secret) => secret.exposed().to_owned(),
        }
    }

    #[test]
    fn a_token_is_found_however_its_line_is_written() {
        let token = Secret::draw(SecretKind::Token).exposed().to_owned();
        for line in ["Bearer TOKEN", "bearer TOKEN", "BEARER   TOKEN", "Bearer\tTOKEN "] {
            let line = line.replace("TOKEN", &token);
            assert_eq!(found(&[("authorization", line.as_bytes())]), token, "{line}");
        }
        let cookie = Secret::draw(SecretKind::Session);
        let cookie = format!("samovar_session={}", cookie.exposed());
        let line = format!("Bearer {token}");
        let both = [("authorization", line.as_bytes()), ("cookie", cookie.as_bytes())];
        assert_eq!(found(&both), token, "a token is preferred");
    }

    #[test]
    fn hostile_lines_are_no_credentials() {
        let token = Secret::draw(SecretKind::Token).exposed().to_owned();
        let session = Secret::draw(SecretKind::Session).exposed().to_owned();
        let long = "x".repeat(15_000);
        for (line, expected) in [
            (String::new(), "nothing"),
            ("Bearer".to_owned(), "nothing"),
            ("Basic dXNlcjpwYXNz".to_owned(), "nothing"),
            (format!("Bearer{token}"), "nothing"),
            ("Bearer ".to_owned(), "malformed"),
            (format!("Bearer {token} {token}"), "malformed"),
            (format!("Bearer {token},"), "malformed"),
            (format!("Bearer {session}"), "malformed"),
            (format!("Bearer \"{token}\""), "malformed"),
            (format!("Bearer {long}"), "malformed"),
            (token.clone(), "nothing"),
        ] {
            assert_eq!(found(&[("authorization", line.as_bytes())]), expected, "{line:.60}");
        }
        assert_eq!(found(&[("authorization", b"Bearer \xff\xfe\x80")]), "malformed");
        let line = format!("Bearer {token}");
        let twice = [("authorization", line.as_bytes()), ("authorization", line.as_bytes())];
        assert_eq!(found(&twice), "malformed", "which of them is meant is not guessed");
    }

    #[test]
    fn the_word_of_a_proxy_is_taken_for_the_last_step_only() {
        let proxies = ["10.0.0.1".parse().expect("an address"), "::1".parse().expect("one")];
        let behind = |peer: &str, lines: &[(&str, &[u8])]| {
            let peer = Peer::Address(peer.parse().expect("an address"));
            peer.behind(&proxies, &headers(lines)).address().to_string()
        };
        let line = "x-forwarded-for";
        assert_eq!(behind("192.0.2.9", &[(line, b"203.0.113.5")]), "192.0.2.9", "a stranger's");
        assert_eq!(behind("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(behind("10.0.0.1", &[(line, b"1.1.1.1, 203.0.113.5")]), "203.0.113.5");
        assert_eq!(behind("::1", &[(line, b"203.0.113.5, 10.0.0.1")]), "203.0.113.5");
        assert_eq!(behind("::1", &[(line, b"1.1.1.1"), (line, b"203.0.113.5")]), "203.0.113.5");
        assert_eq!(behind("10.0.0.1", &[(line, b"1.1.1.1, what")]), "10.0.0.1");
        assert_eq!(behind("10.0.0.1", &[(line, b"\xff")]), "10.0.0.1");
        assert_eq!(behind("10.0.0.1", &[(line, b",,,,")]), "10.0.0.1");
    }
}
