//! An answer of a widget as a response: the stored bytes, and what is known of them in headers.
//!
//! Most requests are answered here, thousands of times from the same value. What does not change from
//! read to read is written once per value; what does is written into one piece of memory.

use std::io::Write;

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
        header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY},
    },
};
use samovar_engine::{Answer, Coding, Engine, ReadError, State, Tier};

use crate::{
    error::ApiError,
    negotiate::{accepts_zstd, entity_tag, is_unchanged},
    shown::{state, tier},
};

static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
static STATE: HeaderName = HeaderName::from_static("samovar-state");
static TIER: HeaderName = HeaderName::from_static("samovar-tier");
static FRESH_FOR: HeaderName = HeaderName::from_static("samovar-fresh-for");
static COMPUTED_AT: HeaderName = HeaderName::from_static("samovar-computed-at");
static COMPUTE_MS: HeaderName = HeaderName::from_static("samovar-compute-ms");
static QUERIES: HeaderName = HeaderName::from_static("samovar-queries");
/// What is set here and by the connection, without growing the map.
const HEADERS: usize = 16;

/// The headers that stay the same for as long as the value does.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    value: Named,
    plain_tag: HeaderValue,
    zstd_tag: HeaderValue,
    computed_at: HeaderValue,
    compute_ms: HeaderValue,
    queries: HeaderValue,
}

/// Which value it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Named {
    commit: u64,
    content_hash: u64,
}

impl Named {
    fn of(answer: &Answer) -> Self {
        Self { commit: answer.commit(), content_hash: answer.content_hash() }
    }
}

impl Described {
    pub(crate) fn of(engine: &Engine, answer: &Answer) -> Self {
        let tag = |coding| plain(&entity_tag(answer.content_hash(), coding));
        let compute_ms = u64::try_from(answer.compute_time().as_millis()).unwrap_or(u64::MAX);
        Self {
            value: Named::of(answer),
            plain_tag: tag(Coding::Identity),
            zstd_tag: tag(Coding::Zstd),
            computed_at: plain(&engine.computed_at(answer).to_string()),
            compute_ms: compute_ms.into(),
            queries: answer.provenance().queries.into(),
        }
    }

    pub(crate) fn is_of(&self, answer: &Answer) -> bool {
        self.value == Named::of(answer)
    }

    fn tag(&self, coding: Coding) -> &HeaderValue {
        match coding {
            Coding::Identity => &self.plain_tag,
            Coding::Zstd => &self.zstd_tag,
        }
    }
}

fn plain(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("letters, digits and signs")
}

/// # Errors
/// When the stored bytes are damaged.
pub(crate) fn respond(
    answer: &Answer,
    described: &Described,
    request: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let (head, bytes) = head_and_bytes(answer, described, request)?;
    Ok(head.map(|()| bytes.map_or_else(Body::empty, Body::from)))
}

/// The same for whoever wraps the bytes in a body of his own: `None` where there are none.
pub(crate) fn head_and_bytes(
    answer: &Answer,
    described: &Described,
    request: &HeaderMap,
) -> Result<(Response<()>, Option<Bytes>), ApiError> {
    let (stored, mut coding) = answer.stored_bytes();
    let bytes = if coding == Coding::Zstd && !accepts_zstd(request) {
        coding = Coding::Identity;
        answer.bytes().map_err(ReadError::from)?
    } else {
        stored.clone()
    };
    let tag = described.tag(coding);
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    let [age, fresh_for, cache_status] = moving(answer);
    headers.insert(AGE, age);
    // Browsers and proxies may keep it, but ask each time whether it is still the same.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_STATUS.clone(), cache_status);
    headers.insert(STATE.clone(), HeaderValue::from_static(state(answer)));
    headers.insert(TIER.clone(), HeaderValue::from_static(tier(answer)));
    headers.insert(FRESH_FOR.clone(), fresh_for);
    headers.insert(COMPUTED_AT.clone(), described.computed_at.clone());
    headers.insert(COMPUTE_MS.clone(), described.compute_ms.clone());
    headers.insert(QUERIES.clone(), described.queries.clone());
    if is_unchanged(request, tag.to_str().unwrap_or_default()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok((response, None));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if coding == Coding::Zstd {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    Ok((response, Some(bytes)))
}

/// `Age`, `Samovar-Fresh-For` and `Cache-Status` (RFC 9211): parts of one allocation.
fn moving(answer: &Answer) -> [HeaderValue; 3] {
    let mut text = [0; 128];
    let mut rest = &mut text[..];
    let room = rest.len();
    let fresh_for = answer.fresh_for();
    let _ = write!(rest, "{}", answer.age().as_secs());
    let age_end = room - rest.len();
    let _ = write!(rest, "{}", fresh_for.as_millis());
    let fresh_end = room - rest.len();
    let _ = match (answer.tier(), answer.state()) {
        (Tier::Computed, _) if answer.is_stored() => write!(rest, "samovar; fwd=miss; stored"),
        (Tier::Computed, _) => write!(rest, "samovar; fwd=miss"),
        (_, State::Fresh) => write!(rest, "samovar; hit; ttl={}", fresh_for.as_secs()),
        (_, State::Stale(because)) => {
            write!(rest, "samovar; hit; ttl=0; detail={}", because.name())
        }
    };
    let end = room - rest.len();
    let text = Bytes::copy_from_slice(&text[..end]);
    [0..age_end, age_end..fresh_end, fresh_end..end].map(|part| {
        HeaderValue::from_maybe_shared(text.slice(part)).expect("letters, digits and signs")
    })
}
