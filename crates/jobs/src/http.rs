//! The built-in kind `http`: posts its payload to a URL, so that whatever speaks HTTP can run jobs.
//!
//! ```
//! # use samovar_jobs::{http::{Http, Target, Targets}, run::Registry};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Target::new("https://app.example.com/jobs/")?.authorization("Bearer secret")?;
//! let registry = Registry::default().service(Targets::new(vec![app])?).with::<Http>()?;
//! let job = Http::new("https://app.example.com/jobs/invoice", &serde_json::json!({"order": 7}))?;
//! # drop((registry, job)); Ok(())
//! # }
//! ```

use std::{collections::BTreeMap, fmt, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    limits,
    run::{Context, Job, Stop},
    trace,
};

/// A payload for a URL. An answer of 2xx ends the job well; 410 says that what it is about is gone;
/// everything else is an error, which the policy answers with another try or not. Redirects are not
/// followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    url: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    body: Box<RawValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHttp {
    #[error("{url:?} is no URL of http or https without a name and a password in it: {why}")]
    Url { url: String, why: String },
    #[error("the header {name:?} cannot be sent: {why}")]
    Header { name: String, why: &'static str },
    #[error("the body cannot be written as JSON: {0}")]
    Body(String),
    #[error("{found} targets, at most {} are allowed", limits::HTTP_TARGETS)]
    Targets { found: usize },
    #[error("no client for HTTP can be made: {0}")]
    Client(String),
    /// Without what may be a secret: what follows its path.
    #[error("{url} is none of the allowed targets: allow it, or post elsewhere")]
    NotAllowed { url: String },
}

impl Http {
    pub fn new(url: &str, body: &impl Serialize) -> Result<Self, InvalidHttp> {
        let body = serde_json::value::to_raw_value(body);
        let body = body.map_err(|error| InvalidHttp::Body(error.to_string()))?;
        let http = Self { url: url.to_owned(), headers: BTreeMap::new(), body };
        http.check()?;
        Ok(http)
    }

    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidHttp> {
        self.headers.insert(name.to_owned(), value.to_owned());
        self.check()?;
        Ok(self)
    }

    /// Whether it could be sent somewhere; that it may be sent there is known to whoever runs it.
    pub fn check(&self) -> Result<(), InvalidHttp> {
        parse(&self.url)?;
        self.header_map().map(drop)
    }

    fn header_map(&self) -> Result<HeaderMap, InvalidHttp> {
        let invalid = |name: &String, why| InvalidHttp::Header { name: name.clone(), why };
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            if map.len() == limits::HTTP_HEADERS {
                return Err(invalid(name, "there are too many"));
            }
            let key = HeaderName::try_from(name).map_err(|_| invalid(name, "it is no name"))?;
            if OURS.contains(&key.as_str()) {
                return Err(invalid(name, "it is set by Samovar"));
            }
            let value = HeaderValue::try_from(value);
            map.insert(key, value.map_err(|_| invalid(name, "its value is not plain text"))?);
        }
        Ok(map)
    }
}

/// Not for a job to set: what makes the request, what the target is told, what the target asks for.
const OURS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "samovar-attempt",
    "samovar-job",
    "samovar-tenant",
    "transfer-encoding",
];

impl Job for Http {
    const KIND: &'static str = "http";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let targets = cx.service::<Targets>()?;
        let hopeless = |error: InvalidHttp| Stop::Hopeless(error.to_string());
        let url = parse(&self.url).map_err(hopeless)?;
        let target = targets.find(&url).map_err(hopeless)?;
        let mut headers = self.header_map().map_err(hopeless)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &target.authorization {
            headers.insert(reqwest::header::AUTHORIZATION, authorization.clone());
        }
        trace::add_to(&mut headers);
        // As bytes: it may hold letters beyond ASCII.
        let tenant = HeaderValue::from_bytes(cx.tenant().as_str().as_bytes());
        let tenant = tenant.map_err(|_| Stop::Hopeless("its tenant cannot be sent".to_owned()))?;
        let request = targets
            .client
            .post(url)
            .headers(headers)
            .header("samovar-job", cx.id().to_string())
            .header("samovar-tenant", tenant)
            .header("samovar-attempt", cx.attempt().to_string())
            .header("idempotency-key", cx.id().to_string())
            .body(self.body.get().to_owned());
        // The error of the client would name the URL, and with it what is in its query.
        let sent = request.send().await.map_err(reqwest::Error::without_url)?;
        answered(cx, sent).await
    }
}

async fn answered(cx: &Context, response: Response) -> Result<(), Stop> {
    let (status, wait) = (response.status(), retry_after(&response));
    let body = beginning(response).await;
    if status.is_success() {
        return cx.result(&Answered { status: status.as_u16(), body });
    }
    let reason = format!("it was answered with {status}: {body}");
    match (status, wait) {
        (StatusCode::GONE, _) => Err(Stop::Missing(reason)),
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(after)) => {
            Err(Stop::Later { after, reason })
        }
        _ => Err(Stop::Error(reason)),
    }
}

/// The result of the job.
#[derive(Serialize)]
struct Answered {
    status: u16,
    body: String,
}

/// In seconds; dates are for those who share a clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(limits::LONGEST_DELAY))
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

/// Where jobs of this kind may post to, and the client they share: a service of the registry.
#[derive(Debug)]
pub struct Targets {
    allowed: Vec<Target>,
    client: Client,
}

impl Targets {
    pub fn new(allowed: Vec<Target>) -> Result<Self, InvalidHttp> {
        if allowed.len() > limits::HTTP_TARGETS {
            return Err(InvalidHttp::Targets { found: allowed.len() });
        }
        Ok(Self { allowed, client: client()? })
    }

    /// Whether a job may be run here.
    pub fn check(&self, job: &Http) -> Result<(), InvalidHttp> {
        job.check()?;
        self.find(&parse(&job.url)?).map(drop)
    }

    fn find(&self, url: &Url) -> Result<&Target, InvalidHttp> {
        let matching = self.allowed.iter().filter(|target| target.allows(url));
        let nearest = matching.max_by_key(|target| target.url.path().len());
        nearest.ok_or_else(|| {
            let origin = url.origin().ascii_serialization();
            InvalidHttp::NotAllowed { url: format!("{origin}{}", url.path()) }
        })
    }
}

/// It follows no redirects: whoever answers does not choose where a secret goes next.
pub(crate) fn client() -> Result<Client, InvalidHttp> {
    // Somebody may have chosen another one before: that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits::HTTP_CONNECT)
        .user_agent(concat!("samovar/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| InvalidHttp::Client(error.to_string()))
}

/// URLs that may be posted to: of this origin, and below this path.
#[derive(Clone)]
pub struct Target {
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Target {
    pub fn new(url: &str) -> Result<Self, InvalidHttp> {
        Ok(Self { url: parse(url)?, authorization: None })
    }

    /// Sent along with every job for this target, so that it stands in no payload.
    pub fn authorization(self, value: &str) -> Result<Self, InvalidHttp> {
        let name = || "authorization".to_owned();
        let invalid = |_| InvalidHttp::Header { name: name(), why: "its value is not plain text" };
        let mut value = HeaderValue::try_from(value).map_err(invalid)?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self })
    }

    fn allows(&self, url: &Url) -> bool {
        let path = self.url.path();
        let below = url.path().strip_prefix(path);
        let is_below = |rest: &str| rest.is_empty() || path.ends_with('/') || rest.starts_with('/');
        let is_within = |rest: &str| is_below(rest) && (path == "/" || steps_nowhere(rest));
        url.origin() == self.url.origin() && below.is_some_and(is_within)
    }
}

/// Whoever decodes a path once more, or takes `..;` for a step up, still finds nothing above it.
fn steps_nowhere(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let is_hidden = ["%2f", "%5c", "%2e", "%25"].iter().any(|it| path.contains(it));
    !is_hidden && !path.split('/').any(|part| part.starts_with(".."))
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.url.as_str()).finish()
    }
}

pub(crate) fn parse(text: &str) -> Result<Url, InvalidHttp> {
    let invalid = |why: &str| InvalidHttp::Url { url: text.to_owned(), why: why.to_owned() };
    let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(invalid("it names no host of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let why = "give the target an authorization instead";
        return Err(InvalidHttp::Url { url: "…".to_owned(), why: why.to_owned() });
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_allows_what_is_below_its_path_at_its_origin() {
        let allows = |target: &str, url: &str| {
            Target::new(target).expect("sound").allows(&parse(url).expect("sound"))
        };
        for (target, url) in [
            ("https://a.example/jobs", "https://a.example/jobs"),
            ("https://a.example/jobs", "https://a.example/jobs/1?x=2"),
            ("https://a.example/jobs/", "https://a.example:443/jobs/1"),
            ("http://a.example:8080", "http://a.example:8080/whatever"),
            ("http://a.example:8080", "http://a.example:8080/a%2fb"),
            ("https://a.example/jobs/", "https://a.example/jobs/a.b/caf%C3%A9"),
        ] {
            assert!(allows(target, url), "{target} {url}");
        }
        for (target, url) in [
            ("https://a.example/jobs", "https://a.example/jobsite"),
            ("https://a.example/jobs/", "https://a.example/jobs/../admin"),
            ("https://a.example/jobs/", "http://a.example/jobs/1"),
            ("https://a.example/jobs/", "https://a.example:8443/jobs/1"),
            ("https://a.example/jobs/", "https://a.example.evil/jobs/1"),
            // What may be decoded behind it to a step up.
            ("https://a.example/jobs/", "https://a.example/jobs/..%2fadmin"),
            ("https://a.example/jobs/", "https://a.example/jobs/..%5Cadmin"),
            ("https://a.example/jobs/", "https://a.example/jobs/%252e%252e/admin"),
            ("https://a.example/jobs/", "https://a.example/jobs/..;/admin"),
        ] {
            assert!(!allows(target, url), "{target} {url}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_when_it_is_made_and_names_no_secret() {
        let refused = |url: &str| Http::new(url, &1).expect_err("no").to_string();
        assert!(refused("file:///etc/passwd").contains("names no host"));
        assert!(refused("/jobs").contains("no URL"));
        let message = refused("https://me:secret@a.example/");
        assert!(message.contains("authorization") && !message.contains("secret"), "{message}");
        let http = || Http::new("https://a.example/", &1).expect("sound");
        let refused =
            |name: &str, value: &str| http().header(name, value).expect_err("no").to_string();
        assert!(refused("Authorization", "x").contains("set by Samovar"));
        assert!(refused("a b", "x").contains("no name"));
        assert!(refused("x", "a\nb").contains("not plain text"));
        let target = || Target::new("https://a.example/").expect("sound");
        let message = target().authorization("Bearer s3\n").expect_err("no").to_string();
        assert!(message.contains("authorization") && !message.contains("s3"), "{message}");
        let target = target().authorization("Bearer s3").expect("sound");
        assert!(!format!("{target:?}").contains("s3"));
    }
}
