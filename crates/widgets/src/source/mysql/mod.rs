//! MySQL and MariaDB: sessions that can only read, each with one state of the database, and rows
//! as they come over the wire.

mod connect;
mod options;
mod plan;
mod session;
mod types;

use std::sync::Arc;

use samovar_clock::{Clock, Spawner};

pub(crate) use self::connect::Server;
use self::session::{Connection, Session};
use super::{Column, Prepared, SourceError, pool::Pool};
use crate::{Bound, Query, Rows, SourceDefinition, TimeForm, query::Places};

#[derive(Clone, Debug)]
pub(crate) struct MySql(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Arc<Server>,
    times: TimeForm,
    pool: Arc<Pool<Connection>>,
}

impl MySql {
    pub(crate) fn open(definition: &SourceDefinition, clock: Clock) -> Result<Self, SourceError> {
        let pool = Pool::new(definition.connections, definition.timeout, clock.clone());
        let server = Arc::new(Server::new(definition, clock)?);
        Ok(Self(Arc::new(Inner { server, times: definition.times, pool })))
    }

    pub(crate) async fn prepare(
        &self,
        query: &Query,
        sample: &[(String, Bound)],
    ) -> Result<Prepared, SourceError> {
        let mut session = self.0.begin().await?;
        let rendered = query.render(Places::Question, sample);
        let values = types::bind(&rendered.values, self.0.times);
        let (columns, steps) = session.explain(&rendered.text, values).await?;
        let columns = columns.iter().map(|column| Column {
            name: column.name_str().into_owned(),
            unreadable: types::unreadable(column).map(str::to_owned),
        });
        Ok(Prepared { columns: columns.collect(), scans: plan::scans(query, &steps) })
    }

    pub(crate) async fn view(&self) -> Result<View, SourceError> {
        let session = self.0.begin().await?;
        Ok(View { inner: self.0.clone(), session: Some(session) })
    }
}

impl Inner {
    /// A session whose transaction has begun. A connection that was idle may have died meanwhile:
    /// then another one takes its place, and nobody hears of it.
    async fn begin(&self) -> Result<Session, SourceError> {
        let server = &self.server;
        let place = self.pool.place().await?;
        let deadline = server.clock.now() + server.timeout;
        let left = || deadline.since(server.clock.now());
        let idle = place.idle();
        let was_idle = idle.is_some();
        let mut session = Session::new(server.clone(), Spawner::current(), place, idle);
        // What does not answer is given up in time for another try.
        if was_idle && session.begin(left() / 2).await.is_err() {
            session.discard();
        }
        if session.is_empty() {
            session.connect(left()).await?;
            session.begin(left()).await?;
        }
        Ok(session)
    }
}

/// A transaction that reads.
#[derive(Debug)]
pub(crate) struct View {
    inner: Arc<Inner>,
    /// Away while a query runs, and after one that failed.
    session: Option<Session>,
}

impl View {
    pub(crate) async fn read<R: Rows>(
        &mut self,
        query: &Query,
        bindings: &[(String, Bound)],
        rows: R,
    ) -> Result<R, SourceError> {
        let gone = || SourceError::query("an earlier query of this snapshot did not end");
        // Whoever stops waiting drops it, which ends the query.
        let mut session = self.session.take().ok_or_else(gone)?;
        let rendered = query.render(Places::Question, bindings);
        let values = types::bind(&rendered.values, self.inner.times);
        let rows = session.read(&rendered.text, values, rows).await?;
        self.session = Some(session);
        Ok(rows)
    }
}
