//! `GET /v1/stream?reading=WIDGET?tenant=ID%26PARAM=VALUE&reading=...`: an event (SSE) whenever the
//! content of a reading has become another.
//!
//! An event names the reading and its new `ETag`; whoever wants the bytes fetches them. The id of an
//! event says what was known of all readings when it was sent, so that who comes back with it is told
//! what has changed meanwhile, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use samovar_access::Access;
use samovar_engine::{
    Clock, Coding, Engine, MOST_WATCHED_READINGS, Seen, Wanted, WatchFailure, Watcher,
};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    error::ApiError,
    identity::Identity,
    input::{UrlQuery, take_tenant},
    limits,
    negotiate::entity_tag,
    until::{Pieces, Until},
};

static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Streams of this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

pub(super) async fn get(
    State(engine): State<Engine>,
    State(access): State<Access>,
    identity: Identity,
    UrlQuery(params): UrlQuery<Vec<(String, String)>>,
    until: Option<Extension<Until>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let named = named(params)?;
    let place = Place::take().ok_or_else(too_many_streams)?;
    let mut readings = Vec::with_capacity(named.len());
    for reading in &named {
        let reading = parse(reading)?;
        // Before anything is said about what there is.
        identity.must_see(&reading.tenant)?;
        readings.push(reading);
    }
    let watcher = engine.watch(readings).await;
    let watcher = watcher.map_err(|(place, failure)| refused(failure).of_reading(place))?;
    let known = headers.get(&LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let told = Told::resumed(named, known.unwrap_or_default());
    let (out, pieces) = mpsc::channel(1);
    let clock = engine.clock();
    tokio::spawn(async move {
        tokio::select! {
            () = tell(told, watcher, &clock, &out) => {}
            () = out.closed() => {}
            () = stopped(until) => {}
            () = identity.revoked(&access, &clock) => {}
        }
        drop(place);
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies would wait for more of it.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::new(Pieces(pieces))).into_response())
}

/// Never where there is no server that could stop.
async fn stopped(until: Option<Extension<Until>>) {
    match until {
        Some(Extension(until)) => until.ended().await,
        None => std::future::pending().await,
    }
}

/// One of the streams that there may be.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |open| (open < limits::STREAMS).then_some(open + 1);
        OPEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Streams that are open now.
pub(crate) fn open_streams() -> usize {
    OPEN.load(Ordering::Acquire)
}

fn named(params: Vec<(String, String)>) -> Result<Vec<String>, ApiError> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let mut named = Vec::new();
    for (name, value) in params {
        if name != "reading" {
            let message = "a stream takes readings, and nothing else";
            return Err(ApiError::new(BAD, "unknown_param", message).field(&name).hint(HINT));
        }
        named.push(value);
    }
    match named.len() {
        0 => {
            let message = "no reading is named";
            Err(ApiError::new(BAD, "missing_param", message).field("reading").hint(HINT))
        }
        1..=limits::STREAM_READINGS => Ok(named),
        count => {
            let most = limits::STREAM_READINGS;
            let message = format!("{count} readings are named, a stream takes {most}");
            Err(ApiError::new(BAD, "too_many_readings", message).field("reading"))
        }
    }
}

const HINT: &str = "?reading=WIDGET%3Ftenant%3DID%26range%3D7d, once for each reading";

/// `WIDGET?tenant=ID&PARAM=VALUE`: names and values are escaped as in any query.
fn parse(reading: &str) -> Result<Wanted, ApiError> {
    let (widget, query) = reading.split_once('?').unwrap_or((reading, ""));
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    let params = uri.ok().and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
    let Query(mut params) = params.ok_or_else(|| {
        let message = "what follows the widget is no query";
        let error = ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message);
        error.field("reading").hint(HINT)
    })?;
    let tenant = take_tenant(&mut params)?;
    Ok(Wanted { widget: widget.to_owned(), tenant, given: params })
}

fn refused(failure: WatchFailure) -> ApiError {
    match failure {
        WatchFailure::Reading(failure) => failure.into(),
        WatchFailure::TooMany => {
            let message = format!("{MOST_WATCHED_READINGS} readings are watched already");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_readings", message)
                .again_after(None)
        }
    }
}

fn too_many_streams() -> ApiError {
    let message = format!("{} streams are open already", limits::STREAMS);
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", message).again_after(None)
}

/// Until nobody listens any more. While a client takes nothing nothing is written, and of each reading
/// only the latest is kept for it.
async fn tell(mut told: Told, mut watcher: Watcher, clock: &Clock, out: &mpsc::Sender<Bytes>) {
    // So that a client knows at once that it is connected.
    let mut piece = Bytes::from_static(b": samovar\n\n");
    loop {
        if out.send(piece).await.is_err() {
            return;
        }
        piece = loop {
            match clock.timeout(limits::HEARTBEAT, watcher.next()).await {
                Err(_) => break Bytes::from_static(b":\n\n"),
                Ok((place, seen)) => {
                    if let Some(event) = told.event(place, seen) {
                        break event;
                    }
                }
            }
        };
    }
}

/// What a client knows of each reading.
struct Told {
    readings: Vec<String>,
    known: Vec<String>,
}

#[derive(Serialize)]
struct Event<'a> {
    reading: &'a str,
    etag: String,
    state: &'static str,
}

/// Of the hash of its content, in hexadecimal digits, and whether it is fresh.
const KNOWN_DIGITS: usize = 13;

impl Told {
    /// `id` is that of the last event that the client has seen. One of other readings says nothing.
    fn resumed(readings: Vec<String>, id: &str) -> Self {
        let is_ours = id.is_ascii() && id.len() == readings.len() * KNOWN_DIGITS;
        let nothing = "-".repeat(KNOWN_DIGITS);
        let known = |index: usize| match is_ours {
            true => id[index * KNOWN_DIGITS..][..KNOWN_DIGITS].to_owned(),
            false => nothing.clone(),
        };
        let known = (0..readings.len()).map(known).collect();
        Self { readings, known }
    }

    /// `None` where the client knows that already.
    fn event(&mut self, place: usize, seen: Seen) -> Option<Bytes> {
        let Seen { content_hash, is_fresh } = seen;
        let digits = KNOWN_DIGITS - 1;
        let state = if is_fresh { 'f' } else { 's' };
        let known = format!("{:0digits$x}{state}", content_hash >> (64 - 4 * digits));
        if self.known[place] == known {
            return None;
        }
        self.known[place] = known;
        let event = Event {
            reading: &self.readings[place],
            etag: entity_tag(content_hash, Coding::Identity),
            state: if is_fresh { "fresh" } else { "stale" },
        };
        let data = serde_json::to_string(&event).expect("texts always encode");
        let id = self.known.concat();
        Some(format!("id: {id}\nevent: reading\ndata: {data}\n\n").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Vec<String> {
        vec!["a?tenant=t".to_owned(), "b?tenant=t".to_owned()]
    }

    fn id_of(event: &Bytes) -> String {
        let text = std::str::from_utf8(event).expect("text");
        text.strip_prefix("id: ").and_then(|it| it.split('\n').next()).expect("an id").to_owned()
    }

    #[test]
    fn equal_content_is_told_once_and_who_comes_back_is_told_the_rest() {
        let fresh = |content_hash| Seen { content_hash, is_fresh: true };
        let mut told = Told::resumed(readings(), "");
        let first = told.event(0, fresh(0xaaaa_0000_0000_0001)).expect("new");
        assert_eq!(told.event(0, fresh(0xaaaa_0000_0000_0001)), None);
        let mut back = Told::resumed(readings(), &id_of(&first));
        assert_eq!(back.event(0, fresh(0xaaaa_0000_0000_0001)), None);
        assert!(back.event(1, fresh(0xbbbb_0000_0000_0001)).is_some());
        let stale = Seen { is_fresh: false, ..fresh(0xaaaa_0000_0000_0001) };
        assert!(back.event(0, stale).is_some());
    }

    #[test]
    fn an_id_that_is_not_ours_says_nothing() {
        let seen = Seen { content_hash: 1, is_fresh: true };
        for id in ["", "7", "ü", &"f".repeat(25), &"f".repeat(27)] {
            assert!(Told::resumed(readings(), id).event(1, seen).is_some(), "{id}");
        }
    }

    #[test]
    fn a_reading_is_a_widget_and_a_query() {
        let wanted = parse("sales?tenant=north%26co&channel=a+b&range=7d").expect("a reading");
        assert_eq!((wanted.widget.as_str(), wanted.tenant.as_str()), ("sales", "north&co"));
        let pairs = [("channel", "a b"), ("range", "7d")];
        assert_eq!(wanted.given, pairs.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(parse("sales").is_err());
        assert!(parse("sales?tenant=a b").is_err());
    }
}
