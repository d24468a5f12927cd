//! The layer, and the service it makes.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, response};
use samovar_clock::{Clock, Spawner};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    delivery::Delivery,
    future::{Finishing, ResponseFuture},
    rules::{BoundRule, Changes, Rules},
    settings::{Background, Settings},
    target::Target,
};

/// Says in a response to a write that some rule matched whether what it touched was invalidated
/// before the response was sent: `yes`, or `no`.
pub const INVALIDATED: HeaderName = HeaderName::from_static("samovar-invalidated");

/// Invalidates what successful writes touch. Cheap to clone; all clones share their background.
pub struct InvalidateLayer<T> {
    rules: Arc<Rules>,
    delivery: Arc<Delivery<T>>,
    background: Background,
    settings: Arc<Settings>,
}

impl<T: Target> InvalidateLayer<T> {
    pub fn new(rules: Rules, target: T) -> Self {
        let background = Background::new();
        Self {
            rules: Arc::new(rules),
            delivery: Arc::new(Delivery::new(target, background.clone())),
            background,
            settings: Arc::default(),
        }
    }
}

impl<T> InvalidateLayer<T> {
    /// How long a response waits for its invalidation; 2 s unless set. Then it goes out with
    /// `Samovar-Invalidated: no`, and the invalidation goes on in the background.
    pub fn patience(self, patience: Duration) -> Self {
        self.set(|settings| settings.patience = patience)
    }

    /// How long the background tries what could not be done at once; 60 s unless set, counted from
    /// the last write that asked for it.
    pub fn retry_for(self, retry_for: Duration) -> Self {
        self.set(|settings| settings.retry_for = retry_for)
    }

    /// What a success is; 2xx, 302 and 303 unless set.
    pub fn succeeded(
        self,
        succeeded: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.succeeded = Arc::new(succeeded))
    }

    /// How long a request that some rule matches may run on when its client has gone; 30 s unless
    /// set.
    pub fn finish_within(self, finish_within: Duration) -> Self {
        self.set(|settings| settings.finish_within = finish_within)
    }

    /// Cancels a request whose client goes away before the service has answered, as without the
    /// layer, instead of letting it finish. Nothing is invalidated then, although a handler may
    /// have committed before it was cancelled: only for handlers that commit last.
    pub fn cancel_when_dropped(self) -> Self {
        self.set(|settings| settings.cancel_when_dropped = true)
    }

    pub fn clock(self, clock: Clock) -> Self {
        self.set(|settings| settings.clock = clock)
    }

    /// Where background work runs; the Tokio runtime of the request unless set.
    pub fn spawner(self, spawner: Spawner) -> Self {
        self.set(|settings| settings.spawner = Some(spawner))
    }

    /// Requests that run on without their clients, and changes that wait for their target.
    pub fn in_background(&self) -> usize {
        self.background.count()
    }

    /// Returns when nothing is done in the background: to be awaited, with a limit, before a
    /// process ends.
    pub async fn idle(&self) {
        self.background.idle().await;
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<T> Clone for InvalidateLayer<T> {
    fn clone(&self) -> Self {
        Self {
            rules: self.rules.clone(),
            delivery: self.delivery.clone(),
            background: self.background.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<T> fmt::Debug for InvalidateLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidateLayer")
            .field("rules", &self.rules)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<S, T> Layer<S> for InvalidateLayer<T> {
    type Service = Invalidate<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Invalidate { inner, layer: self.clone() }
    }
}

/// The service that [`InvalidateLayer`] makes.
pub struct Invalidate<S, T> {
    inner: S,
    layer: InvalidateLayer<T>,
}

impl<S: Clone, T> Clone for Invalidate<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for Invalidate<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidate")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<S, T, B, R> Service<Request<B>> for Invalidate<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
    T: Target,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    /// The inner service is called here and not later, so it is the one that was ready.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = &self.layer;
        let Some(matched) = layer.rules.find(request.method(), request.uri().path()) else {
            return ResponseFuture::passing(self.inner.call(request));
        };
        let (head, body) = request.into_parts();
        let bound = layer.rules.bind(&matched, &head);
        let inner = self.inner.call(Request::from_parts(head, body));
        let succeeded = Arc::new(AtomicBool::new(false));
        let (settings, spawner) = (layer.settings.clone(), layer.settings.spawner());
        let told = succeeded.clone();
        let work = Box::pin(finish(inner, bound, layer.delivery.clone(), settings.clone(), told));
        ResponseFuture::matched(Finishing {
            work,
            succeeded,
            begun: false,
            spawner,
            settings,
            background: layer.background.clone(),
        })
    }
}

/// The answer of the service; after a success only when the invalidation is done, or when the
/// patience has ended.
async fn finish<F, R, E, T>(
    inner: F,
    bound: Vec<BoundRule>,
    delivery: Arc<Delivery<T>>,
    settings: Arc<Settings>,
    succeeded: Arc<AtomicBool>,
) -> Result<Response<R>, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    T: Target,
{
    let (mut head, body) = inner.await?.into_parts();
    if !(settings.succeeded)(&head) {
        return Ok(Response::from_parts(head, body));
    }
    succeeded.store(true, Ordering::Relaxed);
    let Changes { changes, unknown } = Changes::of(bound, &head);
    for unknown in &unknown {
        let (rule, why) = (&unknown.rule, &unknown.why);
        tracing::error!(rule, why, "nothing is invalidated: the tenant of a write is not known");
    }
    let is_done = delivery.deliver(changes, &settings).await && unknown.is_empty();
    let value = HeaderValue::from_static(if is_done { "yes" } else { "no" });
    head.headers.insert(INVALIDATED, value);
    Ok(Response::from_parts(head, body))
}
