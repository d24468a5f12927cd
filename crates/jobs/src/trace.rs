//! What is sent along with a request, so that whoever answers it can go on with the trace (W3C).

use std::sync::OnceLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// The header, written as in the specification.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

static CURRENT: OnceLock<fn() -> Option<String>> = OnceLock::new();

/// From now on jobs of kind `http` and [`Poster`](crate::post::Poster) send along what `current` says of
/// the span in which they are. To be said once in a process, by whoever collects its spans.
pub fn tell_by(current: fn() -> Option<String>) {
    // Whoever says it a second time collects the same spans.
    let _ = CURRENT.set(current);
}

/// A request that says so itself is left as it is.
pub(crate) fn add_to(headers: &mut HeaderMap) {
    if let Some(current) = CURRENT.get()
        && !headers.contains_key(TRACEPARENT)
        && let Some(traceparent) = current().and_then(|it| HeaderValue::try_from(it).ok())
    {
        headers.insert(TRACEPARENT, traceparent);
    }
}
