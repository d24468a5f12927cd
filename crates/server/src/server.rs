//! Connections: accepted up to a limit, served, and drained at the end.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use samovar_engine::Engine;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
};

use crate::{limits, routes};

/// A listening server. Nothing is answered before it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
    places: Arc<Semaphore>,
    /// A connection has ended.
    ended: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "{address} can be reached from other machines, and there is no access control yet: \
         listen on 127.0.0.1 or [::1], and put a proxy that checks who asks in front"
    )]
    NotLoopback { address: SocketAddr },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
}

impl Server {
    /// # Errors
    /// When the address belongs to no loopback interface: whoever can connect may read everything.
    pub fn may_listen(address: SocketAddr) -> Result<(), BindError> {
        let is_loopback = address.ip().is_loopback();
        if is_loopback { Ok(()) } else { Err(BindError::NotLoopback { address }) }
    }

    /// # Errors
    /// When it may not listen there, or the address is taken.
    pub async fn bind(address: SocketAddr, engine: Engine) -> Result<Self, BindError> {
        Self::may_listen(address)?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| BindError::Listen { address, source })?;
        Ok(Self {
            listener,
            router: routes::router(engine),
            places: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            ended: Arc::new(Notify::new()),
        })
    }

    /// What it answers, for whoever asks without a connection.
    pub fn router(engine: Engine) -> Router {
        routes::router(engine)
    }

    /// Where it really listens, also when port 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is over, then takes no more connections and returns when every request
    /// that was begun is answered.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.accept() => accepted,
            };
            if let Some((stream, place)) = accepted {
                self.serve(stream, place, graceful.watcher());
            }
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    async fn accept(&self) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, place)),
            Err(error) if is_of_one_connection(&error) => None,
            // Out of descriptors, most likely: the next one is free when a connection ends.
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                self.ended.notified().await;
                None
            }
        }
    }

    fn serve(&self, stream: TcpStream, place: OwnedSemaphorePermit, watcher: Watcher) {
        let service = TowerToHyperService::new(self.router.clone());
        let ended = self.ended.clone();
        tokio::spawn(async move {
            // Answers are written at once; what is left to gain by waiting is nothing.
            let _ = stream.set_nodelay(true);
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(limits::HEADER_TIME)
                .max_header_size(limits::HEADER_BYTES);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
            ended.notify_one();
        });
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
