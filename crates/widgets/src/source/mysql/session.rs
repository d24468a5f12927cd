//! A connection that is in use, and how it is given back: as good as new, or not at all.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use mysql_async::{Column, Conn, Error, Params, Row, Statement, Value, prelude::Queryable};
use samovar_clock::Spawner;

use super::{
    super::{SourceError, pool::Place},
    connect::Server,
    types,
};
use crate::Rows;

/// The server ends a query that takes too long, and keeps the connection. Only when it does not is
/// the connection given up, so much later.
const GRACE: Duration = Duration::from_millis(250);
/// A connection is cleaned, or seen to end, in the background: nobody waits for it any longer.
const CLEAN: Duration = Duration::from_secs(5);

const BEGIN: &str = "start transaction with consistent snapshot, read only";

/// Says no more than its number: the driver would show the password.
pub(super) struct Connection(Conn);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.0.id())
    }
}

/// A connection of the pool.
#[derive(Debug)]
pub(super) struct Session {
    server: Arc<Server>,
    spawner: Spawner,
    connection: Option<Connection>,
    /// Given back only when the connection is: no more are open than there are places.
    place: Option<Place<Connection>>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Every answer was read to its end.
    Clean,
    /// A query runs, or its rows were not read to their end.
    Busy,
    /// Nothing more comes.
    Lost,
}

/// Why a stream of rows ended before its end.
enum Ended {
    Driver(Error),
    /// The connection has nothing to do with it.
    Refused(SourceError),
    /// Rows are left.
    Rows(SourceError),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Ended::Driver(error)
    }
}

impl Session {
    pub(super) fn new(
        server: Arc<Server>,
        spawner: Spawner,
        place: Place<Connection>,
        connection: Option<Connection>,
    ) -> Self {
        Self { server, spawner, connection, place: Some(place), state: State::Clean }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connection.is_none()
    }

    /// Closes the connection, which is of no use.
    pub(super) fn discard(&mut self) {
        self.connection = None;
        self.state = State::Clean;
    }

    pub(super) async fn connect(&mut self, limit: Duration) -> Result<(), SourceError> {
        self.connection = Some(Connection(self.server.connect(limit).await?));
        Ok(())
    }

    /// From now on it sees one state of the database.
    pub(super) async fn begin(&mut self, limit: Duration) -> Result<(), SourceError> {
        self.within(limit, async |conn| Ok(conn.query_drop(BEGIN).await?)).await
    }

    /// Asks about a query without running it: the columns it has, and the steps of its plan.
    pub(super) async fn explain(
        &mut self,
        text: &str,
        values: Vec<Value>,
    ) -> Result<(Arc<[Column]>, Vec<Row>), SourceError> {
        let limit = self.server.timeout.saturating_add(GRACE);
        let ask = async |conn: &mut Conn| {
            let statement = conn.prep(text).await?;
            only_selects(&statement)?;
            let columns = statement.columns();
            conn.close(statement).await?;
            let explain = format!("explain format=traditional {text}");
            let steps = match conn.exec(explain, Params::Positional(values)).await {
                Ok(steps) => steps,
                // Servers cannot explain all that they can run.
                Err(Error::Server(_)) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            Ok((columns, steps))
        };
        self.within(limit, ask).await
    }

    /// Runs a query, and gives `rows` back when all have gone through it.
    pub(super) async fn read<R: Rows>(
        &mut self,
        text: &str,
        values: Vec<Value>,
        rows: R,
    ) -> Result<R, SourceError> {
        let limit = self.server.timeout.saturating_add(GRACE);
        self.within(limit, async |conn| stream(conn, text, values, rows).await).await
    }

    async fn within<T>(
        &mut self,
        limit: Duration,
        run: impl AsyncFnOnce(&mut Conn) -> Result<T, Ended>,
    ) -> Result<T, SourceError> {
        let Connection(conn) = self.connection.as_mut().expect("there until it is dropped");
        self.state = State::Busy;
        let (state, result) = match self.server.clock.timeout(limit, run(conn)).await {
            Ok(Ok(output)) => (State::Clean, Ok(output)),
            Ok(Err(Ended::Refused(error))) => (State::Clean, Err(error)),
            Ok(Err(Ended::Rows(error))) => (State::Busy, Err(error)),
            Ok(Err(Ended::Driver(error))) => {
                let is_over = matches!(error, Error::Server(_));
                let state = if is_over { State::Clean } else { State::Lost };
                (state, Err(self.server.failure(&error)))
            }
            Err(_) => (State::Busy, Err(self.server.timed_out())),
        };
        self.state = state;
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Some(connection), Some(place)) = (self.connection.take(), self.place.take()) else {
            return;
        };
        let server = self.server.clone();
        match self.state {
            State::Clean => self.spawner.spawn(clean(server, connection, place)),
            State::Busy => self.spawner.spawn(end(server, connection, place)),
            State::Lost => {}
        }
    }
}

/// One row after the other: nothing but the row at hand is kept.
async fn stream<R: Rows>(
    conn: &mut Conn,
    text: &str,
    values: Vec<Value>,
    mut rows: R,
) -> Result<R, Ended> {
    let statement = conn.prep(text).await?;
    only_selects(&statement)?;
    let mut result = conn.exec_iter(&statement, Params::Positional(values)).await?;
    let columns = result.columns_ref().iter().map(|column| column.name_str().into_owned());
    let columns: Vec<String> = columns.collect();
    rows.columns(&columns).map_err(Ended::Rows)?;
    if let Some(mut stream) = result.stream::<Row>().await? {
        while let Some(row) = stream.next().await {
            rows.row(&crate::Row::new(&columns, &row?)).map_err(Ended::Rows)?;
        }
    }
    drop(result);
    conn.close(statement).await?;
    Ok(rows)
}

/// The last of three bolts, for what is neither understood before nor stopped by a transaction that
/// only reads, such as rows that are written to a file of the server: it has no columns.
///
/// What has columns that the driver does not know must not be run: it would panic.
fn only_selects(statement: &Statement) -> Result<(), Ended> {
    let columns = statement.columns();
    if columns.is_empty() {
        return Err(Ended::Refused(SourceError::query("it gives no rows")));
    }
    match columns.iter().find(|column| types::is_undecodable(column)) {
        None => Ok(()),
        Some(column) => {
            let found = "an unknown type".to_owned();
            let column = column.name_str().into_owned();
            Err(Ended::Refused(SourceError::Type { column, found }))
        }
    }
}

/// Ends the transaction and whatever else the queries left behind, such as variables: the next one
/// finds the session as new.
async fn clean(server: Arc<Server>, mut connection: Connection, place: Place<Connection>) {
    let reset = server.clock.timeout(CLEAN, connection.0.reset()).await;
    if let Ok(Ok(true)) = reset {
        place.keep(connection);
    }
}

/// Ends a query that nobody waits for. Its rows are not read: there may be millions.
async fn end(server: Arc<Server>, mut connection: Connection, place: Place<Connection>) {
    match server.kill(connection.0.id()).await {
        // When the server hangs up, the query has really ended. Until then come the rows that were
        // on their way.
        Ok(()) => {
            let hung_up =
                async { while let Ok(()) | Err(Error::Server(_)) = connection.0.ping().await {} };
            let _ = server.clock.timeout(CLEAN, hung_up).await;
        }
        Err(error) => {
            let reason = error.to_string();
            tracing::warn!(reason, "a query goes on until it notices that nobody listens");
        }
    }
    // The driver reads to the end what it drops, unless it was interrupted in the middle of a
    // command: then it just closes.
    let _ = connection.0.ping().now_or_never();
    drop(connection);
    drop(place);
}
