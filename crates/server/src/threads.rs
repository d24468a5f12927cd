//! The threads of connections, each with a runtime of its own.
//!
//! A runtime of many threads moves tasks between them: with a thousand busy connections most wait in the
//! queue that all threads share, some of them for ten times as long as others, and each pays for the
//! locks. Here a connection stays with one thread, and those of a thread take turns. What answers a request
//! runs there as well; what it starts, and leaves behind, does so in the runtime of the engine.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread::{self, available_parallelism},
};

use pin_project_lite::pin_project;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// They end when this is dropped, and what runs in them is given up.
#[derive(Debug)]
pub(crate) struct Threads(Vec<Thread>);

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// Known to each of its connections.
    connections: Arc<()>,
    _until_dropped: oneshot::Sender<()>,
}

impl Threads {
    /// One for each processor that this process may use.
    ///
    /// # Errors
    /// When the system has no room for them.
    pub(crate) fn start() -> io::Result<Self> {
        let count = available_parallelism().map_or(1, Into::into);
        (0..count).map(Thread::start).collect::<io::Result<_>>().map(Self)
    }

    /// Runs a connection in the thread that has the fewest.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let open = |it: &&Thread| Arc::strong_count(&it.connections);
        let thread = self.0.iter().min_by_key(open).expect("there is one at least");
        let counted = thread.connections.clone();
        thread.runtime.spawn(async move {
            connection.await;
            drop(counted);
        });
    }
}

impl Thread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (until_dropped, dropped) = oneshot::channel::<()>();
        thread::Builder::new().name(format!("samovar-http-{number}")).spawn(move || {
            runtime.block_on(async { drop(dropped.await) });
        })?;
        Ok(Self { runtime: handle, connections: Arc::new(()), _until_dropped: until_dropped })
    }
}

pin_project! {
    /// Runs where it is polled, but spawns, connects and waits as if it ran in another runtime, also
    /// when it is given up.
    #[derive(Debug)]
    pub(crate) struct Within<F> {
        runtime: Handle,
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for Within<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _there = this.runtime.enter();
            this.inner.set(None);
        }
    }
}

impl<F> Within<F> {
    pub(crate) fn new(runtime: Handle, inner: F) -> Self {
        Self { runtime, inner: Some(inner) }
    }

    pub(crate) fn inner(&self) -> &F {
        self.inner.as_ref().expect("it is there until this is dropped")
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _there = this.runtime.enter();
        this.inner.as_pin_mut().expect("it is there until this is dropped").poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        future::{pending, poll_fn},
    };

    use tokio::{runtime, sync::mpsc};

    use super::*;

    #[tokio::test]
    async fn a_connection_goes_to_the_thread_that_has_the_fewest() {
        let threads = Threads((0..3).map(|it| Thread::start(it).expect("starts")).collect());
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let tell = tell.clone();
            threads.spawn(async move {
                tell.send(thread::current().id()).expect("heard");
                pending::<()>().await;
            });
            seen.insert(told.recv().await.expect("it runs"));
        }
        assert_eq!(seen.len(), 3);
    }

    #[tokio::test]
    async fn what_an_answer_starts_belongs_to_the_runtime_of_the_engine() {
        let threads = Threads::start().expect("there is room");
        let engine = Handle::current();
        let (tell, told) = oneshot::channel();
        let answer = async move {
            let started = tokio::spawn(async { Handle::current().id() });
            tell.send((thread::current().id(), started.await.expect("it runs"))).expect("heard");
        };
        threads.spawn(Within::new(engine.clone(), answer));
        let (its, started) = told.await.expect("it runs");
        assert_ne!(its, thread::current().id());
        assert_eq!(started, engine.id());
        let (tell, told) = oneshot::channel();
        let given_up = OnDrop(Some(tell));
        let answer = Within::new(engine.clone(), async move {
            let _held = given_up;
            pending::<()>().await;
        });
        threads.spawn(async move {
            let mut answer = Box::pin(answer);
            assert!(poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_pending())).await);
        });
        assert_eq!(told.await.expect("it is given up"), engine.id());
    }

    /// Says where it is dropped.
    struct OnDrop(Option<oneshot::Sender<runtime::Id>>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            let tell = self.0.take().expect("dropped once");
            tell.send(Handle::current().id()).expect("heard");
        }
    }

    #[tokio::test]
    async fn what_runs_is_given_up_with_the_threads() {
        let threads = Threads::start().expect("there is room");
        let (held, dropped) = oneshot::channel::<()>();
        threads.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        drop(threads);
        assert!(dropped.await.is_err());
    }
}
