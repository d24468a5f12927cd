//! Connections: how they begin, and how they end without leaving a statement behind.

use std::{fmt, time::Duration};

use samovar_clock::Clock;
use tokio::{
    sync::OnceCell,
    task::{JoinHandle, spawn_blocking},
};
use tokio_postgres::{Client, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{SourceError, address::Address, failure, tls};

/// A session, and the task that reads and writes its socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    driver: JoinHandle<()>,
}

/// Makes connections.
pub(super) struct Connector {
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
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Closes the socket at once. Only for a connection on which nothing runs.
    pub(super) fn cut(self) {
        self.driver.abort();
    }
}

impl Connector {
    pub(super) fn new(address: Address, place: String, limit: Duration, clock: Clock) -> Self {
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

    pub(super) async fn connect(&self) -> Result<Connection, SourceError> {
        let connected = self.clock.timeout(self.limit, async {
            let tls = self.tls().await?.clone();
            // The driver's future is large.
            let connected = Box::pin(self.address.config.connect(tls)).await;
            let (client, driver) =
                connected.map_err(|error| self.unreachable(failure::reason(&error)))?;
            let driver = tokio::spawn(async move {
                // Who uses the client is told as well.
                if let Err(error) = driver.await {
                    tracing::debug!(reason = failure::reason(&error), "a connection ended");
                }
            });
            Ok(Connection { client, driver })
        });
        connected.await.unwrap_or_else(|_| Err(self.no_answer()))
    }

    /// Cancels what runs and ends the session. Returns when the socket is closed.
    pub(super) async fn close(&self, connection: Connection) {
        let Connection { client, mut driver } = connection;
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
