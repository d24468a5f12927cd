//! The cookie of somebody who signed in (RFC 6265).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use samovar_access::Secret;

pub(crate) const NAME: &str = "samovar_session";

/// What the cookie of a session holds, whatever that is. The first one, where there are several: a
/// browser puts the one of the longest path first, and all of ours are of one path.
pub(crate) fn session(headers: &HeaderMap) -> Option<&[u8]> {
    let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    let mut ours = pairs.filter_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(NAME.len())?;
        if name == NAME.as_bytes() { value.strip_prefix(b"=") } else { None }
    });
    ours.next()
}

/// No script reads it and no other site sends it along. Only over TLS, unless the browser runs on
/// this machine.
pub(crate) fn given(secret: &Secret, lifetime: Duration, headers: &HeaderMap) -> HeaderValue {
    set(secret.exposed(), lifetime.as_secs(), headers)
}

/// Makes a browser forget it.
pub(crate) fn taken(headers: &HeaderMap) -> HeaderValue {
    set("", 0, headers)
}

fn set(value: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
    let secure = if is_for_this_machine(headers) { "" } else { "; Secure" };
    let line =
        format!("{NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(line).expect("it is made of plain letters")
}

/// By the name under which the browser asked. One that is missing is another machine's.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use samovar_access::SecretKind;

    use super::*;

    fn found(lines: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line).expect("a value");
            headers.append(header::COOKIE, line);
        }
        session(&headers).map(|it| String::from_utf8_lossy(it).into_owned())
    }

    #[test]
    fn the_cookie_is_found_among_others_and_nothing_like_it() {
        let long = [b"x=".as_slice(), &[b'y'; 15_000], b"; samovar_session=a"].concat();
        for (lines, expected) in [
            (&[b"samovar_session=a".as_slice()][..], Some("a")),
            (&[b"x=1; samovar_session=a;y"], Some("a")),
            (&[b"x=1", b"  samovar_session=a  "], Some("a")),
            (&[b"samovar_session=a; samovar_session=b"], Some("a")),
            (&[b"samovar_session=a=b"], Some("a=b")),
            (&[b"samovar_session="], Some("")),
            (&[&long], Some("a")),
            (&[b"samovar_session"], None),
            (&[b"samovar_sessions=a"], None),
            (&[b"Samovar_Session=a"], None),
            (&[b"xsamovar_session=a"], None),
            (&[b"x=samovar_session=a"], None),
            (&[b";;;=;"], None),
            (&[b"\xff\xff=\xff"], None),
            (&[], None),
        ] {
            assert_eq!(found(lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_is_for_tls_unless_the_browser_is_here() {
        let secret = Secret::draw(SecretKind::Session);
        let given = |host: Option<&str>| {
            let host = host.map(|host| (header::HOST, HeaderValue::from_str(host).expect("one")));
            let headers = HeaderMap::from_iter(host);
            let line = super::given(&secret, Duration::from_secs(60), &headers);
            let line = line.to_str().expect("plain").to_owned();
            assert!(line.contains("HttpOnly; SameSite=Strict") && line.contains("Max-Age=60"));
            line.ends_with("; Secure")
        };
        for here in ["127.0.0.1:7070", "localhost", "LOCALHOST:1", "[::1]:7070", "127.0.0.2"] {
            assert!(!given(Some(here)), "{here}");
        }
        for other in ["dash.example.org", "localhost.example.org", "10.0.0.1:7070", "[::2]:1", ""] {
            assert!(given(Some(other)), "{other}");
        }
        assert!(given(None));
    }
}
