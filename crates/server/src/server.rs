//! Connections: accepted up to a limit, served, and drained at the end.

use std::{
    fs,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Extension, Router, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use samovar_access::{Access, Settings};
use samovar_engine::{Clock, Engine};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
};
use tower::Service;

use crate::{
    identity::Peer,
    limits,
    routes::{self, RouteShown},
};

/// A listening server. Nothing is answered before it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// For the commands of this machine's user.
    socket: Option<Socket>,
    clock: Clock,
    router: Router,
    places: Arc<Semaphore>,
    /// A connection has ended.
    ended: Arc<Notify>,
}

/// A socket in the file system, which goes when this does.
#[derive(Debug)]
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever comes next removes it otherwise.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "{address} can be reached from other machines, and nobody is asked who he is: say mode = \
         \"tokens\" in [access], or listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback { address: SocketAddr },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot listen at {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
}

impl Server {
    /// # Errors
    /// When the address belongs to no loopback interface, and whoever can connect may do everything.
    pub fn may_listen(address: SocketAddr, settings: &Settings) -> Result<(), BindError> {
        let is_allowed = address.ip().is_loopback() || settings.required;
        if is_allowed { Ok(()) } else { Err(BindError::NotLoopback { address }) }
    }

    /// # Errors
    /// When it may not listen there, or the address is taken.
    pub async fn bind(
        address: SocketAddr,
        engine: Engine,
        access: Access,
    ) -> Result<Self, BindError> {
        Self::may_listen(address, access.settings())?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| BindError::Listen { address, source })?;
        Ok(Self {
            listener,
            socket: None,
            clock: engine.clock(),
            router: routes::router(engine, access),
            places: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            ended: Arc::new(Notify::new()),
        })
    }

    /// Listens at a path as well, where only this user may connect. What lies there is removed: it
    /// must belong to nobody who lives.
    ///
    /// # Errors
    /// When the system refuses, for a path of more than about 100 bytes for example.
    pub fn also_at(&mut self, path: &Path) -> Result<(), BindError> {
        let bind = || {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = UnixSocket::new_stream()?;
            // Before it has a name, so that there is no moment in which others may connect.
            rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
            socket.bind(path)?;
            socket.listen(limits::SOCKET_QUEUE)
        };
        let path = path.to_owned();
        let listener = bind().map_err(|source| BindError::Socket { path: path.clone(), source })?;
        self.socket = Some(Socket { listener, path });
        Ok(())
    }

    /// What it answers to the owner of the store, who asks without a connection.
    pub fn router(engine: Engine, access: Access) -> Router {
        routes::router(engine, access).layer(Extension(Peer::Owner))
    }

    /// All routes, and what each asks of whoever asks.
    pub fn routes() -> Vec<RouteShown> {
        routes::shown()
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
            match accepted {
                Some((Accepted::Tcp(stream, address), place)) => {
                    // Answers are written at once; what is left to gain by waiting is nothing.
                    let _ = stream.set_nodelay(true);
                    let peer = Peer::Address(address.ip());
                    self.serve(stream, peer, place, graceful.watcher());
                }
                Some((Accepted::Socket(stream), place)) => {
                    self.serve(stream, Peer::Owner, place, graceful.watcher());
                }
                None => {}
            }
        }
        drop((self.listener, self.socket));
        graceful.shutdown().await;
    }

    async fn accept(&self) -> Option<(Accepted, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let socket = async {
            match &self.socket {
                Some(socket) => socket.listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let accepted = tokio::select! {
            accepted = self.listener.accept() => accepted.map(|(it, from)| Accepted::Tcp(it, from)),
            accepted = socket => accepted.map(|(it, _)| Accepted::Socket(it)),
        };
        match accepted {
            Ok(stream) => Some((stream, place)),
            Err(error) if is_of_one_connection(&error) => None,
            // Out of descriptors, most likely: the next one is free when a connection ends.
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                // Others may have taken them, whose end nobody here hears of.
                let _ = self.clock.timeout(limits::ACCEPT_AGAIN, self.ended.notified()).await;
                None
            }
        }
    }

    fn serve<S>(&self, stream: S, peer: Peer, place: OwnedSemaphorePermit, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(Connected { router: self.router.clone(), peer });
        let ended = self.ended.clone();
        tokio::spawn(async move {
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

/// A router that knows who is at the other end.
#[derive(Clone)]
struct Connected {
    router: Router,
    peer: Peer,
}

impl Service<Request<Incoming>> for Connected {
    type Response = <Router as Service<Request<Incoming>>>::Response;
    type Error = <Router as Service<Request<Incoming>>>::Error;
    type Future = <Router as Service<Request<Incoming>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Incoming>>::poll_ready(&mut self.router, cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.router.call(request)
    }
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Socket(UnixStream),
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
