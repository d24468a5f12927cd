//! A shop whose source is one of three databases, with plain clients of it.

use std::path::Path;

use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use samovar_testkit::{MariaDbServer, PostgresServer, Proxy, wait};
use tempfile::TempDir;

use crate::shop::{LIMIT, Served, command_in};

/// A source, reached through a proxy where it is a server.
pub(super) struct Shop {
    pub(super) folder: TempDir,
    pub(super) source: Source,
    pub(super) proxy: Option<Proxy>,
}

pub(super) enum Source {
    Sqlite,
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

/// Somebody who writes to it, and knows nothing of us.
pub(super) enum Client {
    Sqlite(Connection),
    Postgres(tokio_postgres::Client),
    MariaDb(mysql_async::Conn),
}

impl Shop {
    pub(super) fn sqlite() -> Self {
        Self::over(Source::Sqlite, None)
    }

    pub(super) fn postgres() -> Self {
        let server = PostgresServer::start().expect("it starts");
        let proxy = Proxy::start(server.address()).expect("a proxy");
        Self::over(Source::Postgres(server), Some(proxy))
    }

    pub(super) fn maria_db() -> Self {
        let server = MariaDbServer::start().expect("it starts");
        let proxy = Proxy::start(server.address()).expect("a proxy");
        Self::over(Source::MariaDb(server), Some(proxy))
    }

    fn over(source: Source, proxy: Option<Proxy>) -> Self {
        let shop = Self { folder: tempfile::tempdir().expect("a folder"), source, proxy };
        if let Source::Sqlite = shop.source {
            shop.file().pragma_update(None, "journal_mode", "wal").expect("a log");
        }
        let time = match shop.source {
            Source::Sqlite => "text",
            Source::Postgres(_) => "timestamptz",
            Source::MariaDb(_) => "datetime",
        };
        // Writers touch rows of their own only, so that none waits for another one.
        shop.execute(&format!(
            "create table orders (id int, writer int, tenant varchar(20), channel varchar(20), \
             at {time}, total int, primary key (writer, id))"
        ));
        shop.execute("create index by_tenant on orders (tenant, at)");
        shop.configure("");
        shop
    }

    /// The same widgets over each of them, and whatever else.
    pub(super) fn configure(&self, more: &str) {
        let url = match (&self.source, &self.proxy) {
            (Source::Postgres(server), Some(proxy)) => {
                server.url().replace(&server.address().to_string(), &proxy.address().to_string())
            }
            (Source::MariaDb(server), Some(proxy)) => {
                server.url().replace(&server.address().to_string(), &proxy.address().to_string())
            }
            _ => "sqlite://shop.db".to_owned(),
        };
        let text = include_str!("shop.toml").replace("{url}", &url);
        std::fs::write(self.path().join("samovar.toml"), text + more).expect("written");
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn serve(&self) -> Served {
        let command = command_in(self.path(), &["serve", "--listen", "127.0.0.1:0"]);
        Served::of(samovar_testkit::Process::spawn(command).expect("it starts"))
    }

    /// How a command ended, and what it said.
    pub(super) fn ending(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let process = samovar_testkit::Process::spawn(command_in(self.path(), arguments));
        let process = process.expect("it starts");
        let status = process.wait(LIMIT).expect("it ends");
        (status.code(), process.stdout() + &process.stderr())
    }

    pub(super) fn install(&self) {
        let (code, said) = self.ending(&["capture", "install"]);
        assert_eq!(code, Some(0), "{said}");
    }

    pub(super) fn name(&self) -> &'static str {
        match self.source {
            Source::Sqlite => "SQLite",
            Source::Postgres(_) => "PostgreSQL",
            Source::MariaDb(_) => "MariaDB",
        }
    }

    pub(super) fn file(&self) -> Connection {
        let file = Connection::open(self.path().join("shop.db")).expect("a file");
        file.busy_timeout(LIMIT).expect("a limit");
        file
    }

    pub(super) fn execute(&self, sql: &str) {
        match &self.source {
            Source::Sqlite => self.file().execute_batch(sql).expect(sql),
            Source::Postgres(server) => server.execute(sql).expect(sql),
            Source::MariaDb(server) => server.execute(sql).expect(sql),
        }
    }

    pub(super) async fn client(&self) -> Client {
        match &self.source {
            Source::Sqlite => {
                let file = self.file();
                file.pragma_update(None, "synchronous", "off").expect("no waiting");
                Client::Sqlite(file)
            }
            Source::Postgres(server) => {
                let connected = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await;
                let (client, driver) = connected.expect("connected");
                tokio::spawn(async move { drop(driver.await) });
                Client::Postgres(client)
            }
            Source::MariaDb(server) => {
                let connected = mysql_async::Conn::from_url(server.url()).await;
                let mut conn = connected.expect("connected");
                let words = "set session transaction isolation level read committed";
                conn.query_drop(words).await.expect(words);
                Client::MariaDb(conn)
            }
        }
    }
}

impl Client {
    pub(super) async fn run(&mut self, sql: &str) {
        match self {
            Self::Sqlite(file) => file.execute_batch(sql).expect(sql),
            Self::Postgres(client) => client.batch_execute(sql).await.expect(sql),
            Self::MariaDb(conn) => conn.query_drop(sql).await.expect(sql),
        }
    }

    /// Rows of texts.
    pub(super) async fn ask(&mut self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(file) => {
                let mut statement = file.prepare(sql).expect(sql);
                let columns = statement.column_count();
                let row = |row: &rusqlite::Row<'_>| {
                    (0..columns)
                        .map(|it| match row.get_ref(it)? {
                            rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
                            other => Ok(other.as_str()?.to_owned()),
                        })
                        .collect()
                };
                let rows = statement.query_map([], row).expect(sql);
                rows.collect::<Result<_, _>>().expect(sql)
            }
            Self::Postgres(client) => {
                let messages = client.simple_query(sql).await.expect(sql);
                let rows = messages.iter().filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                let cell = |cell: Option<&str>| cell.unwrap_or_default().to_owned();
                rows.map(|row| (0..row.len()).map(|it| cell(row.get(it))).collect()).collect()
            }
            Self::MariaDb(conn) => {
                let rows: Vec<mysql_async::Row> = conn.query(sql).await.expect(sql);
                let cell = |value| mysql_async::from_value::<Option<String>>(value);
                let row = |row: mysql_async::Row| row.unwrap().into_iter();
                rows.into_iter()
                    .map(|it| row(it).map(|it| cell(it).unwrap_or_default()).collect())
                    .collect()
            }
        }
    }

    pub(super) async fn number(&mut self, sql: &str) -> u64 {
        self.ask(sql).await[0][0].parse().expect("a number")
    }

    /// Returns when everything that was recorded has been applied.
    pub(super) async fn wait_until_applied(&mut self) {
        let client = tokio::sync::Mutex::new(self);
        let waiting = wait::until_async(LIMIT, "the outbox to be empty", || async {
            let left = client.lock().await.number("select count(*) from samovar_outbox").await;
            (left == 0).then_some(())
        });
        waiting.await.expect("everything is applied");
    }
}
