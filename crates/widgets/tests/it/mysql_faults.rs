//! MariaDB as a source, when it or its readers go away: nothing is left behind, nobody waits too
//! long, and no secret is told.

use std::time::Duration;

use samovar_clock::Clock;
use samovar_testkit::{MariaDbServer, wait};
use samovar_widgets::{Row, Rows, SourceError};
use tokio::sync::oneshot;

use crate::mysql::{Count, LIMIT, one, open, query, rows, shop, try_open};

/// What must not happen, and takes nothing with it when it does.
struct Panics;

impl Rows for Panics {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, _: &Row<'_>) -> Result<(), SourceError> {
        panic!("in the middle of the rows");
    }
}

/// When nothing runs, and no more connections are open than these.
pub(crate) async fn quiet(server: &MariaDbServer, connections: u64) {
    let is_quiet = || async {
        let runs = server.executing("select").expect("an answer");
        let open = server.connections().expect("an answer");
        (runs == 0 && open <= connections).then_some(())
    };
    wait::until_async(LIMIT, "the server to be quiet", is_quiet).await.expect("quiet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_leaves_nothing_running() {
    let server = shop();
    // Who may do nothing but read.
    server
        .execute("create user reader identified by 'pw'; grant select on samovar.* to reader")
        .expect("a user");
    let url = format!("mysql://reader:pw@{}/samovar", server.address());
    let source = open(&url, "connections = 2");
    for round in 0..8 {
        let mut snapshot = source.snapshot().await.expect("a connection");
        let (count, told) = Count::telling(1000);
        let many = query("select seq, repeat('x', 200) from seq_1_to_5000000");
        let read = snapshot.read(&many, &[], count);
        tokio::select! {
            read = read => panic!("read to its end: {:?}", read.map(|it| it.rows)),
            told = told => told.expect("told"),
        }
        if round % 2 == 0 {
            // Nor is it of any use while it is held.
            let error = snapshot.read(&many, &[], Count::new()).await.map(|it| it.rows);
            assert!(matches!(error, Err(SourceError::Query { .. })), "{error:?}");
        }
    }
    let (waiting, started) = oneshot::channel();
    let sleeping = source.clone();
    let sleeper = tokio::spawn(async move {
        let mut snapshot = sleeping.snapshot().await.expect("a connection");
        waiting.send(()).expect("somebody waits");
        snapshot.read(&query("select sleep(600) as v"), &[], Count::new()).await.map(|it| it.rows)
    });
    started.await.expect("begun");
    let sleeps = || async {
        let runs = server.executing("select sleep").expect("an answer");
        (runs == 1).then_some(())
    };
    wait::until_async(LIMIT, "the query to run", sleeps).await.expect("it runs");
    sleeper.abort();
    let mut snapshot = source.snapshot().await.expect("a connection");
    let many = query("select seq from seq_1_to_5000000");
    let panicked = snapshot.read(&many, &[], Panics).await.map(drop);
    assert_eq!(panicked, Err(SourceError::Panicked));
    drop(snapshot);
    quiet(&server, 2).await;
    assert_eq!(rows(&source, "select 1 as v").await, one("1"));
    // Two places, who kills for each of them, and the one who asks.
    assert!(server.status("Max_used_connections").expect("an answer") <= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_noticed_and_one_that_is_back_is_read_at_once() {
    let server = shop();
    let source = open(&server.url(), "connections = 2");
    let both = (source.snapshot().await, source.snapshot().await);
    drop((both.0.expect("a connection"), both.1.expect("a connection")));
    quiet(&server, 2).await;
    server.restart().expect("it starts");
    // Nobody hears that the connections that were kept are dead.
    let first = source.snapshot().await.expect("a connection");
    assert_eq!(rows(&source, "select 1 as v").await, one("1"));
    drop(first);
    let (count, told) = Count::telling(1000);
    let reading = source.clone();
    let read = tokio::spawn(async move {
        let mut snapshot = reading.snapshot().await.expect("a connection");
        let many = query("select seq, repeat('x', 200) from seq_1_to_5000000");
        snapshot.read(&many, &[], count).await.map(|it| it.rows)
    });
    told.await.expect("told");
    server.kill();
    let error = read.await.expect("no panic").expect_err("the server is gone");
    assert!(matches!(error, SourceError::Lost { .. }), "{error}");
    let error = rows(&source, "select 1 as v").await.expect_err("the server is gone");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    server.restart().expect("it starts");
    assert_eq!(rows(&source, "select 1 as v").await, one("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up_in_time() {
    let server = shop();
    let source = open(&server.url(), "connections = 2\ntimeout = \"1s\"");
    let (count, told) = Count::telling(1000);
    let reading = source.clone();
    let read = tokio::spawn(async move {
        let mut snapshot = reading.snapshot().await.expect("a connection");
        let many = query("select seq, repeat('x', 200) from seq_1_to_50000000");
        snapshot.read(&many, &[], count).await.map(|it| it.rows)
    });
    told.await.expect("told");
    server.stop_process().expect("it runs");
    let clock = Clock::System;
    let begun = clock.now();
    assert_eq!(read.await.expect("no panic"), Err(SourceError::Timeout { seconds: 1.0 }));
    let error = rows(&source, "select 1 as v").await.expect_err("no answer");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(clock.now().since(begun) < Duration::from_secs(5));
    server.continue_process().expect("it stands still");
    quiet(&server, 2).await;
    assert_eq!(rows(&source, "select 1 as v").await, one("1"));
}

#[tokio::test]
async fn whom_the_server_does_not_let_in_is_told_why_without_the_password() {
    let server = shop();
    let address = server.address();
    let wrong = format!("mysql://samovar:s%33cret-s3cret@{address}/samovar");
    let source = open(&wrong, "");
    let error = rows(&source, "select 1 as v").await.expect_err("a wrong password");
    assert!(matches!(&error, SourceError::Unreachable { reason, .. } if reason.contains("denied")));
    let shown = format!("{error} {error:?} {source:?} {}", source.identity());
    assert!(!shown.contains("s3cret") && !shown.contains("s%33"), "{shown}");

    let good = open(&server.url().replace("mysql://", "mariadb://"), "");
    let held = good.snapshot().await.expect("a connection");
    let shown = format!("{good:?} {held:?}");
    assert!(!shown.contains("samovar:samovar") && !shown.contains("pass"), "{shown}");
    let other = open(&server.url().replace("//samovar:", "//somebody:"), "");
    assert_ne!(good.identity(), other.identity());
    assert!(!format!("{other:?}").contains("somebody"));
    drop(held);

    let secured = open(&format!("{}?require_ssl=true", server.url()), "");
    let error = rows(&secured, "select 1 as v").await.expect_err("it has no TLS");
    assert!(matches!(&error, SourceError::Unreachable { reason, .. } if reason.contains("SSL")));
    let misspelt = try_open("mysql://me:s3cret@db/shop?require_tls=s3cret", "");
    let error = misspelt.map(drop).expect_err("no such option").to_string();
    assert!(error.contains("mysql://db/shop") && !error.contains("s3cret"), "{error}");

    server.kill();
    let (clock, source) = (Clock::System, open(&wrong, ""));
    let begun = clock.now();
    let error = rows(&source, "select 1 as v").await.expect_err("the server is gone");
    assert!(matches!(&error, SourceError::Unreachable { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    assert!(clock.now().since(begun) < Duration::from_secs(2));
}

#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let authority = file("authority.pem", include_str!("tls/authority.pem"));
    let certificate = file("server.pem", include_str!("tls/server.pem"));
    let key = file("server-key.pem", include_str!("tls/server-key.pem"));
    let server = MariaDbServer::builder()
        .config(format!("ssl-cert={certificate}"))
        .config(format!("ssl-key={key}"))
        .start()
        .expect("a server");
    let text = "select length(variable_value) > 0 as v from information_schema.session_status \
                where variable_name = 'ssl_cipher'";
    let read = async |options: &str| {
        let source = open(&format!("{}{options}", server.url()), "");
        rows(&source, text).await
    };
    assert_eq!(read("").await, one("0"));
    assert_eq!(read(&format!("?require_ssl=true&ssl_ca={authority}")).await, one("1"));
    assert_eq!(read("?require_ssl=true&verify_ca=false").await, one("1"));
    let error = read("?require_ssl=true").await.expect_err("unknown");
    assert!(
        matches!(&error, SourceError::Unreachable { reason, .. } if reason.contains("certificate"))
    );
    let named = server.url().replace("127.0.0.1", "localhost");
    let named = open(&format!("{named}?require_ssl=true&ssl_ca={authority}"), "");
    let error = rows(&named, text).await.expect_err("another name");
    assert!(
        matches!(&error, SourceError::Unreachable { reason, .. } if reason.contains("certificate"))
    );
}
