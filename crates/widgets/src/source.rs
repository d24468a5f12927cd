//! SQLite as a source: read only, bounded in time, rows and bytes, away from the async threads.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Row, Statement,
    hooks::{AuthAction, AuthContext, Authorization},
    types::ValueRef,
};
use samovar_clock::{Clock, Instant};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{Problem, SourceDefinition, TimeForm, WidgetDefinition, nearest};

/// Between two looks at the clock, SQLite executes this many of its instructions: about 20 µs.
const INSTRUCTIONS: i32 = 1000;

/// The value of a parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Text(String),
    /// Bound in the form in which the source keeps times.
    Time(Timestamp),
}

/// A database that widgets read from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    definition: SourceDefinition,
    path: PathBuf,
    clock: Clock,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Source {
    /// Opens a first connection. `folder` is where relative paths begin.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(
        definition: &SourceDefinition,
        folder: &Path,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let source = Self(Arc::new(Inner {
            path: folder.join(definition.url.value.path()),
            definition: definition.clone(),
            clock,
            permits: Arc::new(Semaphore::new(definition.connections)),
            idle: Mutex::default(),
        }));
        let connection = source.0.connect()?;
        source.0.idle().push(connection);
        Ok(source)
    }

    /// Which data it reads and how: the same on every machine that was given the same definitions.
    pub fn identity(&self) -> String {
        let SourceDefinition { url, times, .. } = &self.0.definition;
        format!("{} {times:?}", url.value)
    }

    /// Prepares a widget's query: it is one SELECT over tables that exist, and uses the parameters
    /// that the widget declares.
    pub fn check(&self, widget: &WidgetDefinition) -> Vec<Problem> {
        let line = widget.query.line;
        let connection = match self.0.take() {
            Ok(connection) => connection,
            Err(error) => return vec![Problem::new(line, error)],
        };
        let problems = match connection.prepare(&widget.query.value) {
            Ok(statement) => check_statement(&statement, widget),
            Err(error) => vec![explain(&error, line)],
        };
        self.0.idle().push(connection);
        problems
    }

    /// Appends `{"rows":[...]}` to `body`: one object for each row of `query`, whose parameters
    /// are bound by name. Fails when `body` gets longer than `byte_limit`.
    pub async fn append_rows(
        &self,
        query: Arc<str>,
        bindings: Vec<(String, Bound)>,
        body: Vec<u8>,
        byte_limit: u64,
    ) -> Result<Vec<u8>, SourceError> {
        let inner = self.0.clone();
        let timeout = inner.definition.timeout;
        let deadline = inner.clock.now() + timeout;
        let permit = inner.clock.timeout(timeout, inner.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(SourceError::Busy) };
        let run = move || {
            // Held until the query has really ended, also when nobody waits for it any more.
            let _permit = permit;
            let connection = inner.take()?;
            inner.limit_time(&connection, deadline)?;
            let run = inner.run(&connection, &query, &bindings, body, byte_limit);
            inner.idle().push(connection);
            run
        };
        spawn_blocking(run).await.unwrap_or(Err(SourceError::Panicked))
    }
}

impl Inner {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Connection, SourceError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn connect(&self) -> Result<Connection, SourceError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.pragma_update(None, "query_only", true)?;
            // Opening is lazy: this is where a file that is no database is noticed.
            connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))?;
            connection.authorizer(Some(only_reads))?;
            Ok(connection)
        };
        open().map_err(|error: rusqlite::Error| SourceError::Open {
            path: self.path.clone(),
            reason: reason(&error),
        })
    }

    fn limit_time(&self, connection: &Connection, deadline: Instant) -> Result<(), SourceError> {
        let clock = self.clock.clone();
        let left = deadline.since(clock.now());
        let is_over = move || clock.now() > deadline;
        connection
            .busy_timeout(left)
            .and_then(|()| connection.progress_handler(INSTRUCTIONS, Some(is_over)))
            .map_err(|error| self.failure(&error))
    }

    fn run(
        &self,
        connection: &Connection,
        query: &str,
        bindings: &[(String, Bound)],
        mut body: Vec<u8>,
        byte_limit: u64,
    ) -> Result<Vec<u8>, SourceError> {
        let failed = |error| self.failure(&error);
        let mut statement = connection.prepare_cached(query).map_err(failed)?;
        for (name, value) in bindings {
            if let Some(index) = statement.parameter_index(&format!(":{name}")).map_err(failed)? {
                let bound = match value {
                    Bound::Text(text) => statement.raw_bind_parameter(index, text),
                    Bound::Time(at) => self.bind_time(&mut statement, index, *at),
                };
                bound.map_err(failed)?;
            }
        }
        let columns: Vec<String> = statement.column_names().into_iter().map(quoted).collect();
        let mut rows = statement.raw_query();
        body.extend(b"{\"rows\":[");
        let mut count = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            if count == self.definition.row_limit {
                return Err(SourceError::TooManyRows { limit: count });
            }
            if count > 0 {
                body.push(b',');
            }
            append_row(&mut body, &columns, row)?;
            if body.len() as u64 > byte_limit {
                return Err(SourceError::TooManyBytes { limit: byte_limit });
            }
            count += 1;
        }
        body.extend(b"]}");
        Ok(body)
    }

    fn bind_time(
        &self,
        statement: &mut Statement<'_>,
        index: usize,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let utc = || TimeZone::UTC.to_datetime(at);
        match self.definition.times {
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
                SourceError::Timeout { seconds: self.definition.timeout.as_secs_f64() }
            }
            _ => SourceError::Query { reason: reason(error) },
        }
    }
}

/// What a widget with ranges can cut its rows by: instants, the second one outside; or days of the
/// tenant, both inside.
const CUTS: [&str; 4] = ["from", "to", "first_day", "last_day"];

/// The last of three bolts: the file is opened read-only, and the connection only queries.
fn only_reads(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

fn check_statement(statement: &Statement<'_>, widget: &WidgetDefinition) -> Vec<Problem> {
    let line = widget.query.line;
    let mut problems = Vec::new();
    let declared = || widget.params.iter().map(|param| param.name.value.as_str());
    let mut used = Vec::new();
    for index in 1..=statement.parameter_count() {
        let written = statement.parameter_name(index).unwrap_or("?");
        let Some(name) = written.strip_prefix(':') else {
            let problem = Problem::new(line, format!("`{written}` cannot be bound"));
            problems.push(problem.hint("write parameters like :tenant"));
            continue;
        };
        used.push(name);
        if CUTS.contains(&name) {
            if widget.ranges.is_empty() {
                let reason = format!("the query uses `:{name}`, and the widget has no ranges");
                let problem = Problem::new(line, reason);
                problems.push(problem.hint("list them: ranges = [\"7d\", \"30d\"]"));
            }
        } else if name != "tenant" && declared().all(|declared| declared != name) {
            let problem = Problem::new(line, format!("the query uses `:{name}`, not a parameter"));
            let meant = nearest(name, declared().chain(["tenant"]));
            problems.push(match meant {
                Some(meant) => problem.hint(format!("did you mean `:{meant}`?")),
                None => problem.hint(format!("declare it: params.{name} = {{ default = \"\" }}")),
            });
        }
    }
    for param in &widget.params {
        if !used.contains(&param.name.value.as_str()) {
            let reason = format!("the query does not use the parameter `{}`", param.name.value);
            let problem = Problem::new(param.name.line, reason);
            problems.push(problem.hint("each of its values would be computed and kept apart"));
        }
    }
    let is_cut = |pair: [&str; 2]| pair.iter().all(|name| used.contains(name));
    if !widget.ranges.is_empty() && !is_cut(["from", "to"]) && !is_cut(["first_day", "last_day"]) {
        let reason = "the widget has ranges, and its query is not cut by them";
        let hint = "use at >= :from and at < :to, or day between :first_day and :last_day";
        problems.push(Problem::new(line, reason).hint(hint));
    }
    let mut columns = statement.column_names();
    columns.sort_unstable();
    for pair in columns.windows(2).filter(|pair| pair[0] == pair[1]) {
        let problem = Problem::new(line, format!("two columns are called `{}`", pair[0]));
        problems.push(problem.hint("name them apart with `as`"));
    }
    problems
}

fn explain(error: &rusqlite::Error, line: usize) -> Problem {
    let problem = Problem::new(line, format!("the query cannot be prepared: {}", reason(error)));
    let only_select = "a widget's query is one SELECT";
    match error.sqlite_error_code() {
        Some(ErrorCode::AuthorizationForStatementDenied) => problem.hint(only_select),
        _ if matches!(error, rusqlite::Error::MultipleStatement) => problem.hint(only_select),
        _ => problem,
    }
}

/// SQLite's own words, without the query they were about.
fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        error => error.to_string(),
    }
}

fn append_row(body: &mut Vec<u8>, columns: &[String], row: &Row<'_>) -> Result<(), SourceError> {
    for (index, column) in columns.iter().enumerate() {
        body.push(if index == 0 { b'{' } else { b',' });
        body.extend(column.as_bytes());
        body.push(b':');
        let value =
            row.get_ref(index).map_err(|error| SourceError::Query { reason: reason(&error) })?;
        append_value(body, value).map_err(|found| {
            let column = column.trim_matches('"').to_owned();
            SourceError::Type { column, found }
        })?;
    }
    body.push(b'}');
    Ok(())
}

fn append_value(body: &mut Vec<u8>, value: ValueRef<'_>) -> Result<(), &'static str> {
    match value {
        ValueRef::Null => body.extend(b"null"),
        ValueRef::Integer(number) => {
            write!(body, "{number}").expect("memory takes everything");
        }
        ValueRef::Real(number) if number.is_finite() => {
            serde_json::to_writer(body, &number).expect("memory takes everything");
        }
        ValueRef::Real(_) => return Err("an infinite number"),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| "text that is not UTF-8")?;
            serde_json::to_writer(body, text).expect("memory takes everything");
        }
        ValueRef::Blob(_) => return Err("bytes"),
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// Why a source has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {}: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    #[error("all connections of the source stayed busy")]
    Busy,
    #[error("the query took longer than {seconds} s")]
    Timeout { seconds: f64 },
    #[error("the query has more than {limit} rows: narrow it, or raise the source's row_limit")]
    TooManyRows { limit: usize },
    #[error("the answer has more than {limit} bytes: narrow the query, or raise value_limit")]
    TooManyBytes { limit: u64 },
    #[error("column `{column}` holds {found}, for which JSON has no form: convert it in the query")]
    Type { column: String, found: &'static str },
    #[error("the query failed: {reason}")]
    Query { reason: String },
    #[error("reading the rows panicked")]
    Panicked,
}
