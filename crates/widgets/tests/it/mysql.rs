//! MariaDB as a source: it can only be read, within limits, and gives back every value.

use std::{path::Path, time::Duration};

use samovar_clock::Clock;
use samovar_testkit::{MariaDbServer, wait};
use samovar_widgets::{
    Bound, Definitions, Document, Limits, Query, Related, Row, Rows, Scan, Selection, Source,
    SourceError, SourceKind, Value,
};
use tokio::sync::oneshot;

use crate::mysql_faults::quiet;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn open(url: &str, options: &str) -> Source {
    try_open(url, options).expect("it opens")
}

pub(crate) fn try_open(url: &str, options: &str) -> Result<Source, SourceError> {
    let text = format!("[source.shop]\nurl = \"{url}\"\n{options}\n");
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    Source::open(&definitions.sources[0], Path::new(""), Clock::System)
}

pub(crate) fn query(text: &str) -> Query {
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

pub(crate) fn one(json: &str) -> Result<String, SourceError> {
    Ok(format!("{{\"rows\":[{{\"v\":{json}}}]}}"))
}

/// Counts rows, and tells when there are so many.
pub(crate) struct Count {
    pub(crate) rows: u64,
    tell: Option<(u64, oneshot::Sender<()>)>,
}

impl Count {
    pub(crate) fn new() -> Self {
        Self { rows: 0, tell: None }
    }

    pub(crate) fn telling(at: u64) -> (Self, oneshot::Receiver<()>) {
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

pub(crate) fn shop() -> MariaDbServer {
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
        ("", "unix_timestamp(:at)", "1795215907.250000"),
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

/// Keys of other types than texts and whole numbers found nobody, in silence.
#[tokio::test]
async fn whatever_its_type_a_key_finds_its_rows_or_an_error_says_why_not() {
    let server = shop();
    server
        .execute(
            "create table people (id binary(16) primary key, price decimal(9,2), name varchar(9),
                                  truth boolean, share double);
             insert into people values
                 (unhex('00ff80c0e28041fe8d3a000102030405'), 7.00, 'ann', true, 0.5),
                 (unhex('ffffffffffffffffffffffffffffffff'), 8.50, 'BOB', false, 0.25);
             create table items (id binary(16), price int, name varchar(9), truth boolean,
                                 what varchar(9));
             insert into items values
                 (unhex('00ff80c0e28041fe8d3a000102030405'), 7, 'ann', true, 'cup'),
                 (unhex('00ff80c0e28041fe8d3a000102030405'), 7, 'ann', true, 'pot'),
                 (unhex('ffffffffffffffffffffffffffffffff'), 9, 'bob', false, 'jug');",
        )
        .expect("tables");
    let source = open(&server.url(), "");
    let found = async |key: &str| {
        let mut people = select(&format!("select {key} from people order by id"));
        people.related.push(Related {
            name: "items".to_owned(),
            selection: select(&format!("select {key}, what from items where {key} in (:ids)")),
            key: key.to_owned(),
            on: key.to_owned(),
            limit: None,
        });
        answer(&source, &people, &[], 10_000).await
    };
    for (key, cups, jugs) in [("id", 2, 1), ("price", 2, 0), ("truth", 2, 1)] {
        let json = found(key).await.expect(key);
        let (ann, bob) = json.split_once("]}").expect("two people");
        assert_eq!(ann.matches("what").count(), cups, "{json}");
        assert_eq!(bob.matches("what").count(), jugs, "{json}");
    }
    // Equal by the collation of the column, and not the same text.
    let error = found("name").await.expect_err("another text");
    assert_eq!(error, SourceError::Unrelated { column: "name".to_owned() });
    let error = found("share").await.expect_err("no key").to_string();
    assert!(error.contains("`share` holds a key that is no whole number"), "{error}");
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
    let options = "row_limit = 2\ntimeout = \"1s\"\nconnections = 1";
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
        assert_eq!(rows(&source, endless).await, Err(SourceError::Timeout { seconds: 1.0 }));
        quiet(&server, 1).await;
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
