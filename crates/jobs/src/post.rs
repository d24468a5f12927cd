//! Posts of bytes to a URL that may itself be a secret: nothing that is said of them repeats it.

use std::{fmt, str::FromStr, time::Duration};

use reqwest::{
    Client, RequestBuilder, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap},
};

use crate::{
    http::{self, InvalidHttp},
    trace,
};

/// Where something is posted to. Shown without whatever stands behind the host.
#[derive(Clone, PartialEq, Eq)]
pub struct PostUrl(Url);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no URL of http or https without a name and a password in it")]
pub struct InvalidPostUrl;

/// Sends one post at a time; its clones share their connections.
#[derive(Debug, Clone)]
pub struct Poster(Client);

/// Why a post was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The same may work later.
    #[error("{0}")]
    Away(String),
    /// The same will not work.
    #[error("{0}")]
    Refused(String),
}

impl Poster {
    pub fn new() -> Result<Self, InvalidHttp> {
        http::client().map(Self)
    }

    /// JSON, which is taken when the answer is 2xx. A redirect is a refusal. Nothing of an answer is
    /// read but its status.
    ///
    /// # Errors
    /// Without the URL, and without what was sent.
    pub async fn post(
        &self,
        url: &PostUrl,
        headers: &[(&str, String)],
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<(), NotTaken> {
        let request = self.0.post(url.0.clone()).timeout(timeout).body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        let named =
            |request: RequestBuilder, (name, value): &(&str, String)| request.header(*name, value);
        let mut traced = HeaderMap::new();
        trace::add_to(&mut traced);
        let request = headers.iter().fold(request, named).headers(traced);
        let sent = request.send().await.map_err(|error| NotTaken::Away(chain(error)))?;
        let status = sent.status();
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        let reason = format!("it was answered with {status}");
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_server_error() || later.contains(&status) => {
                Err(NotTaken::Away(reason))
            }
            _ => Err(NotTaken::Refused(reason)),
        }
    }
}

/// What the client tells is in the causes of its error, and the URL in the error itself.
fn chain(error: reqwest::Error) -> String {
    let error: Box<dyn std::error::Error> = Box::new(error.without_url());
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl FromStr for PostUrl {
    type Err = InvalidPostUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPostUrl> {
        http::parse(text).map(Self).map_err(|_| InvalidPostUrl)
    }
}

impl fmt::Display for PostUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for PostUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_host_is_not_shown() {
        let url: PostUrl =
            "https://hooks.example.com:8443/T0/s3cret?key=s3cret".parse().expect("sound");
        assert_eq!(url.to_string(), "https://hooks.example.com:8443");
        assert!(!format!("{url:?}").contains("s3cret"));
        for wrong in ["https://me:s3cret@a.example/", "ftp://a.example/s3cret", "s3cret"] {
            let error = wrong.parse::<PostUrl>().expect_err("refused");
            assert!(!error.to_string().contains("s3cret"), "{wrong}");
        }
    }
}
