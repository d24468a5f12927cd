//! SQLite: files, read away from the async threads.

use std::{
    fs, io,
    ops::{Deref, DerefMut},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Statement, StatementStatus,
    hooks::{AuthAction, AuthContext, Authorization, TransactionOperation},
    types::ValueRef,
};
use samovar_clock::{Clock, Instant};
use tokio::task::spawn_blocking;

use super::{
    Column, Prepared, SMALL_TABLE, Scan, SourceError,
    pool::{Place, Pool},
};
use crate::{
    Bound, Query, Row, Rows, SourceDefinition, TimeForm, Value,
    query::{Places, Rendered},
    rows::Cells,
};

/// Between two looks at the clock, SQLite executes this many of its instructions: about 20 µs.
const INSTRUCTIONS: i32 = 1000;
/// A file that is another one after it was opened than before is opened again, so often.
const OPENINGS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    times: TimeForm,
    timeout: Duration,
    clock: Clock,
    pool: Arc<Pool<Opened>>,
    /// Rows of tables that were read in full, as SQLite counts them.
    scanned: AtomicU64,
}

/// A connection, and the file that it reads, whatever its path leads to by now.
#[derive(Debug)]
struct Opened {
    connection: Connection,
    file: FileId,
}

/// As long as the file is open nobody else is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that the path leads to now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let told = fs::metadata(path)?;
        Ok(Self { device: told.dev(), inode: told.ino() })
    }
}

impl Sqlite {
    pub(crate) fn open(definition: &SourceDefinition, folder: &Path, clock: Clock) -> Self {
        let timeout = definition.timeout;
        Self(Arc::new(Inner {
            path: folder.join(definition.url.value.path()),
            times: definition.times,
            timeout,
            pool: Pool::new(definition.connections, timeout, clock.clone()),
            clock,
            scanned: AtomicU64::new(0),
        }))
    }

    pub(crate) async fn prepare(
        &self,
        query: &Query,
        sample: &[(String, Bound)],
    ) -> Result<Prepared, SourceError> {
        let (lent, inner) = (self.0.lend().await?, self.0.clone());
        let (query, sample) = (query.clone(), sample.to_vec());
        let run = move || {
            lent.limit_time(&inner, Arc::default())?;
            inner.prepare(&lent, &query, &sample)
        };
        spawn_blocking(run).await.unwrap_or(Err(SourceError::Panicked))
    }

    pub(crate) fn scanned(&self) -> u64 {
        self.0.scanned.load(Ordering::Relaxed)
    }

    pub(crate) async fn view(&self) -> Result<View, SourceError> {
        let lent = self.0.lend().await?;
        // The snapshot itself is taken by the first statement that reads.
        lent.execute_batch("begin").map_err(|error| self.0.failure(&error))?;
        Ok(View { inner: self.0.clone(), lent: Some(lent) })
    }
}

/// A transaction that reads.
#[derive(Debug)]
pub(crate) struct View {
    inner: Arc<Inner>,
    /// Away while a query runs.
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
        let (lent, inner) = (self.lent.take().ok_or_else(gone)?, self.inner.clone());
        let (query, bindings) = (query.clone(), bindings.to_vec());
        let over = Arc::<AtomicBool>::default();
        let given_up = OnDrop(over.clone());
        // It gives the connection back itself, also when nobody waits for it any more.
        let run = move || {
            let run = lent.limit_time(&inner, over).and_then(|()| {
                inner.run(&lent, &query.render(Places::Question, &bindings), &mut rows)
            });
            run.map(|()| (lent, rows))
        };
        let (lent, rows) = spawn_blocking(run).await.unwrap_or(Err(SourceError::Panicked))?;
        drop(given_up);
        self.lent = Some(lent);
        Ok(rows)
    }
}

/// Interrupts a query that nobody waits for.
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection of the pool, to which it goes back as it came.
#[derive(Debug)]
struct Lent {
    opened: Option<Opened>,
    place: Place<Opened>,
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.opened.as_ref().expect("there until it is dropped").connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.opened.as_mut().expect("there until it is dropped").connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        let connection = &opened.connection;
        // Without the limits of the query before: ending a transaction takes no time.
        let cleared = connection.progress_handler(0, None::<fn() -> bool>);
        let ended = cleared.and_then(|()| match connection.is_autocommit() {
            true => Ok(()),
            false => connection.execute_batch("rollback"),
        });
        if ended.is_ok() {
            self.place.keep(opened);
        }
    }
}

impl Lent {
    /// From now on a query ends at the timeout, or when it is `over`.
    fn limit_time(&self, inner: &Inner, over: Arc<AtomicBool>) -> Result<(), SourceError> {
        let clock = inner.clock.clone();
        let deadline: Instant = clock.now() + inner.timeout;
        let is_over = move || over.load(Ordering::Relaxed) || clock.now() > deadline;
        self.busy_timeout(inner.timeout)
            .and_then(|()| self.progress_handler(INSTRUCTIONS, Some(is_over)))
            .map_err(|error| inner.failure(&error))
    }
}

impl Inner {
    async fn lend(self: &Arc<Self>) -> Result<Lent, SourceError> {
        let place = self.pool.place().await?;
        let inner = self.clone();
        let lend = move || {
            // Whoever renames a new file over the old one means the new one to be read.
            let file = FileId::of(&inner.path).ok();
            let idle = place.idle_if(|opened| Some(opened.file) == file);
            let opened = idle.map_or_else(|| inner.connect(), Ok)?;
            Ok(Lent { opened: Some(opened), place })
        };
        spawn_blocking(lend).await.unwrap_or(Err(SourceError::Panicked))
    }

    fn connect(&self) -> Result<Opened, SourceError> {
        let unreachable = |reason: String| SourceError::Unreachable {
            place: self.path.display().to_string(),
            reason,
        };
        for _ in 0..OPENINGS {
            let before = FileId::of(&self.path).ok();
            let connection = self.open_file().map_err(|error| unreachable(reason(&error)))?;
            if let (Some(file), after) = (before, FileId::of(&self.path).ok())
                && after == before
            {
                return Ok(Opened { connection, file });
            }
        }
        Err(unreachable("its file is being replaced".to_owned()))
    }

    fn open_file(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        // Opening is lazy: this is where a file that is no database is noticed.
        connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))?;
        connection.authorizer(Some(only_reads))?;
        Ok(connection)
    }

    fn prepare(
        &self,
        connection: &Connection,
        query: &Query,
        sample: &[(String, Bound)],
    ) -> Result<Prepared, SourceError> {
        let failed = |error: rusqlite::Error| self.failure(&error);
        let rendered = query.render(Places::Question, sample);
        let statement = connection.prepare(&rendered.text).map_err(failed)?;
        only_named(&statement, &rendered)?;
        let column = |name: &str| Column { name: name.to_owned(), unreadable: None };
        let columns = statement.column_names().into_iter().map(column).collect();
        let explain = format!("explain query plan {}", rendered.text);
        let mut explain = connection.prepare(&explain).map_err(failed)?;
        self.bind(&mut explain, &rendered)?;
        let mut rows = explain.raw_query();
        let mut scans = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let plan: String = row.get("detail").map_err(failed)?;
            let table = scanned(&plan).map(|name| query.table_called(name).to_owned());
            if let Some(table) = table.filter(|table| is_large(connection, table)) {
                scans.push(Scan { table, plan });
            }
        }
        Ok(Prepared { columns, scans })
    }

    fn run<R: Rows>(
        &self,
        connection: &Connection,
        query: &Rendered<'_>,
        into: &mut R,
    ) -> Result<(), SourceError> {
        let failed = |error| self.failure(&error);
        let mut statement = connection.prepare_cached(&query.text).map_err(failed)?;
        only_named(&statement, query)?;
        self.bind(&mut statement, query)?;
        let columns: Vec<String> =
            statement.column_names().into_iter().map(str::to_owned).collect();
        into.columns(&columns)?;
        statement.reset_status(StatementStatus::FullscanStep);
        let mut rows = statement.raw_query();
        let run = loop {
            match rows.next() {
                Ok(None) => break Ok(()),
                Ok(Some(row)) => {
                    if let Err(error) = into.row(&Row::new(&columns, row)) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(failed(error)),
            }
        };
        drop(rows);
        let steps = statement.get_status(StatementStatus::FullscanStep);
        self.scanned.fetch_add(steps.try_into().unwrap_or(0), Ordering::Relaxed);
        run
    }

    fn bind(&self, statement: &mut Statement<'_>, query: &Rendered<'_>) -> Result<(), SourceError> {
        for (index, value) in query.values.iter().enumerate() {
            let index = index + 1;
            let bound = match value {
                Bound::Text(text) => statement.raw_bind_parameter(index, text),
                Bound::Integer(number) => statement.raw_bind_parameter(index, number),
                Bound::Number(number) => statement.raw_bind_parameter(index, number),
                Bound::Boolean(truth) => statement.raw_bind_parameter(index, truth),
                Bound::Bytes(bytes) => statement.raw_bind_parameter(index, bytes),
                Bound::Time(at) => self.bind_time(statement, index, *at),
                Bound::List(_) => unreachable!("a list is rendered as its elements"),
            };
            bound.map_err(|error| self.failure(&error))?;
        }
        Ok(())
    }

    fn bind_time(
        &self,
        statement: &mut Statement<'_>,
        index: usize,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let utc = || TimeZone::UTC.to_datetime(at);
        match self.times {
            TimeForm::Text => {
                statement.raw_bind_parameter(index, utc().strftime("%F %T").to_string())
            }
            TimeForm::Iso => statement.raw_bind_parameter(index, at.to_string()),
            TimeForm::Seconds => statement.raw_bind_parameter(index, at.as_second()),
            TimeForm::Milliseconds => statement.raw_bind_parameter(index, at.as_millisecond()),
        }
    }

    fn failure(&self, error: &rusqlite::Error) -> SourceError {
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                SourceError::Timeout { seconds: self.timeout.as_secs_f64() }
            }
            _ => SourceError::query(reason(error)),
        }
    }
}

/// A place for a value that is SQLite's own, and was not recognized before, would shift all values.
fn only_named(statement: &Statement<'_>, query: &Rendered<'_>) -> Result<(), SourceError> {
    match statement.parameter_count() == query.values.len() {
        true => Ok(()),
        false => Err(SourceError::query(
            "it has places like `?`, `@x` or `$x` for values: write parameters like :tenant",
        )),
    }
}

/// The table of a step like `SCAN orders` or `SCAN o USING COVERING INDEX by_day`.
fn scanned(plan: &str) -> Option<&str> {
    let rest = plan.strip_prefix("SCAN ")?;
    Some(rest.split(" USING ").next().unwrap_or(rest).trim())
}

/// Looks no further than it must. What is no table, like a part of the query itself, is small.
fn is_large(connection: &Connection, table: &str) -> bool {
    let quoted = table.replace('"', "\"\"");
    let query = format!("select 1 from \"{quoted}\" limit 1 offset {SMALL_TABLE}");
    connection.query_row(&query, [], |_| Ok(())).is_ok()
}

/// The last of three bolts: the file is opened read-only, and the connection only queries.
fn only_reads(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction {
            operation: TransactionOperation::Begin | TransactionOperation::Rollback,
        } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// SQLite's own words, without the query they were about.
pub(crate) fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        error => error.to_string(),
    }
}

impl Cells for rusqlite::Row<'_> {
    fn cell(&self, index: usize) -> Result<Value<'_>, String> {
        Ok(match self.get_ref(index).map_err(|error| reason(&error))? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Float(number),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|_| "text that is not UTF-8")?;
                Value::Text(text.into())
            }
            ValueRef::Blob(bytes) => Value::Bytes(bytes.into()),
        })
    }
}
