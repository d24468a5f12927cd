//! Connections: accepted up to a limit, served, and drained at the end.

use std::{
    fs,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use arc_swap::ArcSwap;
use axum::{Extension, Router};
use samovar_access::{Access, Settings};
use samovar_engine::{Clock, Engine};
use tokio::{
    net::{TcpListener, TcpSocket, UnixListener, UnixSocket},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
};

use crate::{
    connection::{Socket, Stream, converse},
    descriptors,
    families::Family,
    front::Front,
    identity::Peer,
    limits, metrics,
    routes::{self, RouteShown},
    threads::Threads,
};

/// A listening server. Nothing is answered before it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// For the commands of this machine's user.
    socket: Option<OwnersSocket>,
    clock: Clock,
    front: Arc<ArcSwap<Front>>,
    /// That were asked for.
    connections: Option<usize>,
    threads: Threads,
    /// A connection has ended.
    ended: Arc<Notify>,
}

/// What a running server serves.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<Front>>);

impl Live {
    /// From the next request on. Requests that were begun are answered by the engine before, streams
    /// end, so that whoever listens asks for what there is now.
    pub fn serve(&self, engine: Engine) {
        Front::replace(&self.0, engine);
    }

    /// All metrics, of whatever it serves now.
    pub async fn metrics(&self) -> Vec<Family> {
        let engine = self.0.load().engine().clone();
        metrics::read(&engine).await
    }
}

/// A socket in the file system, which goes when this does.
#[derive(Debug)]
struct OwnersSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for OwnersSocket {
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
    #[error("cannot start the threads of connections: {source}")]
    Threads { source: io::Error },
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
        let listener = listen(address).map_err(|source| BindError::Listen { address, source })?;
        let threads = Threads::start().map_err(|source| BindError::Threads { source })?;
        let clock = engine.clock();
        Ok(Self {
            listener,
            socket: None,
            clock,
            front: Arc::new(ArcSwap::from_pointee(Front::new(engine, access))),
            connections: None,
            threads,
            ended: Arc::new(Notify::new()),
        })
    }

    /// Connections at a time. More wait in the system's queue until one ends. Otherwise as many as is
    /// usual, or as the system's limit of descriptors has room for.
    pub fn most_connections(&mut self, connections: usize) {
        self.connections = Some(connections.clamp(1, limits::MOST_CONNECTIONS));
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
        self.socket = Some(OwnersSocket { listener, path });
        Ok(())
    }

    /// By which other definitions are served while it runs.
    pub fn live(&self) -> Live {
        Live(self.front.clone())
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
    /// of which a byte was read is answered.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let connections = descriptors::make_room_for(self.connections);
        let places = Arc::new(Semaphore::new(connections));
        let (stopping, stopped) = watch::channel(false);
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.accept(&places) => accepted,
            };
            if let Some((stream, peer, place)) = accepted {
                self.serve(stream, peer, place, stopped.clone());
            }
        }
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        drop((self.listener, self.socket, stopped));
        stopping.send_replace(true);
        // Every connection that has ended has given its place back.
        let _ = places.acquire_many(all).await;
    }

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> Option<(Stream, Peer, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.ok()?;
        let socket = async {
            match &self.socket {
                Some(socket) => socket.listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let accepted = tokio::select! {
            accepted = self.listener.accept() => accepted.map(|(it, from)| (Stream::Tcp(it), Peer::Address(from.ip()))),
            accepted = socket => accepted.map(|(it, _)| (Stream::Unix(it), Peer::Owner)),
        };
        match accepted {
            Ok((stream, peer)) => Some((stream, peer, place)),
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

    fn serve(
        &self,
        stream: Stream,
        peer: Peer,
        place: OwnedSemaphorePermit,
        stop: watch::Receiver<bool>,
    ) {
        if let Stream::Tcp(stream) = &stream {
            // Answers are written at once; what is left to gain by waiting is nothing.
            let _ = stream.set_nodelay(true);
        }
        let socket = stream.into_socket();
        let (front, clock, ended) = (self.front.clone(), self.clock.clone(), self.ended.clone());
        self.threads.spawn(async move {
            match socket.and_then(Socket::into_stream) {
                Ok(stream) => converse(stream, peer, front, clock, stop).await,
                Err(error) => tracing::warn!(%error, "a connection cannot be served"),
            }
            drop(place);
            ended.notify_one();
        });
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port that a server has just left may still have connections that wait to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(limits::LISTEN_QUEUE)
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
