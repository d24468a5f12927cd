//! Connections: how they begin, and how they end without leaving a statement behind.

use std::{fmt, future::poll_fn, sync::Arc, time::Duration};

use samovar_clock::Clock;
use tokio::{
    sync::{Notify, OnceCell},
    task::{JoinHandle, spawn_blocking},
};
use tokio_postgres::{AsyncMessage, Client, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{SourceError, address::Address, failure, tls};

/// A session, and the task that reads and writes its socket.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
    /// Told of each notification that comes, and of the end.
    pub(crate) woken: Arc<Notify>,
}

/// Makes connections.
pub(crate) struct Connector {
    address: Address,
    /// The url without its secrets.
    place: String,
    limit: Duration,
    clock: Clock,
    tls: OnceCell<MakeRustlsConnect>,
}

/// Ending a connection takes no longer; then its socket is closed, whatever the server does.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// A request to cancel that reaches the server before its statement does is lost, so it is repeated.
const CANCEL_PAUSE: Duration = Duration::from_millis(250);

impl Connection {
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Closes the socket at once. Only for a connection on which nothing runs.
    pub(crate) fn cut(&self) {
        self.driver.abort();
    }
}

impl Connector {
    pub(crate) fn new(address: Address, place: String, limit: Duration, clock: Clock) -> Self {
        Self { address, place, limit, clock, tls: OnceCell::new() }
    }

    /// How long connecting may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) fn unreachable(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Unreachable { place: self.place.clone(), reason: reason.into() }
    }

    pub(super) fn no_answer(&self) -> SourceError {
        self.unreachable(format!("no answer within {} s", self.limit.as_secs_f64()))
    }

    pub(crate) async fn connect(&self) -> Result<Connection, SourceError> {
        let connected = self.clock.timeout(self.limit, async {
            let tls = self.tls().await?.clone();
            // The driver's future is large.
            let connected = Box::pin(self.address.config.connect(tls)).await;
            let (client, mut driver) =
                connected.map_err(|error| self.unreachable(failure::reason(&error)))?;
            let woken: Arc<Notify> = Arc::default();
            let wakes = woken.clone();
            let driver = tokio::spawn(async move {
                while let Some(message) = poll_fn(|cx| driver.poll_message(cx)).await {
                    match message {
                        Ok(AsyncMessage::Notification(_)) => wakes.notify_one(),
                        Ok(_) => {}
                        // With the driver goes what was asked: who uses the client is told as well.
                        Err(error) => {
                            tracing::debug!(reason = failure::reason(&error), "a connection ended");
                            break;
                        }
                    }
                }
                drop(driver);
                wakes.notify_one();
            });
            Ok(Connection { client, driver, woken })
        });
        connected.await.unwrap_or_else(|_| Err(self.no_answer()))
    }

    /// Cancels what runs and ends the session. Returns when the socket is closed.
    pub(super) async fn close(&self, connection: Connection) {
        let Connection { client, mut driver, .. } = connection;
        let token = client.cancel_token();
        // From now on the driver throws away what still comes, and then says goodbye.
        drop(client);
        let closed = self.clock.timeout(CLOSE_LIMIT, async {
            while !driver.is_finished() {
                if let Ok(tls) = self.tls().await {
                    // Without an answer: what matters is that the statement ends.
                    let _ = Box::pin(token.cancel_query(tls.clone())).await;
                }
                let _ = self.clock.timeout(CANCEL_PAUSE, &mut driver).await;
            }
        });
        if closed.await.is_err() {
            driver.abort();
            let _ = driver.await;
        }
    }

    async fn tls(&self) -> Result<&MakeRustlsConnect, SourceError> {
        self.tls.get_or_try_init(|| self.load_certificates()).await
    }

    async fn load_certificates(&self) -> Result<MakeRustlsConnect, SourceError> {
        if self.address.config.get_ssl_mode() == SslMode::Disable {
            return tls::connector(&super::address::Trust::Anyone)
                .map_err(|reason| self.unreachable(reason));
        }
        let trust = self.address.trust.clone();
        let loaded = spawn_blocking(move || tls::connector(&trust)).await;
        let loaded = loaded.map_err(|_| SourceError::Panicked)?;
        loaded.map_err(|reason| self.unreachable(reason))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("place", &self.place).finish_non_exhaustive()
    }
}
