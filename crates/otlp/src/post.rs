//! Messages are posted to a collector. Nothing that is said of it repeats its URL or a header.

use std::{fmt, time::Duration};

use prost::{Message, bytes::Bytes};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};

use crate::limits;

/// Where messages of one kind go.
#[derive(Clone, PartialEq)]
pub(crate) struct Destination {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// The collector has to answer within it.
    pub(crate) answer: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Post {
    client: Client,
    to: Destination,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// The same may be taken later, after the pause that the collector asks for.
    #[error("{why}")]
    Later { why: String, after: Option<Duration> },
    #[error("{0}")]
    Refused(String),
}

/// Follows no redirects: whoever answers does not choose where headers go next.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    // Somebody may have chosen another one before: that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("samovar/", env!("CARGO_PKG_VERSION"));
    Client::builder().redirect(Policy::none()).user_agent(agent).build()
}

impl Post {
    pub(crate) fn new(client: Client, to: Destination) -> Self {
        Self { client, to }
    }

    /// Gives what the collector says.
    pub(crate) async fn send<A: Message + Default>(&self, message: Bytes) -> Result<A, NotTaken> {
        let request = self.client.post(self.to.url.clone()).timeout(self.to.answer);
        let request = request.headers(self.to.headers.clone());
        let kind = HeaderValue::from_static("application/x-protobuf");
        let sent = request.header(CONTENT_TYPE, kind).body(message).send().await;
        let later = |why| NotTaken::Later { why, after: None };
        let response = sent.map_err(|error| later(chain(error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(answer(response).await);
        }
        let why = format!("the collector answered with {status}");
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => NotTaken::Later { why, after: retry_after(&response) },
            _ => NotTaken::Refused(why),
        })
    }
}

/// One that cannot be read says nothing: the message was taken all the same.
async fn answer<A: Message + Default>(mut response: Response) -> A {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limits::ANSWER_BYTES {
            return A::default();
        }
    }
    A::decode(&*bytes).unwrap_or_default()
}

/// In seconds; dates are for those who share a clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What the client tells is in the causes of its error, and the URL in the error itself.
fn chain(error: reqwest::Error) -> String {
    let error: Box<dyn std::error::Error> = Box::new(error.without_url());
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Only the origin: a path may be a secret as well.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url.origin().ascii_serialization())
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Destination").field(&format_args!("{self}")).finish()
    }
}
