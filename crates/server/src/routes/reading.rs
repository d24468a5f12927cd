//! `GET /v1/widgets/{name}?tenant=&{param}=`: a reading, as the bytes that are stored.
//!
//! Whatever changes from read to read is in the headers.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use samovar_engine::{Answer, Coding, Engine, ReadError, Tier};

use crate::{
    error::ApiError,
    input::{ReadingQuery, UrlPath},
    negotiate::{accepts_zstd, entity_tag, is_unchanged},
    shown::{state, tier},
};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
    ReadingQuery { tenant, params }: ReadingQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let answer = engine.read(&name, &tenant, params).await?;
    respond(&engine, &answer, &headers)
}

fn respond(engine: &Engine, answer: &Answer, request: &HeaderMap) -> Result<Response, ApiError> {
    let (stored, mut coding) = answer.stored_bytes();
    let bytes = if coding == Coding::Zstd && !accepts_zstd(request) {
        coding = Coding::Identity;
        answer.bytes().map_err(ReadError::from)?
    } else {
        stored.clone()
    };
    let tag = entity_tag(answer.content_hash(), coding);
    let described = [
        ("cache-status", cache_status(answer)),
        ("samovar-state", state(answer).to_owned()),
        ("samovar-tier", tier(answer).to_owned()),
        ("samovar-fresh-for", answer.fresh_for().as_millis().to_string()),
        ("samovar-computed-at", engine.computed_at(answer).to_string()),
        ("samovar-compute-ms", answer.compute_time().as_millis().to_string()),
        ("samovar-queries", answer.provenance().queries.to_string()),
    ];
    let standard = [
        (header::AGE, answer.age().as_secs().to_string()),
        // Browsers and proxies may keep it, but ask each time whether it is still the same.
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::VARY, "Accept-Encoding".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if is_unchanged(request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, standard, described).into_response());
    }
    let mut response = (standard, described, Body::from(bytes)).into_response();
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    if coding == Coding::Zstd {
        let zstd = header::HeaderValue::from_static("zstd");
        response.headers_mut().insert(header::CONTENT_ENCODING, zstd);
    }
    Ok(response)
}

/// RFC 9211.
fn cache_status(answer: &Answer) -> String {
    use samovar_engine::State::{Fresh, Stale};
    match (answer.tier(), answer.state()) {
        (Tier::Computed, _) if answer.is_stored() => "samovar; fwd=miss; stored".to_owned(),
        (Tier::Computed, _) => "samovar; fwd=miss".to_owned(),
        (_, Fresh) => format!("samovar; hit; ttl={}", answer.fresh_for().as_secs()),
        (_, Stale(because)) => {
            format!("samovar; hit; ttl=0; detail={}", because.name())
        }
    }
}
