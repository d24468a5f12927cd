//! A Samovar in another process, told by `POST /v1/invalidate`.

use std::{fmt, time::Duration};

use http::{
    HeaderValue, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::{Client, Response, Url};
use serde::Serialize;

use crate::{
    change::Change,
    limits,
    target::{Target, TargetError, both},
};

/// A Samovar that is reached over HTTP. Cheap to clone; all clones share their connections.
///
/// One call is tried once; it is the layer that tries again.
#[derive(Clone)]
pub struct Remote {
    url: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    client: Client,
}

impl Remote {
    /// Where Samovar listens, such as `http://127.0.0.1:7070`. What stands in front of its paths,
    /// at a proxy for example, belongs to the URL.
    pub fn new(url: &str) -> Result<Self, RemoteError> {
        let url = parse(url)?;
        // Somebody may have chosen another one before: that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits::REMOTE_CONNECT)
            .user_agent(concat!("samovar-tower/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| RemoteError::Client(error.to_string()))?;
        Ok(Self { url, authorization: None, timeout: limits::REMOTE_CALL, client })
    }

    /// The token that is sent along, such as `smv_...`; shown nowhere.
    pub fn token(self, token: &str) -> Result<Self, RemoteError> {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| RemoteError::Token)?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self })
    }

    /// How long one call may take; 2 s unless set.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn call(&self, body: &Body<'_>) -> Result<(), TargetError> {
        let body = serde_json::to_vec(body);
        let body = body.map_err(|error| TargetError::Refused(error.to_string()))?;
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(self.timeout)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| TargetError::Away(chain(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("{status}: {}", beginning(response).await);
        let may_work_later = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        Err(if may_work_later { TargetError::Away(reason) } else { TargetError::Refused(reason) })
    }
}

/// What the client tells is in the causes of its error.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What is worth to be kept of an answer, however long it is.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < limits::REASON_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(limits::REASON_BYTES);
    String::from_utf8_lossy(&body).into_owned()
}

impl Target for Remote {
    async fn invalidate(&self, change: &Change) -> Result<(), TargetError> {
        let mut outcome = Ok(());
        for body in &bodies(change) {
            outcome = both(outcome, self.call(body).await);
        }
        outcome
    }
}

/// The input of `POST /v1/invalidate`.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    widget: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
}

/// A call takes many tags, but one widget and one class.
fn bodies(change: &Change) -> Vec<Body<'_>> {
    let tags: Vec<String> = change.tags().map(ToString::to_string).collect();
    let mut chunks = tags.chunks(limits::TAGS_PER_REMOTE_CALL);
    let (mut widgets, mut classes) = (change.widgets(), change.classes());
    let tenant = change.tenant.as_ref().map(|tenant| tenant.as_str());
    let next = || {
        let (tags, widget, class) = (chunks.next(), widgets.next(), classes.next());
        let is_something = tags.is_some() || widget.is_some() || class.is_some();
        let tags = tags.map(<[String]>::to_vec).unwrap_or_default();
        is_something.then_some(Body { tenant, tags, widget, class })
    };
    std::iter::from_fn(next).collect()
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Remote");
        debug.field("url", &self.url.as_str()).field("timeout", &self.timeout);
        debug.field("token", &self.authorization.is_some()).finish()
    }
}

fn parse(text: &str) -> Result<Url, RemoteError> {
    let invalid = |why: &str| RemoteError::Url { url: text.to_owned(), why: why.to_owned() };
    let mut url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(invalid("it names no host of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RemoteError::UrlWithPassword);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a query or a fragment"));
    }
    let path = format!("{}/v1/invalidate", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// A remote Samovar that cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    #[error("`{url}` is no address of a Samovar: {why}")]
    Url { url: String, why: String },
    #[error("the url has a name and a password in it: give a token instead")]
    UrlWithPassword,
    #[error("the token is not plain text")]
    Token,
    #[error("no client for HTTP can be made: {0}")]
    Client(String),
}

#[cfg(test)]
mod tests {
    use samovar_cache::{Tag, Tenant};

    use super::*;
    use crate::change::What;

    fn shown(tenant: Option<&str>, what: Vec<What>) -> Vec<String> {
        let tenant = tenant.map(|id| Tenant::new(id).expect("sound"));
        let change = Change::new(tenant, what, "test");
        let bodies = bodies(&change);
        bodies.iter().map(|body| serde_json::to_string(body).expect("it is JSON")).collect()
    }

    fn tag(text: &str) -> What {
        What::Tag(text.parse().expect("sound"))
    }

    #[test]
    fn the_body_is_what_the_server_reads() {
        assert_eq!(
            shown(Some("acme"), vec![tag("menu/7"), tag("orders")]),
            [r#"{"tenant":"acme","tags":["menu/7","orders"]}"#]
        );
        assert_eq!(shown(None, vec![tag("global:rates")]), [r#"{"tags":["global:rates"]}"#]);
    }

    #[test]
    fn what_one_call_cannot_say_is_said_in_several() {
        let (revenue, buyers) = (What::Widget("revenue".into()), What::Widget("buyers".into()));
        let live = What::Class("live".into());
        assert_eq!(
            shown(Some("acme"), vec![revenue, tag("orders"), live, buyers]),
            [
                r#"{"tenant":"acme","tags":["orders"],"widget":"revenue","class":"live"}"#,
                r#"{"tenant":"acme","widget":"buyers"}"#
            ]
        );
        let many = |count: usize| {
            let tag = |n| What::Tag(Tag::new(&format!("t/{n}")).expect("sound"));
            shown(Some("acme"), (0..count).map(tag).collect()).len()
        };
        assert_eq!(many(limits::TAGS_PER_REMOTE_CALL), 1);
        assert_eq!(many(limits::TAGS_PER_REMOTE_CALL + 1), 2);
    }

    #[test]
    fn an_address_is_checked_and_its_path_is_kept() {
        let url = |text: &str| Remote::new(text).map(|remote| remote.url.to_string());
        let plain = "http://127.0.0.1:7070/v1/invalidate";
        assert_eq!(url("http://127.0.0.1:7070").as_deref(), Ok(plain));
        let below = "https://a.example/samovar/v1/invalidate";
        assert_eq!(url("https://a.example/samovar/").as_deref(), Ok(below));
        for (text, message) in [
            ("127.0.0.1:7070", "no address"),
            ("ftp://a.example", "no host of http"),
            ("http://a.example?x=1", "query"),
            ("http://me:secret@a.example", "token instead"),
        ] {
            let error = url(text).expect_err(text).to_string();
            assert!(error.contains(message) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn the_token_is_shown_nowhere() {
        let remote = Remote::new("http://127.0.0.1:7070").expect("sound");
        let with_token = remote.clone().token("smv_secret").expect("sound");
        assert!(!format!("{with_token:?}").contains("secret"));
        let error = remote.token("smv_secret\n").expect_err("no header");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
