//! The databases that widgets read from: read only, bounded in time, rows and bytes, whatever the
//! kind.

pub(crate) mod mysql;
mod pool;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use samovar_clock::Clock;
use samovar_memory::Inherited;

use self::{mysql::MySql, postgres::Postgres, sqlite::Sqlite};
use crate::{Bound, Query, Row, Rows, SourceDefinition, SourceKind};

/// A database that widgets read from. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    kind: SourceKind,
    identity: String,
    row_limit: usize,
    database: Database,
    counted: Arc<Counted>,
}

/// What this process has read from a source since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceFigures {
    pub queries: u64,
    /// That came out of the database.
    pub rows: u64,
    /// Rows of tables that were read in full, counted by the database: SQLite does, servers have
    /// statistics of their own.
    pub scanned: Option<u64>,
}

#[derive(Debug, Default)]
struct Counted {
    queries: AtomicU64,
    rows: AtomicU64,
}

#[derive(Clone, Debug)]
enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
    MySql(MySql),
}

/// One state of the database, seen through one connection. Dropped, it ends what still runs for it
/// and gives the connection back.
#[derive(Debug)]
pub struct Snapshot {
    view: View,
    queries: u32,
    rows: u64,
    counted: Arc<Counted>,
}

#[derive(Debug)]
enum View {
    Sqlite(sqlite::View),
    Postgres(postgres::View),
    MySql(mysql::View),
}

/// What the database says of a query without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub columns: Vec<Column>,
    /// Of tables that are not small.
    pub scans: Vec<Scan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The source's name of its type, where values of it have no form here.
    pub unreadable: Option<String>,
}

/// A query that reads a whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    pub table: String,
    /// In the words of the database.
    pub plan: String,
}

/// Tables of fewer rows may be scanned: the database itself prefers it.
pub(crate) const SMALL_TABLE: u64 = 1000;

impl Source {
    /// Nothing is connected before it is used. `folder` is where relative paths begin.
    ///
    /// # Errors
    /// What is wrong with its url.
    pub fn open(
        definition: &SourceDefinition,
        folder: &Path,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let kind = definition.url.value.kind();
        let database = match kind {
            SourceKind::Sqlite => Database::Sqlite(Sqlite::open(definition, folder, clock)),
            SourceKind::Postgres => Database::Postgres(Postgres::open(definition, folder, clock)?),
            SourceKind::MySql => Database::MySql(MySql::open(definition, clock)?),
        };
        let identity = format!("{} {:?}", definition.url.value.identity(), definition.times);
        let (row_limit, counted) = (definition.row_limit, Arc::default());
        Ok(Self { kind, identity, row_limit, database, counted })
    }

    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Which data it reads, how, and as whom: the same on every machine that was given the same
    /// definitions. To be hashed, and shown to nobody.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Rows of one answer, where its widget does not say otherwise.
    pub fn row_limit(&self) -> usize {
        self.row_limit
    }

    /// Asks the database about a query, whose plan is made for the values of `sample`.
    pub async fn prepare(
        &self,
        query: &Query,
        sample: &[(String, Bound)],
    ) -> Result<Prepared, SourceError> {
        match &self.database {
            Database::Sqlite(database) => database.prepare(query, sample).await,
            Database::Postgres(database) => database.prepare(query, sample).await,
            Database::MySql(database) => database.prepare(query, sample).await,
        }
    }

    /// Waits for a connection. What is read through it is of one moment, from now on.
    pub async fn snapshot(&self) -> Result<Snapshot, SourceError> {
        let view = match &self.database {
            Database::Sqlite(database) => View::Sqlite(database.view().await?),
            Database::Postgres(database) => View::Postgres(database.view().await?),
            Database::MySql(database) => View::MySql(database.view().await?),
        };
        Ok(Snapshot { view, queries: 0, rows: 0, counted: self.counted.clone() })
    }

    pub fn figures(&self) -> SourceFigures {
        let scanned = match &self.database {
            Database::Sqlite(database) => Some(database.scanned()),
            Database::Postgres(_) | Database::MySql(_) => None,
        };
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (queries, rows) = (read(&self.counted.queries), read(&self.counted.rows));
        SourceFigures { queries, rows, scanned }
    }
}

/// Without its identity.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Runs a query, its parameters bound by name, and gives `rows` back when all have gone through
    /// it. After an error nothing more is read through this snapshot.
    pub async fn read<R: Rows>(
        &mut self,
        query: &Query,
        bindings: &[(String, Bound)],
        rows: R,
    ) -> Result<R, SourceError> {
        self.queries += 1;
        self.counted.queries.fetch_add(1, Ordering::Relaxed);
        let read = Read { rows: 0, counted: self.counted.clone() };
        let rows = Taken { rows, read, account: Inherited::here() };
        let taken = match &mut self.view {
            View::Sqlite(view) => view.read(query, bindings, rows).await,
            View::Postgres(view) => view.read(query, bindings, rows).await,
            View::MySql(view) => view.read(query, bindings, rows).await,
        };
        let Taken { rows, read, .. } = taken?;
        self.rows += read.rows;
        Ok(rows)
    }

    /// How many queries were run through it.
    pub fn queries(&self) -> u32 {
        self.queries
    }

    /// How many rows came out of those that ended well.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// Rows that are taken in on whatever thread reads them: counted, and for the account of whoever asked
/// for them. A panic ends the query like any other error does, so that its connection is looked after;
/// they are given to nobody after that.
struct Taken<R> {
    rows: R,
    read: Read,
    account: Inherited,
}

/// Told when the query has ended, however.
struct Read {
    rows: u64,
    counted: Arc<Counted>,
}

impl Drop for Read {
    fn drop(&mut self) {
        self.counted.rows.fetch_add(self.rows, Ordering::Relaxed);
    }
}

impl<R: Rows> Rows for Taken<R> {
    fn columns(&mut self, names: &[String]) -> Result<(), SourceError> {
        catch(|| self.account.scope(|| self.rows.columns(names)))
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        self.read.rows += 1;
        catch(|| self.account.scope(|| self.rows.row(row)))
    }
}

fn catch(run: impl FnOnce() -> Result<(), SourceError>) -> Result<(), SourceError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(SourceError::Panicked))
}

/// Why a source has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// `place` shows no secret.
    #[error("cannot read {place}: {reason}")]
    Unreachable { place: String, reason: String },
    #[error("all connections of the source stayed busy")]
    Busy,
    #[error("the query took longer than {seconds} s")]
    Timeout { seconds: f64 },
    #[error("the query has more than {limit} rows: narrow it, or raise the source's row_limit")]
    TooManyRows { limit: usize },
    #[error("the answer has more than {limit} bytes: narrow the query, or raise value_limit")]
    TooManyBytes { limit: u64 },
    #[error("more than {limit} rows have related rows: narrow the query")]
    TooManyParents { limit: usize },
    #[error("column `{column}` holds {found}: convert it in the query")]
    Type { column: String, found: String },
    #[error("the query has no column `{column}`")]
    NoColumn { column: String },
    /// Such keys are equal to one of them for the database, and not as texts.
    #[error(
        "a related row has a key in `{column}` that is none of `:ids`: convert or trim the keys in the \
         queries, so that those of both are the same text"
    )]
    Unrelated { column: String },
    #[error(
        "the dimensions have more than {limit} combinations in one partition, mostly of \
         `{dimension}`: group it in the query, or leave it out"
    )]
    TooManyGroups { dimension: String, limit: usize },
    #[error("the query failed: {reason}")]
    Query { reason: String },
    #[error("the connection was lost: {reason}")]
    Lost { reason: String },
    #[error("reading the rows panicked")]
    Panicked,
}

impl SourceError {
    pub(crate) fn query(reason: impl fmt::Display) -> Self {
        SourceError::Query { reason: reason.to_string() }
    }
}
