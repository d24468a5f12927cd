//! Rows that panic are an error of their query, whatever the database, and cost no place in the pool.

use std::path::Path;

use samovar_clock::Clock;
use samovar_testkit::{MariaDbServer, PostgresServer};
use samovar_widgets::{Definitions, Document, Query, Row, Rows, Source, SourceError};

#[derive(Debug)]
struct Broken;

impl Rows for Broken {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, _: &Row<'_>) -> Result<(), SourceError> {
        panic!("a row that is meant to panic")
    }
}

#[derive(Debug)]
struct Any;

impl Rows for Any {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, _: &Row<'_>) -> Result<(), SourceError> {
        Ok(())
    }
}

async fn are_told(url: &str, folder: &Path) {
    let text = format!("[source.s]\nurl = \"{url}\"\nconnections = 1\n");
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let source = Source::open(&definitions.sources[0], folder, Clock::System).expect("it opens");
    let query = Query::parse(source.kind(), "select 1 as a union all select 2").expect("a select");
    for _ in 0..3 {
        let mut snapshot = source.snapshot().await.expect("the only connection");
        let error = snapshot.read(&query, &[], Broken).await.map(drop);
        assert_eq!(error, Err(SourceError::Panicked));
        assert!(snapshot.read(&query, &[], Any).await.is_err());
    }
    let mut snapshot = source.snapshot().await.expect("a connection");
    snapshot.read(&query, &[], Any).await.expect("rows");
}

#[tokio::test]
async fn of_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    rusqlite::Connection::open(folder.path().join("s.db")).expect("a database");
    are_told("sqlite://s.db", folder.path()).await;
}

#[tokio::test]
async fn of_postgres() {
    let server = PostgresServer::start().expect("it starts");
    are_told(&server.url(), Path::new("")).await;
}

#[tokio::test]
async fn of_mariadb() {
    let server = MariaDbServer::start().expect("it starts");
    are_told(&server.url(), Path::new("")).await;
}
