//! In front of every route: who asks has to be known, and to have the role that the route asks for.
//!
//! A read by somebody who is known goes through without a wait and without a task of its own. What
//! has to be asked at the store, and what is written down, takes the longer way.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    extract::Request,
    http::Method,
    response::{IntoResponse, Response},
};
use pin_project_lite::pin_project;
use samovar_access::Access;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use crate::{
    denied,
    error::ApiError,
    identity::{self, Asker, Identity, Peer},
    routes::{Audited, Least},
    spans,
    trail::{self, Code, Trail},
};

/// What a route asks of whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) access: Access,
    pub(crate) path: &'static str,
    pub(crate) least: Least,
    pub(crate) audited: Audited,
}

#[derive(Debug, Clone)]
pub(crate) struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

impl Gate {
    fn admits(&self, identity: &Identity) -> Result<(), ApiError> {
        match self.least {
            Least::Anyone => Ok(()),
            Least::Role(least) if identity.may(least) => Ok(()),
            Least::Role(least) => Err(denied::role(least, identity.principal.role)),
        }
    }

    fn is_audited(&self, method: &Method) -> bool {
        self.audited != Audited::Never && !method.is_safe()
    }

    /// Nobody is asked who he is where anybody may come in.
    fn asker(&self, request: &Request, peer: Option<Peer>) -> Option<Asker> {
        let is_asked = self.least != Least::Anyone;
        let (method, headers) = (request.method(), request.headers());
        is_asked.then(|| identity::asker(&self.access, method, headers, peer))
    }
}

impl<S> Service<Request> for Gated<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        spans::routed(&Span::current(), request.method(), self.gate.path);
        let peer = request.extensions().get::<Peer>().copied();
        let asker = self.gate.asker(&request, peer);
        let is_audited = self.gate.is_audited(request.method());
        match asker {
            None if !is_audited => {
                return Answering::Inner { inner: self.inner.call(request) };
            }
            Some(Asker::Known(identity)) if !is_audited => {
                return match self.gate.admits(&identity) {
                    Ok(()) => {
                        request.extensions_mut().insert(identity);
                        Answering::Inner { inner: self.inner.call(request) }
                    }
                    Err(error) => Answering::Now { response: Some(error.into_response()) },
                };
            }
            _ => {}
        }
        let (gate, inner) = (self.gate.clone(), self.inner.clone());
        // The one that was found to be ready is the one to call.
        let inner = std::mem::replace(&mut self.inner, inner);
        let answer = gate.long_way(inner, request, peer, asker);
        if !is_audited {
            return Answering::Behind { behind: Box::pin(answer) };
        }
        // A change that was begun is brought to its end and written down, whoever waits for it.
        let answer = tokio::spawn(answer.in_current_span());
        let lost = |_| denied::lost().into_response();
        Answering::Behind { behind: Box::pin(async move { answer.await.unwrap_or_else(lost) }) }
    }
}

impl Gate {
    async fn long_way<S>(
        self,
        mut inner: S,
        mut request: Request,
        peer: Option<Peer>,
        asker: Option<Asker>,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let identity = match asker {
            None => None,
            Some(Asker::Known(identity)) => Some(Ok(identity)),
            Some(Asker::Unknown { secret, from }) => {
                Some(identity::ask(&self.access, secret, from, &method, &headers).await)
            }
            Some(Asker::Nobody(error)) => Some(Err(error)),
        };
        let is_audited = self.is_audited(&method);
        let mut asked = trail::Request {
            identity: None,
            peer: peer.map(|it| it.behind(&self.access.settings().proxies, &headers)),
            method,
            path: self.path.to_owned(),
            trail: Trail::default(),
            repeats: self.audited != Audited::Each,
            is_signed: self.audited == Audited::Signed,
        };
        let admitted = match identity {
            None => Ok(()),
            // Nothing was changed, and whoever is not known could fill the log.
            Some(Err(error)) => return error.into_response(),
            Some(Ok(identity)) => {
                let admitted = self.admits(&identity);
                request.extensions_mut().insert(identity.clone());
                asked.identity = Some(identity);
                admitted
            }
        };
        let response = match admitted {
            Err(error) => error.into_response(),
            Ok(()) => {
                asked.path = request.uri().path().to_owned();
                request.extensions_mut().insert(asked.trail.clone());
                match inner.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        if is_audited {
            let became = (response.status(), response.extensions().get::<Code>().copied());
            trail::leave(&self.access, asked, became).await;
        }
        response
    }
}

pin_project! {
    /// The answer of a route, or of its gate.
    #[project = Projected]
    pub(crate) enum Answering<F> {
        Now { response: Option<Response> },
        Inner { #[pin] inner: F },
        Behind { behind: Pin<Box<dyn Future<Output = Response> + Send>> },
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answering<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Now { response } => {
                Poll::Ready(Ok(response.take().expect("polled after it was ready")))
            }
            Projected::Inner { inner } => inner.poll(cx),
            Projected::Behind { behind } => Poll::Ready(Ok(ready!(behind.as_mut().poll(cx)))),
        }
    }
}
