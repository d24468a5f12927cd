//! `GET /v1/boards/{name}?tenant=&range=`: all widgets of a board in one call.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use samovar_engine::{Answer, BoardAnswer, Engine, State as Worth, Tile};
use serde::Serialize;

use crate::{
    error::ApiError,
    input::{ReadingQuery, UrlPath},
    limits,
    negotiate::entity_tag,
    shown::{state, tier},
};

pub(super) async fn get(
    State(engine): State<Engine>,
    UrlPath(name): UrlPath<String>,
    ReadingQuery { tenant, params }: ReadingQuery,
) -> Result<Response, ApiError> {
    let board = engine.read_board(&name, &tenant, params).await?;
    let body = write(&engine, board);
    let kind = HeaderValue::from_static("application/json");
    let cached = HeaderValue::from_static("private, no-store");
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cached)];
    Ok((StatusCode::OK, headers, Body::from(body)).into_response())
}

#[derive(Serialize)]
struct Head<'a> {
    board: &'a str,
    title: &'a str,
    tenant: &'a str,
    agree: bool,
}

/// What the headers of a single reading say.
#[derive(Serialize)]
struct Said<'a> {
    state: &'a str,
    stale_because: Option<&'a str>,
    tier: &'a str,
    age: u64,
    fresh_for_ms: u128,
    computed_at: String,
    compute_ms: u128,
    queries: u32,
    etag: String,
}

#[derive(Serialize)]
struct Failed {
    widget: String,
    error: ApiError,
}

/// `{"board","title","tenant","agree","widgets":[...]}`: each widget as its stored bytes, and what
/// the headers of a single reading would say.
fn write(engine: &Engine, board: BoardAnswer) -> Vec<u8> {
    let BoardAnswer { board, title, tenant, agree, tiles } = board;
    let head = Head { board: &board, title: &title, tenant: &tenant, agree };
    let mut body = encode(&head);
    body.pop();
    body.extend(b",\"widgets\":[");
    for (index, tile) in tiles.into_iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let Tile { widget, answer } = tile;
        match answer {
            Ok(answer) => match answer.bytes() {
                Ok(stored) if body.len() + stored.len() <= limits::BOARD_BYTES => {
                    // Both are objects: one goes on where the other ends.
                    body.extend(stored.strip_suffix(b"}").unwrap_or(&stored));
                    body.push(b',');
                    body.extend(&encode(&said(engine, &answer))[1..]);
                }
                Ok(_) => body.extend(encode(&Failed { widget, error: too_large() })),
                Err(error) => {
                    let error = samovar_engine::ReadError::from(error).into();
                    body.extend(encode(&Failed { widget, error }));
                }
            },
            Err(error) => body.extend(encode(&Failed { widget, error: error.into() })),
        }
    }
    body.extend(b"]}");
    body
}

fn too_large() -> ApiError {
    let message = format!("the board has more than {} bytes", limits::BOARD_BYTES);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "board_too_large", message)
        .hint("read this widget by itself, or split the board")
}

fn said<'a>(engine: &Engine, answer: &Answer) -> Said<'a> {
    let stale_because = match answer.state() {
        Worth::Fresh => None,
        Worth::Stale(because) => Some(because.name()),
    };
    Said {
        state: state(answer),
        stale_because,
        tier: tier(answer),
        age: answer.age().as_secs(),
        fresh_for_ms: answer.fresh_for().as_millis(),
        computed_at: engine.computed_at(answer).to_string(),
        compute_ms: answer.compute_time().as_millis(),
        queries: answer.provenance().queries,
        etag: entity_tag(answer.content_hash(), samovar_engine::Coding::Identity),
    }
}

fn encode(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(what).expect("texts and numbers always encode")
}
