//! PostgreSQL: a snapshot is a transaction that reads, a query is a stream that can be cancelled.

mod address;
mod connection;
mod failure;
mod form;
mod lent;
mod numeric;
mod parameter;
mod plan;
mod time;
mod tls;

use std::{path::Path, pin::pin, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use samovar_clock::Clock;
use tokio::task::yield_now;
use tokio_postgres::{Client, Column as TypedColumn};

pub(crate) use self::{
    address::Address,
    connection::{Connection, Connector},
    failure::Failure,
};
use self::{
    form::{Form, TypedRow},
    lent::Lent,
    parameter::Parameter,
};
use super::{Column, Prepared, SourceError, pool::Pool};
use crate::{
    Bound, Query, Row, Rows, SourceDefinition, TimeForm,
    query::{Places, Rendered},
};

/// Connecting takes no longer, however long queries may take.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Between so many rows others get their turn, and the clock is looked at.
const ROWS_IN_A_ROW: usize = 256;

#[derive(Clone, Debug)]
pub(crate) struct Postgres(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Connector,
    times: TimeForm,
    timeout: Duration,
    clock: Clock,
    pool: Arc<Pool<Connection>>,
}

impl Postgres {
    pub(crate) fn open(
        definition: &SourceDefinition,
        folder: &Path,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let timeout = definition.timeout;
        let place = definition.url.value.to_string();
        let address = match Address::parse(&definition.url.value, folder, timeout) {
            Ok(address) => address,
            Err(reason) => return Err(SourceError::Unreachable { place, reason }),
        };
        let limit = timeout.min(CONNECT_LIMIT);
        Ok(Self(Arc::new(Inner {
            connector: Connector::new(address, place, limit, clock.clone()),
            times: definition.times,
            timeout,
            pool: Pool::new(definition.connections, timeout, clock.clone()),
            clock,
        })))
    }

    pub(crate) async fn prepare(
        &self,
        query: &Query,
        sample: &[(String, Bound)],
    ) -> Result<Prepared, SourceError> {
        let mut lent = self.0.lend().await?;
        let rendered = query.render(Places::Dollar, sample);
        let parameters = Parameter::all(&rendered.values, self.0.times);
        let text = &rendered.text;
        let columns = self.0.limit_time(async {
            let statement = lent.begun()?.prepare(text).await?;
            Ok(statement.columns().iter().map(told).collect::<Vec<Column>>())
        });
        let columns = columns.await.map_err(|failure| lent.failed(failure, text))?;
        // Without a plan nothing is known against the query.
        let scans =
            self.0.limit_time(async { plan::scans(lent.begun()?, text, &parameters).await });
        let scans = match scans.await {
            Ok(scans) => {
                lent.set_clean();
                scans
            }
            Err(failure) => {
                lent.failed(failure, text);
                Vec::new()
            }
        };
        Ok(Prepared { columns, scans })
    }

    pub(crate) async fn view(&self) -> Result<View, SourceError> {
        // PostgreSQL takes the snapshot itself at the first statement that reads.
        let lent = self.0.lend().await?;
        Ok(View { inner: self.0.clone(), lent: Some(lent) })
    }
}

/// A transaction that reads.
#[derive(Debug)]
pub(crate) struct View {
    inner: Arc<Inner>,
    /// Away while a query runs, and after one that failed.
    lent: Option<Lent>,
}

impl View {
    pub(crate) async fn read<R: Rows>(
        &mut self,
        query: &Query,
        bindings: &[(String, Bound)],
        mut rows: R,
    ) -> Result<R, SourceError> {
        let gone = || SourceError::query("an earlier query of this snapshot did not end");
        // Dropped with this future, it cancels what still runs.
        let mut lent = self.lent.take().ok_or_else(gone)?;
        let rendered = query.render(Places::Dollar, bindings);
        let run = self
            .inner
            .limit_time(async { run(lent.begun()?, &rendered, self.inner.times, &mut rows).await });
        run.await.map_err(|failure| lent.failed(failure, &rendered.text))?;
        lent.set_clean();
        self.lent = Some(lent);
        Ok(rows)
    }
}

impl Inner {
    /// Over a whole query, whatever the server does.
    async fn limit_time<T>(
        &self,
        query: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limited = self.clock.timeout(self.timeout, query).await;
        limited.unwrap_or(Err(Failure::Source(SourceError::Timeout {
            seconds: self.timeout.as_secs_f64(),
        })))
    }
}

/// The statement is executed in one go, because the server runs one that is fetched in parts
/// without its parallel workers. Memory stays constant all the same: the driver reads on when the
/// rows of its last read are taken, and the server waits for the driver.
async fn run<R: Rows>(
    client: &Client,
    query: &Rendered<'_>,
    times: TimeForm,
    into: &mut R,
) -> Result<(), Failure> {
    // Not kept at the server: dropped, it is closed there.
    let statement = client.prepare(&query.text).await?;
    let columns = statement.columns();
    let names: Vec<String> = columns.iter().map(|column| column.name().to_owned()).collect();
    let forms: Vec<Form> = columns.iter().map(|column| Form::of(column.type_())).collect();
    into.columns(&names)?;
    let parameters = Parameter::all(&query.values, times);
    let mut rows = pin!(client.query_raw(&statement, parameters).await?);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        into.row(&Row::new(&names, &TypedRow { row: &row, forms: &forms }))?;
        count += 1;
        if count % ROWS_IN_A_ROW == 0 {
            yield_now().await;
        }
    }
    Ok(())
}

fn told(column: &TypedColumn) -> Column {
    let form = Form::of(column.type_());
    let unreadable = form.unreadable().map(str::to_owned);
    Column { name: column.name().to_owned(), unreadable }
}
