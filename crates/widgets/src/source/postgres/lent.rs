//! A connection of the pool with a transaction on it, and its way back.

use std::{iter, sync::Arc};

use samovar_clock::Spawner;
use tokio_postgres::Client;

use super::{Connection, Failure, Inner, SourceError, failure};
use crate::source::pool::Place;

const BEGIN: &str = "begin isolation level repeatable read read only";
const END: &str = "rollback";

/// Dropped, it gives back the connection as it was, or closes it when something may still run on
/// it. The place in the pool is given back after that.
#[derive(Debug)]
pub(super) struct Lent {
    inner: Arc<Inner>,
    place: Option<Place<Connection>>,
    connection: Option<Connection>,
    /// Whether nothing runs on the connection, and the end of its transaction makes it as good as
    /// new.
    is_clean: bool,
    spawner: Spawner,
}

impl Inner {
    /// Waits for a place, and begins a transaction.
    pub(super) async fn lend(self: &Arc<Self>) -> Result<Lent, SourceError> {
        let place = self.pool.place().await?;
        let idle = iter::from_fn(|| place.idle()).find(|connection| !connection.is_closed());
        let mut lent = Lent {
            inner: self.clone(),
            place: Some(place),
            connection: None,
            is_clean: false,
            spawner: Spawner::current(),
        };
        let begun = self.clock.timeout(self.timeout, async {
            if let Some(idle) = idle {
                if lent.begin(idle).await.is_ok() {
                    return Ok(());
                }
                // The server went away meanwhile, and may be back.
                lent.connection.take().iter().for_each(Connection::cut);
            }
            lent.begin(self.connector.connect().await?).await
        });
        begun.await.unwrap_or_else(|_| Err(self.connector.no_answer()))?;
        Ok(lent)
    }

    /// Whether the transaction is over.
    async fn end(&self, connection: &Connection) -> bool {
        let end = connection.client.batch_execute(END);
        matches!(self.clock.timeout(self.connector.limit(), end).await, Ok(Ok(())))
    }
}

impl Lent {
    async fn begin(&mut self, connection: Connection) -> Result<(), SourceError> {
        let connector = &self.inner.connector;
        let connection = self.connection.insert(connection);
        let begun = connection.client.batch_execute(BEGIN);
        match self.inner.clock.timeout(connector.limit(), begun).await {
            Ok(Ok(())) => {
                self.is_clean = true;
                Ok(())
            }
            Ok(Err(error)) => Err(connector.unreachable(failure::reason(&error))),
            Err(_) => Err(connector.no_answer()),
        }
    }

    /// The session, to run something on: from now on it is not clean.
    pub(super) fn begun(&mut self) -> Result<&Client, Failure> {
        self.is_clean = false;
        let gone = || Failure::Source(SourceError::query("the transaction has ended"));
        Ok(&self.connection.as_ref().ok_or_else(gone)?.client)
    }

    /// What ran has ended.
    pub(super) fn set_clean(&mut self) {
        self.is_clean = true;
    }

    /// As told to whoever asked. The connection can go on when it was the server that ended the
    /// statement `text`, and said so.
    pub(super) fn failed(&mut self, failure: Failure, text: &str) -> SourceError {
        let is_closed = self.connection.as_ref().is_none_or(Connection::is_closed);
        self.is_clean = !is_closed && failure.leaves_the_session();
        failure.told(self.inner.timeout, is_closed, text)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (Some(place), Some(connection)) = (self.place.take(), self.connection.take()) else {
            return;
        };
        let (inner, is_clean) = (self.inner.clone(), self.is_clean);
        self.spawner.spawn(async move {
            match is_clean && inner.end(&connection).await {
                true => place.keep(connection),
                false => inner.connector.close(connection).await,
            }
        });
    }
}
