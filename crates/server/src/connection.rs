//! One connection: its requests, its times, and its end.
//!
//! A connection that rests holds nothing but its socket: what HTTP needs is made when bytes arrive that
//! are not known, and dropped when there is nothing left to read or to write.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::body::Bytes;
use hyper::{
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
};
use hyper_util::rt::TokioIo;
use samovar_engine::Clock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::watch,
};

use crate::{
    front::{Front, Requests},
    identity::Peer,
    limits,
    repeats::Again,
    resting::rest,
};

/// From a client of either listener.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream that belongs to no runtime, on its way to another one.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// For the runtime that this is called in.
    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        match self {
            Socket::Tcp(socket) => TcpStream::from_std(socket).map(Stream::Tcp),
            Socket::Unix(socket) => UnixStream::from_std(socket).map(Stream::Unix),
        }
    }
}

/// Answers the requests of a connection until either side ends it. When `stop` becomes true, a request
/// of which a byte was read is answered still, and a connection that rests is closed.
pub(crate) async fn converse(
    mut stream: Stream,
    peer: Peer,
    front: Arc<ArcSwap<Front>>,
    clock: Clock,
    stop: watch::Receiver<bool>,
) {
    let mut stopped = stop.clone();
    let _counted = Counted::begin();
    let mut left_over = Bytes::new();
    loop {
        if left_over.is_empty() {
            let Some(arrived) = rest(&mut stream, peer, &front, &clock, &mut stopped).await else {
                return;
            };
            left_over = arrived;
        }
        let head = left_over.clone();
        let (its_front, stop) = (front.clone(), stop.clone());
        let requests = |pulse| Requests { front: its_front, peer, pulse, stop };
        // On its own, so that a connection that rests does not hold the room for it.
        match Box::pin(talk(&mut stream, left_over, requests, &clock, &mut stopped)).await {
            Ending::Rest { bytes, repeated } => {
                left_over = bytes;
                if let Some((front, again)) = repeated {
                    front.learn_head(&head, again);
                }
            }
            Ending::Closed => return,
            Ending::Overdue(what) => {
                tracing::debug!(what, "a connection took too long");
                return;
            }
        }
    }
}

/// Connections of this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn open_connections() -> usize {
    OPEN.load(Relaxed)
}

/// One of the open connections, until it is dropped.
struct Counted;

impl Counted {
    fn begin() -> Self {
        OPEN.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

enum Ending {
    Rest {
        /// Of another request, that were read already.
        bytes: Bytes,
        /// What the bytes were with which it began, if that was all that came.
        repeated: Option<Repeated>,
    },
    Closed,
    Overdue(&'static str),
}

async fn talk(
    stream: &mut Stream,
    left_over: Bytes,
    requests: impl FnOnce(Arc<Pulse>) -> Requests,
    clock: &Clock,
    stop: &mut watch::Receiver<bool>,
) -> Ending {
    let pulse = Arc::new(Pulse::default());
    let requests = requests(pulse.clone());
    let io = Watched { io: TokioIo::new(stream), pulse: pulse.clone(), left_over, pieces: 0 };
    let mut http = http1::Builder::new();
    // Who has sent all that he wants to send is answered all the same.
    http.max_header_size(limits::HEADER_BYTES).header_read_timeout(None).half_close(true);
    let mut connection = Box::new(http.serve_connection(io, requests));
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let (mut stopping, mut last_request) = (false, false);
    let mut quiet = Quiet::default();
    let mut tick = clock.sleep(limits::CONNECTION_TICK);
    let ending = poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = Pin::new(&mut *connection).poll(cx) {
                if let Err(error) = done {
                    tracing::debug!(%error, "a connection ended early");
                }
                return Poll::Ready(Ok(false));
            }
            stopping = stopping || stopped.as_mut().poll(cx).is_ready();
            let state = pulse.state();
            match state {
                State::Resting if stopping || pulse.repeated().is_some() => {
                    return Poll::Ready(Ok(true));
                }
                // It is answered when it is whole.
                State::Asking if stopping => {}
                State::Answering if stopping && !last_request => {
                    last_request = true;
                    Pin::new(&mut *connection).graceful_shutdown();
                    continue;
                }
                _ => {}
            }
            if Pin::new(&mut tick).poll(cx).is_pending() {
                return Poll::Pending;
            }
            tick = clock.sleep(limits::CONNECTION_TICK);
            let since = quiet.tick(state, pulse.turns());
            match state {
                State::Resting if since > Duration::ZERO => return Poll::Ready(Ok(true)),
                State::Asking if since >= limits::HEADER_TIME => {
                    return Poll::Ready(Err("to send its headers"));
                }
                State::Answering if pulse.is_blocked() && since >= limits::WRITE_TIME => {
                    return Poll::Ready(Err("to take its answer"));
                }
                _ => {}
            }
        }
    })
    .await;
    match ending {
        Ok(true) => {
            let parts = connection.into_parts();
            // hyper may rest before it has read all that there is.
            let bytes = joined(parts.read_buf, parts.io.left_over);
            let requests = pulse.requests.load(Relaxed);
            let is_alone = bytes.is_empty() && parts.io.pieces == 1 && requests == 1;
            let repeated = pulse.repeated().take().filter(|_| is_alone);
            Ending::Rest { bytes, repeated }
        }
        Ok(false) => Ending::Closed,
        Err(what) => Ending::Overdue(what),
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first,
        (true, false) => second,
        (false, false) => [first, second].concat().into(),
    }
}

/// For how long nothing has changed, told by ticks, so that no request has to look at a clock.
#[derive(Default)]
struct Quiet {
    seen: Option<(State, u32)>,
    ticks: u32,
}

impl Quiet {
    fn tick(&mut self, state: State, turns: u32) -> Duration {
        let same = self.seen == Some((state, turns));
        self.ticks = if same { self.ticks + 1 } else { 0 };
        self.seen = Some((state, turns));
        limits::CONNECTION_TICK * self.ticks
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing was read that is not answered.
    Resting,
    /// A request has begun to arrive.
    Asking,
    /// A request is being answered, or its answer waits to be taken.
    Answering,
}

/// Where a connection is. Written and read by its own task only.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Requests whose answers have not been handed over in full.
    underway: AtomicU32,
    /// Bytes were read since a request was begun or answered.
    has_read: AtomicBool,
    /// The client takes nothing.
    blocked: AtomicBool,
    /// Requests begun and answered, and pieces of answers taken after a wait.
    turns: AtomicU32,
    /// Requests begun.
    requests: AtomicU32,
    /// A request that was answered again, as the next one may be without being read.
    repeated: Mutex<Option<Repeated>>,
}

/// Who has answered again, and what.
type Repeated = (Arc<Front>, Arc<Again>);

/// A request is answered until this is dropped.
#[derive(Debug)]
pub(crate) struct Underway(Arc<Pulse>);

impl Pulse {
    pub(crate) fn begin(self: &Arc<Self>) -> Underway {
        self.underway.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.turn();
        Underway(self.clone())
    }

    pub(crate) fn repeat(&self, front: Arc<Front>, again: Arc<Again>) {
        *self.repeated() = Some((front, again));
    }

    fn repeated(&self) -> MutexGuard<'_, Option<Repeated>> {
        self.repeated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) {
        self.has_read.store(false, Relaxed);
        self.turns.fetch_add(1, Relaxed);
    }

    fn turns(&self) -> u32 {
        self.turns.load(Relaxed)
    }

    fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    fn state(&self) -> State {
        if self.underway.load(Relaxed) > 0 || self.is_blocked() {
            State::Answering
        } else if self.has_read.load(Relaxed) {
            State::Asking
        } else {
            State::Resting
        }
    }

    fn note_write<T>(&self, written: Poll<T>) -> Poll<T> {
        let blocked = written.is_pending();
        if self.is_blocked() != blocked {
            self.blocked.store(blocked, Relaxed);
            self.turns.fetch_add(1, Relaxed);
        }
        written
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.underway.fetch_sub(1, Relaxed);
        self.0.turn();
    }
}

/// A stream whose reads and writes are seen.
struct Watched<'s> {
    io: TokioIo<&'s mut Stream>,
    pulse: Arc<Pulse>,
    /// Bytes that were read before.
    left_over: Bytes,
    /// In how many pieces bytes came.
    pieces: u32,
}

impl Read for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = if self.left_over.is_empty() {
            Pin::new(&mut self.io).poll_read(cx, buffer)
        } else {
            let fits = self.left_over.len().min(buffer.remaining());
            buffer.put_slice(&self.left_over.split_to(fits));
            Poll::Ready(Ok(()))
        };
        if read.is_ready() {
            self.pieces = self.pieces.saturating_add(1);
            self.pulse.has_read.store(true, Relaxed);
        }
        read
    }
}

impl Write for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.pulse.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.pulse.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Stream {
    pub(crate) fn into_socket(self) -> io::Result<Socket> {
        match self {
            Stream::Tcp(stream) => stream.into_std().map(Socket::Tcp),
            Stream::Unix(stream) => stream.into_std().map(Socket::Unix),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
