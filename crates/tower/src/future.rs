//! The answer to one request, and what becomes of it when nobody waits for it any more.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use samovar_clock::Spawner;
use tracing::{Instrument, Span};

use crate::settings::{Background, Settings};

pin_project! {
    /// The future of [`Invalidate`](crate::Invalidate).
    pub struct ResponseFuture<F, R, E>
    where
        R: Send,
        R: 'static,
        E: Send,
        E: 'static,
    {
        // A request that no rule matches goes its way untouched.
        #[pin]
        passing: Option<F>,
        matched: Option<Finishing<R, E>>,
    }

    impl<F, R, E> PinnedDrop for ResponseFuture<F, R, E>
    where
        R: Send,
        R: 'static,
        E: Send,
        E: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            if let Some(matched) = this.project().matched.take() {
                matched.finish_alone();
            }
        }
    }
}

/// A request that a rule matches, until its invalidation is over.
pub(crate) struct Finishing<R, E> {
    pub(crate) work: Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>,
    /// The service has answered, and it was a success.
    pub(crate) succeeded: Arc<AtomicBool>,
    /// The service has begun to work on it.
    pub(crate) begun: bool,
    pub(crate) spawner: Spawner,
    pub(crate) settings: Arc<Settings>,
    pub(crate) background: Background,
}

impl<F, R: Send + 'static, E: Send + 'static> ResponseFuture<F, R, E> {
    pub(crate) fn passing(inner: F) -> Self {
        Self { passing: Some(inner), matched: None }
    }

    pub(crate) fn matched(finishing: Finishing<R, E>) -> Self {
        Self { passing: None, matched: Some(finishing) }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Send + 'static,
    E: Send + 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.passing.as_pin_mut() {
            return inner.poll(cx);
        }
        // Taken out meanwhile: what panics must not be polled again when this is dropped.
        let mut matched = this.matched.take().expect("polled after it was ready");
        matched.begun = true;
        let polled = matched.work.as_mut().poll(cx);
        if polled.is_pending() {
            *this.matched = Some(matched);
        }
        polled
    }
}

impl<R: Send + 'static, E: Send + 'static> Finishing<R, E> {
    /// The client has gone. What the service has done, or is about to do, is known when it has
    /// answered: so it may finish, and a success is invalidated as always.
    fn finish_alone(self) {
        let Self { mut work, succeeded, begun, spawner, settings, background } = self;
        let has_succeeded = succeeded.load(Ordering::Relaxed);
        if !begun || (settings.cancel_when_dropped && !has_succeeded) {
            return;
        }
        let permit = background.run_on();
        if permit.is_none() && !has_succeeded {
            tracing::warn!("a request is cancelled: too many run on without their clients");
            return;
        }
        let counted = background.begin();
        let finishing = async move {
            let in_time = settings.clock.timeout(settings.finish_within, work.as_mut()).await;
            // Only the service has to end in time; its invalidation has limits of its own.
            if in_time.is_err() && succeeded.load(Ordering::Relaxed) {
                drop(work.await);
            } else if in_time.is_err() {
                tracing::warn!("a request that ran on without its client is cancelled");
            }
            drop((permit, counted));
        };
        spawner.spawn(finishing.instrument(Span::current()));
    }
}

impl<F, R: Send + 'static, E: Send + 'static> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_matched = self.passing.is_none();
        f.debug_struct("ResponseFuture").field("is_matched", &is_matched).finish()
    }
}
