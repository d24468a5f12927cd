//! Until when an answer without an end goes on, and a body made of pieces.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::{mpsc, watch};

/// An extension of each request that comes over a connection: it holds until any of these becomes
/// true, or is dropped. The first is that the server stops; who guards the routes adds that a credential
/// is not good any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Until(pub(crate) Vec<watch::Receiver<bool>>);

impl Until {
    pub(crate) async fn ended(mut self) {
        let mut over: Vec<_> =
            self.0.iter_mut().map(|end| Box::pin(end.wait_for(|over| *over))).collect();
        std::future::poll_fn(|cx| {
            let ended = over.iter_mut().any(|end| end.as_mut().poll(cx).is_ready());
            if ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Goes on until whoever makes the pieces ends.
pub(crate) struct Pieces(pub(crate) mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
