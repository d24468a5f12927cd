//! What every request meets first: answers that were given a moment ago, then the router.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arc_swap::{ArcSwap, Guard};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{Request, Response},
    routing::future::RouteFuture,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::Service as HyperService,
};
use pin_project_lite::pin_project;
use samovar_access::Access;
use samovar_engine::Engine;
use tokio::{runtime::Handle, sync::watch};
use tower::Service as _;
use tracing::{
    Span,
    instrument::{Instrument, Instrumented},
};

use crate::{
    connection::{Pulse, Underway},
    identity::Peer,
    repeats::{Again, Repeat, Repeats, Words},
    routes, spans,
    threads::Within,
    until::Until,
    widget_answer,
};

/// Shared by all connections.
#[derive(Debug)]
pub(crate) struct Front {
    router: Router,
    engine: Engine,
    access: Access,
    repeats: Repeats,
    /// The engine's: connections have runtimes of their own, which end with the server.
    runtime: Handle,
    /// Another one has taken its place.
    replaced: watch::Sender<bool>,
}

impl Front {
    pub(crate) fn new(engine: Engine, access: Access) -> Self {
        let router = routes::router(engine.clone(), access.clone());
        let repeats = Repeats::new(engine.clock(), engine.random_seed());
        let (runtime, replaced) = (Handle::current(), watch::channel(false).0);
        Self { router, engine, access, repeats, runtime, replaced }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Serves another engine from the next request on. Streams end: whoever listened asks again.
    pub(crate) fn replace(place: &ArcSwap<Self>, engine: Engine) {
        let access = place.load().access.clone();
        let before = place.swap(Arc::new(Self::new(engine, access)));
        before.replaced.send_replace(true);
    }

    /// The answer to a question that was asked before, if it is still at hand, and what its asking
    /// again may be known by.
    fn answer_again<B: HttpBody>(
        &self,
        request: &Request<B>,
        span: &Span,
    ) -> Option<(Ready, Option<Arc<Again>>)> {
        let known = self.repeats.find(request, self.access.revocations())?;
        let response = self.answer(&known.repeat, request, || span.clone())?;
        Some((response, self.repeats.again(request, known)))
    }

    /// The same for a request of which there are but the bytes.
    pub(crate) fn answer_known(&self, head: &[u8]) -> Option<Ready> {
        let again = self.repeats.find_head(head, self.access.revocations())?;
        let request = &again.request;
        self.answer(&again.known.repeat, request, || spans::request(request))
    }

    /// Whoever sends the same bytes is answered without anybody reading them.
    pub(crate) fn learn_head(&self, head: &[u8], again: Arc<Again>) {
        self.repeats.learn_head(head, again);
    }

    fn answer<B>(
        &self,
        repeat: &Repeat,
        request: &Request<B>,
        span: impl FnOnce() -> Span,
    ) -> Option<Ready> {
        let answer = self.engine.answer_again(&repeat.asked)?;
        let described = repeat.describe(&self.engine, &answer);
        // Damaged bytes are told of by the router.
        let headers = request.headers();
        let (head, bytes) = widget_answer::head_and_bytes(&answer, &described, headers).ok()?;
        let span = span();
        if !span.is_disabled() {
            spans::routed(&span, request.method(), routes::READING);
            span.in_scope(|| self.engine.trace_again(&repeat.asked, &answer));
            spans::answered(&span, &head);
        }
        Some(head.map(|()| bytes))
    }
}

/// A whole answer; some have no body.
pub(crate) type Ready = Response<Option<Bytes>>;

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) front: Arc<ArcSwap<Front>>,
    pub(crate) peer: Peer,
    pub(crate) pulse: Arc<Pulse>,
    /// The server is to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

impl HyperService<Request<Incoming>> for Requests {
    type Response = Response<Answered>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let (underway, front) = (Some(self.pulse.begin()), self.front.load());
        let span = spans::request(&request);
        // The owner needs no credentials: what he was answered says nothing about who else may ask.
        let is_repeated = self.peer != Peer::Owner;
        if is_repeated && let Some((response, again)) = front.answer_again(&request, &span) {
            if let Some(again) = again {
                self.pulse.repeat(Guard::into_inner(front), again);
            }
            let content = |bytes| Answered { content: Content::Ready { bytes }, underway };
            return Answering::Ready { response: Some(response.map(content)) };
        }
        // Before anybody is asked who he is.
        let front = Guard::into_inner(front);
        let revocations = front.access.revocations();
        let words = front.repeats.words(&request, revocations).filter(|_| is_repeated);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let (stop, replaced) = (self.stop.clone(), front.replaced.subscribe());
        request.extensions_mut().insert(Until { stop, replaced });
        let future = span.in_scope(|| front.router.clone().call(request)).instrument(span);
        let future = Within::new(front.runtime.clone(), future);
        Answering::Routed { future, words, front, underway }
    }
}

pin_project! {
    #[project = AnsweringProjected]
    pub(crate) enum Answering {
        Ready { response: Option<Response<Answered>> },
        Routed {
            #[pin]
            future: Within<Instrumented<RouteFuture<Infallible>>>,
            words: Option<Words>,
            front: Arc<Front>,
            underway: Option<Underway>,
        },
    }
}

impl Future for Answering {
    type Output = Result<Response<Answered>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnsweringProjected::Ready { response } => {
                Poll::Ready(Ok(response.take().expect("not polled again")))
            }
            AnsweringProjected::Routed { mut future, words, front, underway } => {
                let mut response = ready!(future.as_mut().poll(cx))?;
                spans::answered(future.inner().span(), &response);
                if let Some(repeat) = response.extensions_mut().remove::<Arc<Repeat>>()
                    && let Some(words) = words.take()
                {
                    front.repeats.learn(words, repeat);
                }
                let underway = underway.take();
                let content = |body| Answered { content: Content::Routed { body }, underway };
                Poll::Ready(Ok(response.map(content)))
            }
        }
    }
}

pin_project! {
    /// A body, until whose end the request is under way.
    pub(crate) struct Answered {
        #[pin]
        content: Content,
        underway: Option<Underway>,
    }
}

pin_project! {
    #[project = ContentProjected]
    enum Content {
        Ready { bytes: Option<Bytes> },
        Routed { #[pin] body: Body },
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.project().content.project() {
            ContentProjected::Ready { bytes } => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            ContentProjected::Routed { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Ready { bytes } => bytes.is_none(),
            Content::Routed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Ready { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Routed { body } => body.size_hint(),
        }
    }
}
