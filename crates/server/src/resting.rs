//! A connection between requests: what arrives and is known by its bytes is answered at once.
//!
//! Nothing is parsed here. A request that is known came once through HTTP and the router, byte for byte,
//! within [`limits::REPEATED_FOR`]; whatever differs in any way goes there.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice, Write},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use axum::{body::Bytes, http::StatusCode};
use samovar_engine::Clock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

use crate::{
    connection::Stream,
    front::{Front, Ready},
    identity::Peer,
    limits,
};

/// The next bytes that are not known. `None`: there is nothing more to be done for this connection.
pub(crate) async fn rest(
    stream: &mut Stream,
    peer: Peer,
    front: &ArcSwap<Front>,
    clock: &Clock,
    stop: &mut watch::Receiver<bool>,
) -> Option<Bytes> {
    let mut since = clock.now();
    loop {
        let left = limits::REST_TIME.saturating_sub(clock.now().since(since));
        let next = async {
            let mut answering = Answering { stream: &mut *stream, peer, front, clock };
            tokio::select! {
                // What has arrived is answered, also at the end.
                biased;
                next = poll_fn(|cx| answering.poll_next(cx, || since = clock.now())) => next,
                _ = stop.wait_for(|stop| *stop) => None,
            }
        };
        match clock.timeout(left, next).await {
            Ok(None) => return None,
            Ok(Some(Next::Unknown(bytes))) => return Some(bytes),
            Ok(Some(Next::Unwritten(answer))) => {
                if !hand_over(answer, stream, clock).await {
                    return None;
                }
                since = clock.now();
            }
            // One timer for many requests: it may have begun with an earlier one.
            Err(_) if clock.now().since(since) < limits::REST_TIME => {}
            Err(_) => return None,
        }
    }
}

enum Next {
    Unknown(Bytes),
    /// The client does not take it as fast.
    Unwritten(Answer),
}

struct Answering<'a> {
    stream: &'a mut Stream,
    peer: Peer,
    front: &'a ArcSwap<Front>,
    clock: &'a Clock,
}

impl Answering<'_> {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        mut answered: impl FnMut(),
    ) -> Poll<Option<Next>> {
        let mut room = [MaybeUninit::uninit(); limits::KNOWN_HEAD_BYTES];
        loop {
            let mut buffer = ReadBuf::uninit(&mut room);
            let read = ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut buffer));
            let bytes = buffer.filled();
            if read.is_err() || bytes.is_empty() {
                return Poll::Ready(None);
            }
            // What the owner may ask, he may without saying who he is.
            let known = (self.peer != Peer::Owner).then(|| self.front.load().answer_known(bytes));
            let Some(response) = known.flatten() else {
                return Poll::Ready(Some(Next::Unknown(Bytes::copy_from_slice(bytes))));
            };
            answered();
            let mut answer = Answer::new(&response, self.clock);
            match answer.poll_write(self.stream, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => return Poll::Ready(Some(Next::Unwritten(answer))),
            }
        }
    }
}

/// Whether it was taken in time.
async fn hand_over(mut answer: Answer, stream: &mut Stream, clock: &Clock) -> bool {
    loop {
        let before = answer.written;
        let written = poll_fn(|cx| answer.poll_write(stream, cx));
        match clock.timeout(limits::WRITE_TIME, written).await {
            Ok(written) => return written.is_ok(),
            Err(_) if answer.written > before => {}
            Err(_) => {
                tracing::debug!(what = "to take its answer", "a connection took too long");
                return false;
            }
        }
    }
}

/// The bytes of an answer, and how many of them are on their way.
struct Answer {
    head: Vec<u8>,
    body: Bytes,
    written: usize,
}

impl Answer {
    fn new(response: &Ready, clock: &Clock) -> Self {
        let body = response.body().clone().unwrap_or_default();
        Self { head: head(response, body.len(), clock), body, written: 0 }
    }

    fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (head, body) = (&self.head[..], &self.body[..]);
        while self.written < head.len() + body.len() {
            let head = &head[self.written.min(head.len())..];
            let body = &body[self.written.saturating_sub(self.head.len())..];
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            match ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &pieces))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// As HTTP/1.1 has it on a connection that goes on.
fn head(response: &Ready, length: usize, clock: &Clock) -> Vec<u8> {
    /// Of nearly all.
    const ROOM: usize = 1024;
    let mut out = Vec::with_capacity(ROOM);
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    for (name, value) in response.headers() {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(piece);
        }
    }
    if status != StatusCode::NOT_MODIFIED {
        let _ = write!(out, "content-length: {length}\r\n");
    }
    out.extend_from_slice(b"date: ");
    date(clock, &mut out);
    out.extend_from_slice(b"\r\n\r\n");
    out
}

/// Made once a second.
fn date(clock: &Clock, out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let seconds = clock.wall_nanos() / 1_000_000_000;
    DATE.with_borrow_mut(|(of, text)| {
        if *of != seconds || text.is_empty() {
            *text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            *of = seconds;
        }
        out.extend_from_slice(text.as_bytes());
    });
}
