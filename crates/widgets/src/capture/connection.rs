//! A connection that says what it is told to, and gives rows back as texts.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mysql_async::{Conn, Value as MySqlValue, prelude::Queryable};
use rusqlite::{Connection as File, OpenFlags, types::ValueRef};
use samovar_clock::Clock;
use tokio::task::spawn_blocking;
use tokio_postgres::SimpleQueryMessage;

use super::dialect::Rows;
use crate::{
    SourceError, SourceKind, SourceUrl,
    source::{
        mysql::Server,
        postgres::{Address, CONNECT_LIMIT, Connection as Client, Connector, Failure},
        sqlite,
    },
};

/// The server ends a statement that takes too long. Only when it does not is it given up, so much later.
const GRACE: Duration = Duration::from_millis(250);

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: SourceUrl,
    /// Where relative paths begin.
    pub(super) folder: PathBuf,
    /// Of one statement.
    pub(super) timeout: Duration,
    pub(super) may_write: bool,
    pub(super) clock: Clock,
}

/// Dropped, it is closed, whatever runs on it.
pub(super) struct Connection {
    kind: Kind,
    timeout: Duration,
    clock: Clock,
}

/// Drivers would show passwords.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

enum Kind {
    Postgres(Client),
    MySql(Box<Conn>, Arc<Server>),
    Sqlite(Arc<Mutex<File>>),
}

impl Place {
    pub(super) async fn connect(&self) -> Result<Connection, SourceError> {
        let (timeout, clock) = (self.timeout, self.clock.clone());
        let kind = match self.url.kind() {
            SourceKind::Postgres => Kind::Postgres(self.connector()?.connect().await?),
            SourceKind::MySql => {
                let server = match self.may_write {
                    true => Server::writing(&self.url, timeout, clock.clone()),
                    false => Server::reading(&self.url, timeout, clock.clone()),
                };
                let server = Arc::new(server?);
                let connected = Box::pin(server.connect(CONNECT_LIMIT)).await?;
                Kind::MySql(Box::new(connected), server)
            }
            SourceKind::Sqlite => {
                let path = self.file();
                let opened = spawn_blocking(move || open(&path, timeout)).await;
                let opened = opened.unwrap_or(Err(SourceError::Panicked))?;
                Kind::Sqlite(Arc::new(Mutex::new(opened)))
            }
        };
        Ok(Connection { kind, timeout, clock })
    }

    /// That of a SQLite database.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(self.url.path())
    }

    fn connector(&self) -> Result<Connector, SourceError> {
        let (place, timeout) = (self.url.to_string(), self.timeout);
        let address = match Address::parse(&self.url, &self.folder, timeout) {
            Ok(address) if self.may_write => address.writing(),
            Ok(address) => address,
            Err(reason) => return Err(SourceError::Unreachable { place, reason }),
        };
        Ok(Connector::new(address, place, CONNECT_LIMIT, self.clock.clone()))
    }
}

/// Nothing is created: the file has to be there.
fn open(path: &Path, timeout: Duration) -> Result<File, SourceError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = File::open_with_flags(path, flags).and_then(|file| {
        file.busy_timeout(timeout)?;
        let journal: String = file.query_row("pragma journal_mode", [], |row| row.get(0))?;
        if journal == "wal" {
            // What is deleted twice does no harm, and a log cannot be damaged by it.
            file.pragma_update(None, "synchronous", "normal")?;
        }
        Ok(file)
    });
    opened.map_err(|error| SourceError::Unreachable {
        place: path.display().to_string(),
        reason: sqlite::reason(&error),
    })
}

impl Connection {
    /// One statement, and the rows it gives.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Rows, SourceError> {
        let timed_out = SourceError::Timeout { seconds: self.timeout.as_secs_f64() };
        let limit = self.timeout + GRACE;
        match &mut self.kind {
            Kind::Postgres(client) => {
                let asked = self.clock.timeout(limit, client.client.simple_query(sql));
                let messages = asked.await.unwrap_or_else(|_| {
                    client.cut();
                    Ok(Vec::new())
                });
                match messages {
                    Ok(_) if client.is_closed() => Err(timed_out),
                    Ok(messages) => Ok(messages.iter().filter_map(texts).collect()),
                    Err(error) => {
                        let failure = Failure::from(error);
                        Err(failure.told(self.timeout, client.is_closed(), sql))
                    }
                }
            }
            Kind::MySql(conn, server) => {
                let asked = self.clock.timeout(limit, conn.query::<mysql_async::Row, _>(sql));
                let rows = asked.await.map_err(|_| timed_out)?;
                let rows = rows.map_err(|error| server.failure(&error))?;
                let text = |value: MySqlValue| match value {
                    MySqlValue::NULL => None,
                    MySqlValue::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                    other => Some(other.as_sql(true)),
                };
                Ok(rows
                    .into_iter()
                    .map(|row| row.unwrap().into_iter().map(text).collect())
                    .collect())
            }
            Kind::Sqlite(file) => {
                let (file, sql) = (file.clone(), sql.to_owned());
                let run = move || {
                    let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    read(&file, &sql)
                        .map_err(|error| SourceError::Query { reason: sqlite::reason(&error) })
                };
                spawn_blocking(run).await.unwrap_or(Err(SourceError::Panicked))
            }
        }
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<(), SourceError> {
        self.rows(sql).await.map(drop)
    }

    /// Returns when somebody rang, and never where nobody does.
    pub(super) async fn woken(&self) {
        match &self.kind {
            Kind::Postgres(client) => client.woken.notified().await,
            Kind::MySql(..) | Kind::Sqlite(_) => std::future::pending().await,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Kind::Postgres(client) = &self.kind {
            client.cut();
        }
    }
}

fn texts(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect())
}

fn read(file: &File, sql: &str) -> rusqlite::Result<Rows> {
    let mut statement = file.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        let cell = |index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Null => None,
                ValueRef::Integer(number) => Some(number.to_string()),
                ValueRef::Real(number) => Some(number.to_string()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    Some(String::from_utf8_lossy(bytes).into_owned())
                }
            })
        };
        read.push((0..columns).map(cell).collect::<rusqlite::Result<_>>()?);
    }
    Ok(read)
}
