//! Until when an answer without an end goes on, and a body made of pieces.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::{mpsc, watch};

/// An extension of each request that comes over a connection: what answers it goes on until one of
/// these is true, or dropped.
#[derive(Clone, Debug)]
pub(crate) struct Until {
    /// The server is to stop.
    pub(crate) stop: watch::Receiver<bool>,
    /// Other definitions are served.
    pub(crate) replaced: watch::Receiver<bool>,
}

impl Until {
    pub(crate) async fn ended(mut self) {
        // An error says that it was dropped.
        tokio::select! {
            _ = self.stop.wait_for(|over| *over) => {}
            _ = self.replaced.wait_for(|over| *over) => {}
        }
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
