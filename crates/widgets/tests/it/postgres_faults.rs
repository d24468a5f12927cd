//! PostgreSQL that is slow, dies or stands still, and readers that go away: nothing is left behind.

use std::{
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use samovar_clock::Clock;
use samovar_testkit::{PostgresServer, wait};
use samovar_widgets::{Row, Rows, SourceError};

use crate::postgres::{open, rows, select, shop};

const PATIENCE: Duration = Duration::from_secs(20);

/// Counts rows and keeps none.
#[derive(Debug, Default)]
struct Count(u64);

impl Rows for Count {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        row.get(0)?;
        self.0 += 1;
        Ok(())
    }
}

/// Says so when the first row is there.
pub(crate) struct Tell(pub(crate) Option<tokio::sync::oneshot::Sender<()>>);

impl Rows for Tell {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, _: &Row<'_>) -> Result<(), SourceError> {
        let _ = self.0.take().map(|first| first.send(()));
        Ok(())
    }
}

/// Stands still at the first row until it is told to go on.
struct Stuck(Receiver<()>);

impl Rows for Stuck {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, _: &Row<'_>) -> Result<(), SourceError> {
        // An error means that it was told before. It is announced, because a thread that just stands
        // still may be the one that looks at the time for all others.
        let _ = tokio::task::block_in_place(|| self.0.recv());
        Ok(())
    }
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    wait::until_async(PATIENCE, what, || std::future::ready(check().then_some(())))
        .await
        .expect("in time");
}

pub(crate) async fn nothing_runs(server: &PostgresServer, part: &str, connections: u64) {
    until("nothing to run", || {
        server.executing(part).expect("a count") == 0
            && server.connections().expect("a count") <= connections
    })
    .await;
}

#[tokio::test]
async fn a_query_that_takes_too_long_ends_at_the_server_too() {
    let server = shop();
    let source = open(&server.url(), "timeout = \"200ms\"\nconnections = 1");
    let timeout = Err(SourceError::Timeout { seconds: 0.2 });
    assert_eq!(rows(&source, "select pg_sleep(60)::text as v").await, timeout);
    nothing_runs(&server, "pg_sleep", 1).await;
    assert!(rows(&source, "select 1 as a").await.is_ok());
    // Each row is quick, and the server has no reason to end it.
    let endless = "select generate_series(1, 100000000000) as i";
    let mut snapshot = source.snapshot().await.expect("a connection");
    let query = select(endless).query;
    assert_eq!(
        snapshot.read(&query, &[], Count::default()).await.map(|it| it.0),
        timeout.map(|_| 0)
    );
    nothing_runs(&server, "generate_series", 1).await;
    let again = snapshot.read(&query, &[], Count::default()).await.map(|it| it.0);
    assert!(again.is_err(), "{again:?}");
    assert!(rows(&source, "select 1 as a").await.is_ok());
    // A table that somebody else has locked.
    let (client, connection) =
        tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client.batch_execute("begin; lock table orders").await.expect("locked");
    assert_eq!(
        rows(&source, "select total from orders").await,
        Err(SourceError::Timeout { seconds: 0.2 })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_nobody_waits_for_any_more_is_cancelled() {
    let server = shop();
    let source = open(&server.url(), "connections = 2");
    let query = select("select generate_series(1, 100000000) as i, repeat('x', 100) as t").query;
    for _ in 0..4 {
        let (first, began) = tokio::sync::oneshot::channel();
        let (source, query) = (source.clone(), query.clone());
        let reading = tokio::spawn(async move {
            let mut snapshot = source.snapshot().await.expect("a connection");
            snapshot.read(&query, &[], Tell(Some(first))).await.map(drop)
        });
        began.await.expect("a row");
        reading.abort();
        assert!(reading.await.is_err_and(|error| error.is_cancelled()));
        // One more may be on its way out of the server.
        assert!(server.connections().expect("a count") <= 3);
    }
    nothing_runs(&server, "generate_series", 2).await;
    // One that has not sent a row yet.
    let waits = open(&server.url(), "connections = 1");
    let reading = tokio::spawn(async move { rows(&waits, "select pg_sleep(60)::text as v").await });
    until("it to run", || server.executing("pg_sleep").expect("a count") == 1).await;
    reading.abort();
    let before = Clock::System.now();
    nothing_runs(&server, "pg_sleep", 2).await;
    // By a request to cancel: closing the connection alone would be noticed after the minute.
    let took = Clock::System.now().since(before);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(rows(&source, "select 1 as a").await.is_ok());
}

#[tokio::test]
async fn a_snapshot_that_is_dropped_gives_its_connection_back() {
    let server = shop();
    let source = open(&server.url(), "connections = 2");
    for _ in 0..20 {
        drop(source.snapshot().await.expect("a connection"));
        rows(&source, "select 1 as a").await.expect("a row");
    }
    let process = "select count(*) as n from pg_stat_activity where application_name = 'samovar'";
    let told = rows(&source, process).await.expect("a row");
    assert!([r#"{"rows":[{"n":1}]}"#, r#"{"rows":[{"n":2}]}"#].contains(&told.as_str()), "{told}");
    until("them to be idle", || {
        let open = "select 1 from pg_stat_activity where state like 'idle in%'";
        server.query(open).expect("rows").is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_noticed_and_used_again_when_it_is_back() {
    let server = shop();
    let source = open(&server.url(), "connections = 2");
    // An idle connection that will be dead.
    rows(&source, "select 1 as a").await.expect("a row");
    let (first, began) = tokio::sync::oneshot::channel();
    let reader = source.clone();
    let reading = tokio::spawn(async move {
        let query = select("select generate_series(1, 100000000000) as i").query;
        let mut snapshot = reader.snapshot().await?;
        snapshot.read(&query, &[], Tell(Some(first))).await.map(drop)
    });
    began.await.expect("a row");
    server.kill();
    let error = reading.await.expect("no panic").expect_err("no server");
    assert!(matches!(error, SourceError::Lost { .. }), "{error}");
    let error = rows(&source, "select 1 as a").await.expect_err("no server");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    server.restart().expect("it is back");
    assert!(rows(&source, "select 1 as a").await.is_ok());
    // Restarted while connections are idle.
    server.restart().expect("it is back");
    assert!(rows(&source, "select 1 as a").await.is_ok());
    // Ended by an administrator.
    let ends = "select pg_terminate_backend(pid) from pg_stat_activity \
                where application_name = 'samovar'";
    server.query(ends).expect("ended");
    assert!(rows(&source, "select 1 as a").await.is_ok());
}

/// In one thread, so that nobody has looked at the connection since it died.
#[tokio::test]
async fn a_connection_that_died_unnoticed_is_replaced() {
    let server = shop();
    let source = open(&server.url(), "");
    rows(&source, "select 1 as a").await.expect("a row");
    until("it to be idle", || {
        let idle = "select 1 from pg_stat_activity \
                    where application_name = 'samovar' and state = 'idle'";
        !server.query(idle).expect("rows").is_empty()
    })
    .await;
    server.restart().expect("it is back");
    assert_eq!(rows(&source, "select 1 as a").await.as_deref(), Ok(r#"{"rows":[{"a":1}]}"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_costs_no_more_than_the_limit() {
    let server = shop();
    let source = open(&server.url(), "connections = 1\ntimeout = \"500ms\"");
    let mut snapshot = source.snapshot().await.expect("a connection");
    let before = Clock::System.now();
    server.stop_process().expect("stopped");
    let query = select("select pg_sleep(0)::text as v").query;
    let read = snapshot.read(&query, &[], Count::default()).await.map(|it| it.0);
    assert_eq!(read, Err(SourceError::Timeout { seconds: 0.5 }));
    // The place is not given back before the connection is closed, which takes its time, too.
    assert_eq!(rows(&source, "select 1 as a").await, Err(SourceError::Busy));
    let fresh = open(&server.url(), "connections = 1\ntimeout = \"500ms\"");
    let error = rows(&fresh, "select 1 as a").await.expect_err("no answer");
    assert!(error.to_string().ends_with("no answer within 0.5 s"), "{error}");
    let took = Clock::System.now().since(before);
    assert!(took < Duration::from_secs(4), "{took:?}");
    server.continue_process().expect("it goes on");
    nothing_runs(&server, "pg_sleep", 1).await;
    wait::until_async(PATIENCE, "an answer", || async {
        rows(&source, "select 1 as a").await.ok()
    })
    .await
    .expect("in time");
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// More than 250 MB of rows.
const MILLIONS: &str = "select generate_series(1, 2000000) as i, repeat('x', 100) as t";
const LEAST_GROWTH_SEEN_AS_A_LEAK_KB: u64 = 32 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_server_waits_for_a_reader_that_is_slower() {
    let server = shop();
    let source = open(&server.url(), "");
    rows(&source, "select 1 as a").await.expect("a row");
    let before_kb = resident_kb();
    let (go_on, stuck) = channel();
    let reading = tokio::spawn(async move {
        let mut snapshot = source.snapshot().await.expect("a connection");
        snapshot.read(&select(MILLIONS).query, &[], Stuck(stuck)).await.map(drop)
    });
    until("the server to wait", || {
        let waits = "select 1 from pg_stat_activity where wait_event = 'ClientWrite'";
        !server.query(waits).expect("rows").is_empty()
    })
    .await;
    let grown_kb = resident_kb().saturating_sub(before_kb);
    assert!(grown_kb < LEAST_GROWTH_SEEN_AS_A_LEAK_KB, "{grown_kb} kB");
    drop(go_on);
    assert_eq!(reading.await.expect("no panic"), Ok(()));
}
