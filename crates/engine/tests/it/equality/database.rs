//! The databases that are asked directly, each in its own words. Every value comes as a text.

use std::{collections::HashMap, path::Path};

use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use rusqlite::{Connection, types::ValueRef};
use samovar_testkit::{MariaDbServer, PostgresServer};
use tempfile::TempDir;

pub(super) type Row = Vec<Option<String>>;

pub(super) enum Database {
    Sqlite {
        folder: TempDir,
        connection: Connection,
    },
    Postgres {
        server: PostgresServer,
        client: tokio_postgres::Client,
        statements: HashMap<String, tokio_postgres::Statement>,
    },
    MariaDb {
        server: MariaDbServer,
        connection: mysql_async::Conn,
    },
}

impl Database {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = Connection::open(folder.path().join("shop.db")).expect("a database");
        connection.pragma_update(None, "journal_mode", "wal").expect("a log");
        connection.pragma_update(None, "synchronous", "off").expect("no waiting");
        Database::Sqlite { folder, connection }
    }

    pub(super) async fn postgres() -> Self {
        let server = PostgresServer::start().expect("it starts");
        let connected = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await;
        let (client, driver) = connected.expect("connected");
        // It ends with the client.
        tokio::spawn(async move { drop(driver.await) });
        Database::Postgres { server, client, statements: HashMap::new() }
    }

    pub(super) async fn maria_db() -> Self {
        let server = MariaDbServer::start().expect("it starts");
        let connected = mysql_async::Conn::from_url(server.url()).await;
        let mut connection = connected.expect("connected");
        // Texts are written as in standard SQL.
        let words = "set time_zone = '+00:00', sql_mode = 'NO_BACKSLASH_ESCAPES'";
        connection.query_drop(words).await.expect("executed");
        Database::MariaDb { server, connection }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Database::Sqlite { .. } => "SQLite",
            Database::Postgres { .. } => "PostgreSQL",
            Database::MariaDb { .. } => "MariaDB",
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Database::Sqlite { .. } => "sqlite://shop.db".to_owned(),
            Database::Postgres { server, .. } => server.url(),
            Database::MariaDb { server, .. } => server.url(),
        }
    }

    /// Where paths in urls begin.
    pub(super) fn folder<'a>(&'a self, otherwise: &'a Path) -> &'a Path {
        match self {
            Database::Sqlite { folder, .. } => folder.path(),
            _ => otherwise,
        }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Database::Sqlite { .. })
    }

    /// Types of columns: of times, of decimals with so many digits behind the point, of JSON, and of
    /// texts that are compared by their bytes.
    pub(super) fn types(&self) -> [&'static str; 5] {
        match self {
            Database::Sqlite { .. } => ["text", "real", "text", "text", "text"],
            Database::Postgres { .. } => {
                let text = "varchar(60) collate \"C\"";
                ["timestamptz", "numeric(12,2)", "numeric(16,4)", "jsonb", text]
            }
            Database::MariaDb { .. } => {
                let text = "varchar(60) collate utf8mb4_nopad_bin";
                ["datetime(3)", "decimal(12,2)", "decimal(16,4)", "json", text]
            }
        }
    }

    /// How an instant is written into a row.
    pub(super) fn instant(&self, at: Timestamp) -> String {
        let whole = at.as_millisecond() % 1000 == 0;
        match self {
            Database::Sqlite { .. } if whole => at.strftime("'%F %T'").to_string(),
            Database::Postgres { .. } => format!("'{at}'"),
            _ => at.strftime("'%F %T%.3f'").to_string(),
        }
    }

    /// A column of times in one form.
    pub(super) fn shown_time(&self) -> &'static str {
        match self {
            Database::Sqlite { .. } => "received_at",
            Database::Postgres { .. } => {
                "to_char(received_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"
            }
            Database::MariaDb { .. } => "date_format(received_at, '%Y-%m-%d %H:%i:%s.%f')",
        }
    }

    /// The place of a text, and of an instant.
    pub(super) fn place(&self, number: usize) -> (String, String) {
        match self {
            Database::Postgres { .. } => {
                (format!("${number}::text"), format!("${number}::text::timestamptz"))
            }
            _ => ("?".to_owned(), "?".to_owned()),
        }
    }

    /// What an instant is bound as.
    pub(super) fn bound(&self, at: Timestamp) -> String {
        match self {
            Database::Postgres { .. } => at.to_string(),
            _ => at.strftime("%F %T").to_string(),
        }
    }

    pub(super) async fn execute(&mut self, sql: &str) {
        match self {
            Database::Sqlite { connection, .. } => connection.execute_batch(sql).expect(sql),
            Database::Postgres { client, .. } => client.batch_execute(sql).await.expect(sql),
            Database::MariaDb { connection, .. } => connection.query_drop(sql).await.expect(sql),
        }
    }

    /// The rows of `select COLUMNS REST`.
    pub(super) async fn ask(&mut self, columns: &[&str], rest: &str, given: &[String]) -> Vec<Row> {
        match self {
            Database::Sqlite { connection, .. } => {
                let sql = format!("select {} {rest}", columns.join(", "));
                let mut statement = connection.prepare_cached(&sql).expect(&sql);
                let read = |row: &rusqlite::Row<'_>| {
                    (0..columns.len()).map(|at| Ok(sqlite_text(row.get_ref(at)?))).collect()
                };
                let given = rusqlite::params_from_iter(given);
                let rows = statement.query_map(given, read).expect(&sql);
                rows.collect::<rusqlite::Result<Vec<Row>>>().expect(&sql)
            }
            Database::Postgres { client, statements, .. } => {
                let columns: Vec<_> = columns.iter().map(|it| format!("({it})::text")).collect();
                let sql = format!("select {} {rest}", columns.join(", "));
                let statement = match statements.get(&sql) {
                    Some(known) => known.clone(),
                    None => {
                        let prepared = client.prepare(&sql).await.expect(&sql);
                        statements.entry(sql.clone()).or_insert(prepared).clone()
                    }
                };
                let given: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                    given.iter().map(|it| it as _).collect();
                let rows = client.query(&statement, &given).await.expect(&sql);
                let read =
                    |row: &tokio_postgres::Row| (0..columns.len()).map(|at| row.get(at)).collect();
                rows.iter().map(read).collect()
            }
            Database::MariaDb { connection, .. } => {
                let sql = format!("select {} {rest}", columns.join(", "));
                let given = mysql_async::Params::from(given.to_vec());
                let rows: Vec<mysql_async::Row> = connection.exec(&sql, given).await.expect(&sql);
                let read =
                    |row: mysql_async::Row| row.unwrap().into_iter().map(maria_db_text).collect();
                rows.into_iter().map(read).collect()
            }
        }
    }
}

fn sqlite_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        other => Some(other.as_str().expect("a text").to_owned()),
    }
}

fn maria_db_text(value: mysql_async::Value) -> Option<String> {
    match value {
        mysql_async::Value::NULL => None,
        mysql_async::Value::Int(number) => Some(number.to_string()),
        mysql_async::Value::UInt(number) => Some(number.to_string()),
        mysql_async::Value::Double(number) => Some(number.to_string()),
        mysql_async::Value::Bytes(bytes) => Some(String::from_utf8(bytes).expect("a text")),
        other => panic!("no text: {other:?}"),
    }
}
