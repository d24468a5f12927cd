//! Questions that were answered a moment ago, so that whoever asks the same again, in the same words
//! and with the same credentials, is answered without any of it being parsed, checked and bound again.
//!
//! A question gets in here only by way of the router, so that whatever guards the routes has let it
//! pass, and it has to come that way again within [`limits::REPEATED_FOR`].
//!
//! Whoever has asked the same in the same bytes is known by them: then HTTP is not even read.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{
    body::HttpBody,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Version,
        header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, COOKIE, IF_NONE_MATCH},
    },
};
use quick_cache::{Weighter, sync::Cache};
use samovar_engine::{Answer, Asked, Clock, Engine, Instant};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{limits, widget_answer::Described};

/// A question that the router has answered.
#[derive(Debug)]
pub(crate) struct Repeat {
    pub(crate) asked: Asked,
    described: Mutex<Option<Arc<Described>>>,
}

impl Repeat {
    pub(crate) fn new(asked: Asked) -> Self {
        Self { asked, described: Mutex::default() }
    }

    /// Made once for each value.
    pub(crate) fn describe(&self, engine: &Engine, answer: &Answer) -> Arc<Described> {
        let mut kept = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(described) if described.is_of(answer) => described.clone(),
            _ => kept.insert(Arc::new(Described::of(engine, answer))).clone(),
        }
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// By what was asked and by whom.
pub(crate) struct Repeats {
    known: Cache<u64, Arc<Known>, ByBytes>,
    heads: Cache<u64, Arc<Head>, ByBytes>,
    /// Hashes of what was found by its words, each at its place.
    seen: Box<[AtomicU64]>,
    /// Whoever does not know it cannot make others' questions fall together with his own.
    seed: u64,
    clock: Clock,
}

/// A question in its words, for as long as it is known by them.
pub(crate) struct Known {
    words: Words,
    pub(crate) repeat: Arc<Repeat>,
    until: Instant,
}

/// A request that was answered again and leaves its connection as it was: whoever sends its bytes once
/// more asks the same.
pub(crate) struct Again {
    /// As far as it decides what the answer looks like.
    pub(crate) request: Request<()>,
    pub(crate) known: Arc<Known>,
}

/// The bytes of a request, all of them and nothing else.
struct Head {
    bytes: Box<[u8]>,
    again: Arc<Again>,
}

/// All of a request that decides what its answer is, but for the codings and tags it takes.
#[derive(PartialEq, Eq)]
pub(crate) struct Words {
    hash: u64,
    question: Box<str>,
    authorization: Option<Box<[u8]>>,
    cookie: Option<Box<[u8]>>,
    /// What had been revoked before it was answered.
    revocations: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Arc<Known>> for ByBytes {
    fn weight(&self, _: &u64, known: &Arc<Known>) -> u64 {
        known.bytes() as u64
    }
}

impl Weighter<u64, Arc<Head>> for ByBytes {
    fn weight(&self, _: &u64, head: &Arc<Head>) -> u64 {
        // What it asks may be known by these bytes alone by now.
        (head.bytes.len() * 2 + head.again.known.bytes()) as u64
    }
}

impl Known {
    fn bytes(&self) -> usize {
        /// What is bound and kept, about.
        const REST: usize = 2048;
        let of = |part: &Option<Box<[u8]>>| part.as_ref().map_or(0, |it| it.len());
        let Words { question, authorization, cookie, .. } = &self.words;
        question.len() * 2 + of(authorization) + of(cookie) + REST
    }

    fn is_good(&self, revocations: u64, now: Instant) -> bool {
        self.words.revocations == revocations && now < self.until
    }
}

impl Again {
    /// `None` for a request that has more to it than its head, or after which the connection may end.
    fn of<B: HttpBody>(request: &Request<B>, known: Arc<Known>) -> Option<Arc<Self>> {
        let goes_on = |it: &HeaderValue| it.as_bytes().eq_ignore_ascii_case(b"keep-alive");
        let is_plain = request.version() == Version::HTTP_11
            && request.body().is_end_stream()
            && request.headers().get_all(CONNECTION).iter().all(goes_on);
        if !is_plain {
            return None;
        }
        // Copies: what was read last would be kept with all that was read beside it.
        let mut copy = Request::new(());
        for name in [ACCEPT_ENCODING, IF_NONE_MATCH, TRACEPARENT] {
            for value in request.headers().get_all(&name) {
                let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
                copy.headers_mut().append(name.clone(), value);
            }
        }
        Some(Arc::new(Self { request: copy, known }))
    }
}

impl Repeats {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        let bytes = limits::REPEATED_BYTES;
        let known = Cache::with_weighter((bytes / 2048) as usize, bytes, ByBytes);
        let heads = Cache::with_weighter((bytes / 2048) as usize, bytes, ByBytes);
        let seen = (0..limits::REQUESTS_SEEN).map(|_| AtomicU64::new(0)).collect();
        Self { known, heads, seen, seed, clock }
    }

    /// What the same request was about, if it was answered a moment ago and nobody's credentials have
    /// been revoked since.
    pub(crate) fn find<B>(&self, request: &Request<B>, revocations: u64) -> Option<Arc<Known>> {
        let (question, authorization, cookie) = parts(request)?;
        let hash = self.hash(question, authorization, cookie);
        let known = self.known.get(&hash)?;
        let same = *known.words.question == *question
            && known.words.authorization.as_deref() == authorization
            && known.words.cookie.as_deref() == cookie
            && known.is_good(revocations, self.clock.now());
        same.then_some(known)
    }

    /// A request that was found by its words, if its lines have come before. Where each has a line of
    /// its own, as the number of a trace, nothing is won by knowing them.
    pub(crate) fn again<B: HttpBody>(
        &self,
        request: &Request<B>,
        known: Arc<Known>,
    ) -> Option<Arc<Again>> {
        let lines = request.headers().values().map(HeaderValue::as_bytes);
        let hash = lines.fold(known.words.hash, |seed, line| xxh3_64_with_seed(line, seed));
        let place = &self.seen[hash as usize % self.seen.len()];
        if place.load(Relaxed) != hash {
            place.store(hash, Relaxed);
            return None;
        }
        Again::of(request, known)
    }

    /// [`Repeats::find`] for bytes that have just arrived and that nobody has looked at.
    pub(crate) fn find_head(&self, bytes: &[u8], revocations: u64) -> Option<Arc<Again>> {
        let head = self.heads.get(&xxh3_64_with_seed(bytes, self.seed))?;
        let same = *head.bytes == *bytes && head.again.known.is_good(revocations, self.clock.now());
        same.then(|| head.again.clone())
    }

    pub(crate) fn learn_head(&self, bytes: &[u8], again: Arc<Again>) {
        if bytes.len() <= limits::KNOWN_HEAD_BYTES {
            let hash = xxh3_64_with_seed(bytes, self.seed);
            self.heads.insert(hash, Arc::new(Head { bytes: bytes.into(), again }));
        }
    }

    /// What a request is known by. `None` for one that is never known.
    pub(crate) fn words<B>(&self, request: &Request<B>, revocations: u64) -> Option<Words> {
        let (question, authorization, cookie) = parts(request)?;
        Some(Words {
            hash: self.hash(question, authorization, cookie),
            question: question.into(),
            authorization: authorization.map(Into::into),
            cookie: cookie.map(Into::into),
            revocations,
        })
    }

    pub(crate) fn learn(&self, words: Words, repeat: Arc<Repeat>) {
        let until = self.clock.now() + limits::REPEATED_FOR;
        self.known.insert(words.hash, Arc::new(Known { words, repeat, until }));
    }

    fn hash(&self, question: &str, authorization: Option<&[u8]>, cookie: Option<&[u8]>) -> u64 {
        let part = |seed, part: Option<&[u8]>| part.map_or(seed, |it| xxh3_64_with_seed(it, seed));
        part(part(part(self.seed, Some(question.as_bytes())), authorization), cookie)
    }
}

/// Without what it was asked with.
impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Repeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repeats").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

const WIDGETS: &str = "/v1/widgets/";

type Parts<'r> = (&'r str, Option<&'r [u8]>, Option<&'r [u8]>);

fn parts<B>(request: &Request<B>) -> Option<Parts<'_>> {
    let question = request.uri().path_and_query()?.as_str();
    if request.method() != Method::GET || !question.starts_with(WIDGETS) {
        return None;
    }
    let headers = request.headers();
    Some((question, only(headers, &AUTHORIZATION)?, only(headers, &COOKIE)?))
}

/// Of a header that is there twice nobody knows which one counts.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<Option<&'r [u8]>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    values.next().is_none().then_some(first)
}
