//! The three databases, set as they are in production, and somebody who writes to them.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use samovar_testkit::{MariaDbServer, PostgresServer};
use tempfile::TempDir;

pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres(PostgresServer, TempDir),
    MariaDb(MariaDbServer, TempDir),
}

pub(crate) enum Client {
    Sqlite(Connection),
    Postgres(tokio_postgres::Client),
    MariaDb(mysql_async::Conn),
}

/// Rows of the table before anything is measured.
const ROWS: u32 = 10_000;

impl Database {
    /// What is committed is on the disk.
    pub(crate) fn all() -> Vec<Self> {
        let folder = || tempfile::tempdir().expect("a folder");
        let postgres =
            PostgresServer::builder().config("fsync = on").config("full_page_writes = on");
        let maria_db = MariaDbServer::builder().config("innodb_flush_log_at_trx_commit = 1");
        let maria_db = maria_db.config("innodb_buffer_pool_size = 128M");
        let all = vec![
            Self::Postgres(
                postgres.config("shared_buffers = 128MB").start().expect("it starts"),
                folder(),
            ),
            Self::MariaDb(maria_db.start().expect("it starts"), folder()),
            Self::Sqlite(folder()),
        ];
        all.iter().for_each(Self::fill);
        all
    }

    fn fill(&self) {
        let time = if let Self::Postgres(..) = self { "timestamptz" } else { "datetime" };
        let create = format!(
            "create table orders (id integer primary key, tenant varchar(20), at {time}, total int)"
        );
        let rows = (1..=ROWS).map(|id| {
            format!("({id}, 'south', '2026-11-{:02} 10:00:00', {})", 1 + id % 20, id % 500)
        });
        let rows: Vec<String> = rows.collect();
        let insert = format!("insert into orders values {}", rows.join(", "));
        let index = "create index by_tenant on orders (tenant)";
        for sql in [create.as_str(), index] {
            match self {
                Self::Sqlite(_) => {
                    let file = self.file();
                    file.pragma_update(None, "journal_mode", "wal").expect("a log");
                    file.execute_batch(sql).expect("executed");
                }
                Self::Postgres(server, _) => server.execute(sql).expect("executed"),
                Self::MariaDb(server, _) => server.execute(sql).expect("executed"),
            }
        }
        match self {
            Self::Sqlite(_) => self.file().execute_batch(&insert).expect("rows"),
            // A command line takes only so much.
            Self::Postgres(server, _) => server
                .execute(&format!(
                    "insert into orders select n, 'south', '2026-11-01 10:00Z'::timestamptz + n % 20 * \
                     interval '1 day', n % 500 from generate_series(1, {ROWS}) n"
                ))
                .expect("rows"),
            Self::MariaDb(server, _) => server
                .execute(&format!(
                    "insert into orders select seq, 'south', '2026-11-01 10:00:00' + interval seq % 20 \
                     day, seq % 500 from seq_1_to_{ROWS}"
                ))
                .expect("rows"),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(..) => "PostgreSQL",
            Self::MariaDb(..) => "MariaDB",
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => "sqlite://shop.db".to_owned(),
            Self::Postgres(server, _) => server.url(),
            Self::MariaDb(server, _) => server.url(),
        }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        match self {
            Self::Sqlite(folder) | Self::Postgres(_, folder) | Self::MariaDb(_, folder) => {
                folder.path()
            }
        }
    }

    /// SQLite has one writer at a time.
    pub(crate) fn writers(&self) -> usize {
        if let Self::Sqlite(_) = self { 1 } else { 4 }
    }

    fn file(&self) -> Connection {
        let file = Connection::open(self.folder().join("shop.db")).expect("a file");
        file.busy_timeout(Duration::from_secs(30)).expect("a limit");
        file.pragma_update(None, "synchronous", "normal").expect("as it is in production");
        file
    }

    pub(crate) async fn client(&self) -> Client {
        match self {
            Self::Sqlite(_) => Client::Sqlite(self.file()),
            Self::Postgres(server, _) => {
                let connected = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await;
                let (client, driver) = connected.expect("connected");
                tokio::spawn(async move { drop(driver.await) });
                Client::Postgres(client)
            }
            Self::MariaDb(server, _) => {
                let connected = mysql_async::Conn::from_url(server.url()).await;
                Client::MariaDb(connected.expect("connected"))
            }
        }
    }
}

impl Client {
    /// What writers do: one order changes.
    pub(crate) async fn update(&mut self, id: u64) {
        const UPDATE: &str = "update orders set total = total + 1 where id =";
        match self {
            // Whoever writes often prepares once: with a trigger, preparing takes longer than writing.
            Self::Sqlite(file) => tokio::task::block_in_place(|| {
                let mut update = file.prepare_cached(&format!("{UPDATE} ?1")).expect(UPDATE);
                update.execute([i64::try_from(id).expect("small")]).expect(UPDATE);
            }),
            _ => self.run(&format!("{UPDATE} {id}")).await,
        }
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        match self {
            Self::Sqlite(file) => {
                tokio::task::block_in_place(|| file.execute_batch(sql)).expect(sql);
            }
            Self::Postgres(client) => client.batch_execute(sql).await.expect(sql),
            Self::MariaDb(conn) => conn.query_drop(sql).await.expect(sql),
        }
    }
}
