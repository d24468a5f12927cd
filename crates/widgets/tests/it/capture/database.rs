//! The three kinds of databases, each with a table of orders, and plain clients of it.

use std::path::Path;

use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use samovar_clock::Clock;
use samovar_testkit::{MariaDbServer, PostgresServer};
use samovar_widgets::{Captured, Definitions, Document, Installer, Outbox};
use tempfile::TempDir;

pub(super) enum Database {
    Sqlite(TempDir),
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

/// Somebody else, who has his own transactions.
pub(super) enum Client {
    Sqlite(Connection),
    Postgres(tokio_postgres::Client),
    MariaDb(mysql_async::Conn),
}

pub(super) const CAPTURE: &str = "[capture.orders]\nsource = \"shop\"\ntable = \"orders\"\n\
     columns = [\"tenant\", \"at\"]\ntenant = \"tenant\"\nat = \"at\"\ntag = \"orders/{day}\"\n";

impl Database {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Connection::open(folder.path().join("shop.db")).expect("a file");
        file.pragma_update(None, "journal_mode", "wal").expect("a log");
        Self::Sqlite(folder).with_orders()
    }

    pub(super) fn postgres() -> Self {
        Self::Postgres(PostgresServer::start().expect("it starts")).with_orders()
    }

    pub(super) fn maria_db() -> Self {
        Self::MariaDb(MariaDbServer::start().expect("it starts")).with_orders()
    }

    fn with_orders(self) -> Self {
        let time = if self.is_postgres() { "timestamptz" } else { "datetime" };
        self.execute(&format!(
            "create table orders (id integer primary key, tenant varchar(300), at {time}, total int)"
        ));
        self
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => "sqlite://shop.db".to_owned(),
            Self::Postgres(server) => server.url(),
            Self::MariaDb(server) => server.url(),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Sqlite(folder) => folder.path(),
            _ => Path::new(""),
        }
    }

    pub(super) fn file(&self) -> Connection {
        Connection::open(self.folder().join("shop.db")).expect("a file")
    }

    pub(super) fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(_) => self.file().execute_batch(sql).expect(sql),
            Self::Postgres(server) => server.execute(sql).expect(sql),
            Self::MariaDb(server) => server.execute(sql).expect(sql),
        }
    }

    pub(super) async fn client(&self) -> Client {
        match self {
            Self::Sqlite(_) => Client::Sqlite(self.file()),
            Self::Postgres(server) => {
                let connected = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await;
                let (client, driver) = connected.expect("connected");
                tokio::spawn(async move { drop(driver.await) });
                Client::Postgres(client)
            }
            Self::MariaDb(server) => {
                let url = server.url();
                Client::MariaDb(mysql_async::Conn::from_url(url).await.expect("connected"))
            }
        }
    }

    pub(super) fn captured(&self, captures: &str) -> Captured {
        self.captured_with("", captures)
    }

    pub(super) fn captured_with(&self, options: &str, captures: &str) -> Captured {
        let text = format!(
            "[tenants]\nlist = [{{ id = \"north\" }}]\n[source.shop]\nurl = \"{}\"\n{options}\n\
             [widget.any]\nsource = \"shop\"\nquery = \"select 1\"\n{captures}",
            self.url()
        );
        let document = Document::parse(&text).expect("it is TOML");
        let definitions = Definitions::read(&mut document.root());
        assert_eq!(document.problems(), []);
        let captures = &definitions.captures;
        Captured::of(&definitions.sources[0], captures, self.folder(), &Clock::System)
    }

    pub(super) async fn installer(&self, captures: &str) -> Installer {
        self.captured(captures).installer(None).await.expect("connected")
    }

    /// With an outbox in which nothing waits.
    pub(super) async fn installed(&self) -> Outbox {
        self.installer(CAPTURE).await.install().await.expect("installed");
        let mut outbox = self.captured(CAPTURE).open().await.expect("opened");
        take(&mut outbox).await;
        outbox
    }

    /// Whatever there is of tables, functions and triggers.
    pub(super) fn catalogue(&self) -> Vec<String> {
        match self {
            Self::Sqlite(_) => {
                let file = self.file();
                let mut names = file
                    .prepare("select name from sqlite_schema where name <> 'sqlite_sequence'")
                    .expect("a query");
                let names = names.query_map([], |row| row.get(0)).expect("rows");
                names.collect::<Result<_, _>>().expect("rows")
            }
            Self::Postgres(server) => {
                let sql = "select relname from pg_class where relnamespace = 'public'::regnamespace \
                           union all select proname from pg_proc where pronamespace = \
                           'public'::regnamespace and proname not like 'pg_stat%' \
                           union all select tgname from pg_trigger order by 1";
                let rows = server.query(sql).expect("rows").into_iter().flatten();
                rows.filter(|name| !name.starts_with("pg_stat_statements")).collect()
            }
            Self::MariaDb(server) => {
                let sql = "select table_name from information_schema.tables \
                           where table_schema = database() union all \
                           select trigger_name from information_schema.triggers \
                           where trigger_schema = database() order by 1";
                server.query(sql).expect("rows").into_iter().flatten().collect()
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
}

/// Takes and removes what there is, and says it: `orders north 2026-11-19`, or `orders *`.
pub(super) async fn take(outbox: &mut Outbox) -> Vec<String> {
    let taken = outbox.take(std::time::Duration::ZERO).await.expect("taken");
    let ids: Vec<i64> = taken.recorded.iter().map(|row| row.id).collect();
    outbox.remove(&ids).await.expect("removed");
    let mut said = Vec::new();
    for row in &taken.recorded {
        let Some(rows) = &row.rows else {
            said.push(format!("{} *", row.capture));
            continue;
        };
        for data in rows {
            let tenant = data["tenant"].as_str().unwrap_or("-");
            let at = data["at"].as_str().and_then(|at| at.get(..10)).unwrap_or("-");
            said.push(format!("{} {tenant} {at}", row.capture));
        }
    }
    said.sort();
    said.dedup();
    said
}
