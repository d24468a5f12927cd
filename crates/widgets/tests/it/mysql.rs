//! MariaDB as a source: it can only be read, within limits, and nothing is left behind.

use std::{path::Path, time::Duration};

use samovar_clock::Clock;
use samovar_testkit::{MariaDbServer, wait};
use samovar_widgets::{
    Bound, Definitions, Document, Limits, Query, Row, Rows, Scan, Selection, Source, SourceError,
    SourceKind, Value,
};
use tokio::sync::oneshot;

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn open(url: &str, options: &str) -> Source {
    try_open(url, options).expect("it opens")
}

fn try_open(url: &str, options: &str) -> Result<Source, SourceError> {
    let text = format!("[source.shop]\nurl = \"{url}\"\n{options}\n");
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    Source::open(&definitions.sources[0], Path::new(""), Clock::System)
}

fn query(text: &str) -> Query {
    Query::parse(SourceKind::MySql, text).expect("a select")
}

fn select(text: &str) -> Selection {
    Selection { query: query(text), json: Vec::new(), one: false, related: Vec::new() }
}

fn bindings() -> Vec<(String, Bound)> {
    let bindings = [("tenant", "north"), ("channel", "web' or '1'='1")];
    let text = |(name, value): (&str, &str)| (name.to_owned(), Bound::Text(value.to_owned()));
    bindings.map(text).to_vec()
}

async fn answer(
    source: &Source,
    selection: &Selection,
    bindings: &[(String, Bound)],
    bytes: u64,
) -> Result<String, SourceError> {
    let limits = Limits { rows: source.row_limit(), bytes };
    let mut snapshot = source.snapshot().await?;
    let body = selection.append(&mut snapshot, bindings, limits, Vec::new()).await?;
    Ok(String::from_utf8(body).expect("JSON is UTF-8"))
}

pub(crate) async fn rows(source: &Source, text: &str) -> Result<String, SourceError> {
    answer(source, &select(text), &bindings(), 100_000).await
}

fn one(json: &str) -> Result<String, SourceError> {
    Ok(format!("{{\"rows\":[{{\"v\":{json}}}]}}"))
}

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

/// Counts rows, and tells when there are so many.
struct Count {
    rows: u64,
    tell: Option<(u64, oneshot::Sender<()>)>,
}

impl Count {
    fn new() -> Self {
        Self { rows: 0, tell: None }
    }

    fn telling(at: u64) -> (Self, oneshot::Receiver<()>) {
        let (sender, told) = oneshot::channel();
        (Self { rows: 0, tell: Some((at, sender)) }, told)
    }
}

impl Rows for Count {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        assert!(!matches!(row.get(0)?, Value::Null));
        self.rows += 1;
        if let Some((_, sender)) = self.tell.take_if(|(at, _)| *at == self.rows) {
            let _ = sender.send(());
        }
        Ok(())
    }
}

/// When nothing runs, and no more connections are open than these.
async fn quiet(server: &MariaDbServer, connections: u64) {
    let is_quiet = || async {
        let runs = server.executing("select").expect("an answer");
        let open = server.connections().expect("an answer");
        (runs == 0 && open <= connections).then_some(())
    };
    wait::until_async(LIMIT, "the server to be quiet", is_quiet).await.expect("quiet");
}

fn shop() -> MariaDbServer {
    let server = MariaDbServer::start().expect("a server");
    server
        .execute(
            "create table orders (tenant varchar(20), channel varchar(20), total int, note text);
             insert into orders values ('north', 'web', 5, 'a \"b\"'), ('north', 'web', 7, null),
                                       ('north', 'till', 1, ''), ('south', 'web', 100, '');",
        )
        .expect("a table");
    server
}

#[tokio::test]
async fn rows_become_objects_and_values_are_bound_not_pasted() {
    let server = shop();
    let source = open(&server.url(), "");
    let all =
        "select total, total / 2 as half, note from orders where tenant = :tenant and total > 4";
    assert_eq!(
        rows(&source, all).await.expect("rows"),
        r#"{"rows":[{"total":5,"half":2.5000,"note":"a \"b\""},{"total":7,"half":3.5000,"note":null}]}"#
    );
    let none = "select total from orders where channel = :channel";
    assert_eq!(rows(&source, none).await.expect("rows"), r#"{"rows":[]}"#);
    let text = rows(&source, "select :channel as v, ':tenant 10:30' as w").await;
    assert_eq!(text.expect("a row"), r#"{"rows":[{"v":"web' or '1'='1","w":":tenant 10:30"}]}"#);
}

#[tokio::test]
async fn every_kind_of_value_is_bound() {
    let server = shop();
    let at = Bound::Time("2026-11-20T23:05:07.25Z".parse().expect("a time"));
    let list = Bound::List([5, 7].map(Bound::Integer).to_vec());
    let bindings = [
        ("at", at),
        ("list", list),
        ("big", Bound::Integer(i64::MIN)),
        ("number", Bound::Number(0.1)),
        ("truth", Bound::Boolean(true)),
        ("text", Bound::Text("zw\u{f6}lf \u{1f375}".to_owned())),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    for (times, sql, json) in [
        ("", ":at = '2026-11-20 23:05:07.25'", "1"),
        ("", "timestamp'2026-11-20 23:05:07' < :at", "1"),
        ("", "unix_timestamp(:at)", "\"1795215907.250000\""),
        ("times = \"iso\"", ":at", "\"2026-11-20T23:05:07.25Z\""),
        ("times = \"seconds\"", ":at", "1795215907"),
        ("times = \"milliseconds\"", ":at", "1795215907250"),
        ("", "(select count(*) from orders where total in (:list))", "2"),
        ("", ":big", "\"-9223372036854775808\""),
        ("", ":number", "0.1"),
        ("", ":truth", "1"),
        ("", "hex(:text)", "\"7A77C3B66C6620F09F8DB5\""),
        ("", ":missing", "null"),
    ] {
        let source = open(&server.url(), times);
        let found = answer(&source, &select(&format!("select {sql} as v")), &bindings, 1000).await;
        assert_eq!(found, one(json), "{sql}");
    }
}

/// The driver has parameters of its own, `:name`, and looks for them with a parser that takes the
/// quote after an operator for nothing: it would send another text than was written.
#[tokio::test]
async fn a_text_that_the_driver_would_change_is_refused() {
    let server = shop();
    let source = open(&server.url(), "");
    for text in ["select -'1' as v, '10:abc' as w", "select :tenant as u, -'1' as v, '10:abc' as w"]
    {
        let error = rows(&source, text).await.expect_err("refused").to_string();
        assert!(error.contains("put a space"), "{error}");
        let error = source.prepare(&query(text), &bindings()).await.expect_err("refused");
        assert!(error.to_string().contains("put a space"), "{error}");
    }
    let spaced = rows(&source, "select - '1' as v, '10:abc' as w").await;
    assert_eq!(spaced.expect("a row"), r#"{"rows":[{"v":-1.0,"w":"10:abc"}]}"#);
}

#[tokio::test]
async fn what_is_read_through_one_snapshot_is_of_one_moment() {
    let server = shop();
    let source = open(&server.url(), "");
    let count = select("select count(*) as v from orders");
    let limits = Limits { rows: 1, bytes: 1000 };
    let mut snapshot = source.snapshot().await.expect("a connection");
    // It began before anything was read.
    server.execute("insert into orders values ('north', 'web', 9, '')").expect("written");
    for _ in 0..2 {
        let body = count.append(&mut snapshot, &[], limits, Vec::new()).await.expect("a row");
        assert_eq!(body, b"{\"rows\":[{\"v\":4}]}");
        server.execute("delete from orders where total > 90").expect("written");
    }
    drop(snapshot);
    assert_eq!(rows(&source, "select count(*) as v from orders").await, one("4"));
    assert_eq!(rows(&source, "select max(total) as v from orders").await, one("9"));
}

#[tokio::test]
async fn nothing_can_be_written_whatever_the_query_says() {
    let server = shop();
    server
        .execute(
            "delimiter //
             create function sneak() returns int begin
                 insert into orders values ('north', 'web', 1, ''); return 1;
             end //
             create function peek() returns int return (select count(*) from orders) //",
        )
        .expect("functions");
    let source = open(&server.url(), "");
    assert_eq!(rows(&source, "select peek() as v").await, one("4"));
    let error = rows(&source, "select sneak() as v").await.expect_err("refused");
    assert!(matches!(&error, SourceError::Query { reason } if reason.contains("READ ONLY")));
    // Not understood by the parser, which leaves the judgement to the server.
    let file = std::env::temp_dir().join(format!("samovar-{}.txt", server.address().port()));
    for text in [
        format!("select total from orders into outfile '{}'", file.display()),
        format!("select total into dumpfile '{}' from orders limit 1", file.display()),
        "select total from orders limit 1 into @total".to_owned(),
        "with gone as (select 1) delete from orders".to_owned(),
        "select 1 frobnicate; drop table orders".to_owned(),
        "select 1 as v; drop table orders".to_owned(),
        "table orders; drop table orders".to_owned(),
    ] {
        let Ok(query) = Query::parse(SourceKind::MySql, &text) else { continue };
        assert!(source.prepare(&query, &[]).await.is_err(), "{text}");
        let mut snapshot = source.snapshot().await.expect("a connection");
        let error = snapshot.read(&query, &[], Count::new()).await.map(|it| it.rows);
        assert!(matches!(error, Err(SourceError::Query { .. })), "{text}: {error:?}");
    }
    assert!(!file.exists());
    assert_eq!(rows(&source, "select count(*) as v from orders").await, one("4"));
}

#[tokio::test]
async fn what_a_query_leaves_in_its_session_is_gone_with_it() {
    let server = shop();
    let source = open(&server.url(), "connections = 1");
    let first = rows(&source, "select connection_id() as v").await;
    assert_eq!(rows(&source, "select @left := 5 as v").await, one("5"));
    assert_eq!(rows(&source, "select @left as v").await, one("null"));
    for _ in 0..20 {
        assert!(rows(&source, "select count(*) as v from orders where total > 1").await.is_ok());
        assert!(rows(&source, "select total as v from nowhere").await.is_err());
        assert!(source.prepare(&query("select total from orders"), &[]).await.is_ok());
    }
    // All that time it was one connection.
    assert_eq!(rows(&source, "select connection_id() as v").await, first);
    let closed = || async {
        let left = server.status("Prepared_stmt_count").expect("an answer");
        (left == 0).then_some(())
    };
    wait::until_async(LIMIT, "statements to be closed", closed).await.expect("closed");
}

#[tokio::test]
async fn rows_bytes_and_time_have_limits() {
    let server = shop();
    let options = "row_limit = 2\ntimeout = \"300ms\"\nconnections = 1";
    let source = open(&server.url(), options);
    let text = "select total from orders";
    assert_eq!(rows(&source, text).await, Err(SourceError::TooManyRows { limit: 2 }));
    let short = answer(&source, &select(text), &[], 20).await;
    assert_eq!(short, Err(SourceError::TooManyBytes { limit: 20 }));
    let many = "select seq from seq_1_to_5000000";
    assert_eq!(rows(&source, many).await, Err(SourceError::TooManyRows { limit: 2 }));
    for endless in [
        "select sleep(60) as v",
        "select count(*) as v from seq_1_to_5000000 as a join seq_1_to_5000000 as b",
    ] {
        assert_eq!(rows(&source, endless).await, Err(SourceError::Timeout { seconds: 0.3 }));
        assert_eq!(server.executing("as v").expect("an answer"), 0);
    }
    // The only connection is as good as new.
    assert_eq!(rows(&source, "select 1 as v").await, one("1"));
    let held = source.snapshot().await.expect("the only connection");
    assert_eq!(rows(&source, "select 1 as v").await, Err(SourceError::Busy));
    drop(held);
    assert_eq!(rows(&source, "select 1 as v").await, one("1"));
}

#[tokio::test]
async fn after_an_error_a_snapshot_reads_nothing_more() {
    let server = shop();
    let source = open(&server.url(), "");
    let mut snapshot = source.snapshot().await.expect("a connection");
    let failed = snapshot.read(&query("select nothing from orders"), &[], Count::new()).await;
    let error = failed.map(|it| it.rows).expect_err("no such column");
    assert!(matches!(&error, SourceError::Query { reason } if reason.contains("nothing")));
    let error = snapshot.read(&query("select 1"), &[], Count::new()).await.map(|it| it.rows);
    assert!(matches!(error, Err(SourceError::Query { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_leaves_nothing_running() {
    let server = shop();
    let source = open(&server.url(), "connections = 2");
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
    let panicking = source.clone();
    let panicked = tokio::spawn(async move {
        let mut snapshot = panicking.snapshot().await.expect("a connection");
        let many = query("select seq from seq_1_to_5000000");
        snapshot.read(&many, &[], Panics).await.is_ok()
    });
    assert!(panicked.await.is_err());
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

#[tokio::test]
async fn whole_tables_are_noticed_unless_they_are_small() {
    let server = shop();
    server
        .execute(
            "create table big (id int primary key, tenant varchar(20), day date, key by_day (day));
             insert into big select seq, 'north', '2026-01-01' + interval seq day
                 from seq_1_to_5000;
             analyze table big;",
        )
        .expect("a table");
    let source = open(&server.url(), "");
    let scans =
        async |text: &str| source.prepare(&query(text), &bindings()).await.expect("prepared").scans;
    for (text, plan) in [
        ("select * from big where tenant = :tenant", "ALL of big, about "),
        ("select * from big as b where b.tenant = :tenant", "ALL of b, about "),
        ("select count(*) as n from big", "index of big by by_day, about "),
        ("select * from (select tenant, count(*) as n from big group by 1) g", "ALL of big, "),
    ] {
        let found = scans(text).await;
        let [Scan { table, plan: found }] = &found[..] else { panic!("{text}: {found:?}") };
        assert!(table == "big" && found.starts_with(plan), "{text}: {found}");
    }
    for text in [
        "select * from big where day = '2026-02-03'",
        "select * from big where id between 3 and 9",
        "select * from orders where tenant = :tenant",
    ] {
        assert_eq!(scans(text).await, [], "{text}");
    }
}

#[tokio::test]
async fn columns_are_known_before_anything_is_read() {
    let server = shop();
    server
        .execute(
            "create table places (name text, at point, area geometry);
             insert into places values ('here', point(1, 2), null);",
        )
        .expect("a table");
    let source = open(&server.url(), "");
    let all = source.prepare(&query("select * from places"), &[]).await.expect("prepared");
    let columns = all.columns.iter().map(|it| (it.name.as_str(), it.unreadable.as_deref()));
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [("name", None), ("at", Some("geometry")), ("area", Some("geometry"))]
    );
    let error = rows(&source, "select name, at from places").await.expect_err("no form");
    assert_eq!(error.to_string(), "column `at` holds the type geometry: convert it in the query");
    assert_eq!(rows(&source, "select st_astext(at) as v from places").await, one("\"POINT(1 2)\""));
    let error = source.prepare(&query("select nothing from places"), &[]).await;
    assert!(matches!(error, Err(SourceError::Query { .. })), "{error:?}");
}

/// The memory of this process, as the system sees it.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("a figure");
    let pages = statm.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

#[tokio::test]
async fn rows_are_not_kept() {
    const MANY: u64 = 2_000_000;
    let server = shop();
    let source = open(&server.url(), "");
    let text = format!("select seq, 'some text', seq / 3 as third from seq_1_to_{MANY}");
    let mut snapshot = source.snapshot().await.expect("a connection");
    let before = resident_bytes();
    let count = snapshot.read(&query(&text), &[], Count::new()).await.expect("rows");
    let grown = resident_bytes().saturating_sub(before);
    assert_eq!(count.rows, MANY);
    println!("{MANY} rows, {} KiB", grown >> 10);
    assert!(grown <= 32 << 20, "{grown} bytes");
}
