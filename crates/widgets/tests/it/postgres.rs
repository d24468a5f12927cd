//! PostgreSQL as a source: it can only be read, within limits, and tells what it knows of a query.

use std::{path::Path, time::Duration};

use samovar_clock::Clock;
use samovar_testkit::PostgresServer;
use samovar_widgets::{
    Bound, Definitions, Document, Limits, Query, Related, Scan, Selection, Source, SourceError,
    SourceKind,
};

use crate::postgres_faults::nothing_runs;

const SHOP: &str = "
    create table orders (tenant text, channel text, total integer, at timestamptz);
    insert into orders values ('north', 'web', 5, '2026-11-20 10:00Z'),
                              ('north', 'web', 7, '2026-11-20 23:05:07Z'),
                              ('north', 'till', 1, null), ('south', 'web', 100, null)";

pub(crate) fn shop() -> PostgresServer {
    let server = PostgresServer::start().expect("a server");
    server.execute(SHOP).expect("a table");
    server
}

pub(crate) fn open(url: &str, options: &str) -> Source {
    open_in(Path::new(""), url, options).expect("it opens")
}

pub(crate) fn open_in(folder: &Path, url: &str, options: &str) -> Result<Source, SourceError> {
    let text = format!("[source.shop]\nurl = \"{url}\"\n{options}\n");
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    Source::open(&definitions.sources[0], folder, Clock::System)
}

pub(crate) fn select(query: &str) -> Selection {
    let query = Query::parse(SourceKind::Postgres, query).expect("a select");
    Selection { query, json: Vec::new(), one: false, related: Vec::new() }
}

fn bindings() -> Vec<(String, Bound)> {
    let text = |text: &str| Bound::Text(text.to_owned());
    let channels = ["web", "till", "web' or '1'='1"].map(text);
    vec![
        ("tenant".to_owned(), text("north")),
        ("all".to_owned(), text("all")),
        ("unit".to_owned(), text("day")),
        ("channel".to_owned(), text("web' or '1'='1")),
        ("channels".to_owned(), Bound::List(channels.to_vec())),
        ("least".to_owned(), Bound::Integer(5)),
        ("share".to_owned(), Bound::Number(0.5)),
        ("yes".to_owned(), Bound::Boolean(true)),
        ("from".to_owned(), Bound::Time("2026-11-20T23:05:07Z".parse().expect("a time"))),
    ]
}

async fn answer(source: &Source, selection: &Selection, bytes: u64) -> Result<String, SourceError> {
    let limits = Limits { rows: source.row_limit(), bytes };
    let mut snapshot = source.snapshot().await?;
    let body = selection.append(&mut snapshot, &bindings(), limits, Vec::new()).await?;
    Ok(String::from_utf8(body).expect("JSON is UTF-8"))
}

pub(crate) async fn rows(source: &Source, query: &str) -> Result<String, SourceError> {
    answer(source, &select(query), 1_000_000).await
}

#[tokio::test]
async fn rows_become_objects_and_values_are_bound_not_pasted() {
    let server = shop();
    server.execute("create type mood as enum ('good')").expect("a type");
    let source = open(&server.url(), "");
    let all = "select total, round(total / 2.0, 2) as half, channel = 'web' as web from orders \
               where tenant = :tenant and total >= :least order by total";
    assert_eq!(
        rows(&source, all).await.expect("rows"),
        r#"{"rows":[{"total":5,"half":2.50,"web":true},{"total":7,"half":3.50,"web":true}]}"#
    );
    for (query, expected) in [
        ("select total as n from orders where channel = :channel", r#"{"rows":[]}"#),
        ("select count(*) as n from orders where channel in (:channels)", r#"{"rows":[{"n":4}]}"#),
        ("select count(*) as n from orders where at >= :from", r#"{"rows":[{"n":1}]}"#),
        ("select count(*) as n from orders where at::date = :from", r#"{"rows":[{"n":2}]}"#),
        (
            "select count(*) as n from orders where total * (:share)::float8 > 3",
            r#"{"rows":[{"n":2}]}"#,
        ),
        ("select count(*) as n from orders where :yes", r#"{"rows":[{"n":4}]}"#),
        ("select count(*) as n from orders where total = :unbound", r#"{"rows":[{"n":0}]}"#),
        // A parameter that is used twice is the same, also for the server.
        (
            "select substr(channel, :least - 4) as c, count(*) as n from orders \
             group by substr(channel, :least - 4) order by n",
            r#"{"rows":[{"c":"till","n":1},{"c":"web","n":3}]}"#,
        ),
        (
            "select date_trunc(:unit, at) as at, count(*) as n from orders where at is not null \
             group by date_trunc(:unit, at)",
            r#"{"rows":[{"at":"2026-11-20T00:00:00Z","n":2}]}"#,
        ),
        (
            "select count(*) as n from orders where :all = 'all' or channel = :all",
            r#"{"rows":[{"n":4}]}"#,
        ),
        (
            "select count(*) as n from orders where :tenant = 'all' or tenant::varchar = :tenant",
            r#"{"rows":[{"n":3}]}"#,
        ),
        (
            "select count(*) as n from (values ('good'::mood)) as moods (mood) \
             where :all = 'all' or mood::text = :all",
            r#"{"rows":[{"n":1}]}"#,
        ),
        (
            "select count(*) as n from orders where at >= :from::timestamptz and at::date = :from",
            r#"{"rows":[{"n":0}]}"#,
        ),
        ("select :channel as v", r#"{"rows":[{"v":"web' or '1'='1"}]}"#),
        ("select :least + 1 as v", r#"{"rows":[{"v":6}]}"#),
        ("select (:from)::timestamptz as v", r#"{"rows":[{"v":"2026-11-20T23:05:07Z"}]}"#),
    ] {
        assert_eq!(rows(&source, query).await.as_deref(), Ok(expected), "{query}");
    }
    let seconds = open(&server.url(), "times = \"seconds\"");
    let at = rows(&seconds, "select (:from)::bigint as v").await;
    assert_eq!(at.as_deref(), Ok(r#"{"rows":[{"v":1795215907}]}"#));
}

/// Keys of other types than texts and whole numbers found nobody, in silence.
#[tokio::test]
async fn whatever_its_type_a_key_finds_its_rows_or_an_error_says_why_not() {
    let server = shop();
    let source = open(&server.url(), "");
    let found = async |key: &str, owner: &str| {
        let items = format!(
            "select * from (values ({owner}, 'cup')) as items (owner, what) where owner in (:ids)"
        );
        let mut parent = select(&format!("select {key} as id"));
        parent.related.push(Related {
            name: "items".to_owned(),
            selection: select(&items),
            key: "id".to_owned(),
            on: "owner".to_owned(),
            limit: None,
        });
        answer(&source, &parent, 1000).await
    };
    for (key, owner) in [
        ("'\\x00ff'::bytea", "'\\x00ff'::bytea"),
        ("true", "1 = 1"),
        ("7.00", "7"),
        ("7", "7.000"),
        ("7.50", "7.5"),
        ("7::float8", "7"),
        (
            "'{0F0E0D0C-0B0A-0908-0706-050403020100}'::uuid",
            "'0f0e0d0c0b0a09080706050403020100'::uuid",
        ),
    ] {
        let json = found(key, owner).await.expect(key);
        assert!(json.contains("cup"), "{key}: {json}");
    }
    let error = found("'a'", "'a'::char(5)").await.expect_err("padded");
    assert_eq!(error, SourceError::Unrelated { column: "owner".to_owned() });
    assert!(found("'a'", "trim('a'::char(5))").await.expect("trimmed").contains("cup"));
    let error = found("'7'::jsonb", "'7'::jsonb").await.expect_err("no key").to_string();
    assert!(error.contains("column `id` holds a key that is JSON"), "{error}");
}

#[tokio::test]
async fn errors_are_told_in_the_words_of_the_server_without_values() {
    let server = shop();
    let source = open(&server.url(), "connections = 1");
    for (query, expected) in [
        (
            "select * from orders where total = :channel",
            "invalid input syntax for type integer: \"…\"",
        ),
        ("select totl from orders", "column \"totl\" does not exist; Perhaps you meant"),
        (
            "select total\nfrom orders o\nwhere tenant = :tenant and orders.total > 1",
            "invalid reference to FROM-clause entry for table \"orders\" (line 3 of the query); ",
        ),
        ("select 1 / (total - 5) from orders", "division by zero"),
        (
            "select 1 from orders where :channel is null",
            "could not determine data type of parameter $1; say which in the query, like ",
        ),
    ] {
        let error = rows(&source, query).await.expect_err("an error").to_string();
        assert!(error.starts_with(&format!("the query failed: {expected}")), "{query}: {error}");
        assert!(!error.contains("'1'='1"), "{query}: {error}");
    }
    // The connection of an error that the server told goes on.
    assert_eq!(server.connections().expect("a count"), 1);
}

#[tokio::test]
async fn sessions_are_set_up_and_keep_nothing_of_a_query() {
    let server = shop();
    server.execute("create type mood as enum ('good')").expect("a type");
    let url = format!("{}?options=-c%20statement_timeout%3D0%20-c%20work_mem%3D5MB", server.url());
    let source = open(&url, "connections = 1\ntimeout = \"7s\"");
    let settings = "select string_agg(setting, ' ' order by name) as v from pg_settings \
                    where name in ('application_name', 'default_transaction_read_only', \
                    'idle_in_transaction_session_timeout', 'lock_timeout', 'statement_timeout', \
                    'TimeZone', 'transaction_isolation', 'transaction_read_only', 'work_mem')";
    assert_eq!(
        rows(&source, settings).await.as_deref(),
        Ok(r#"{"rows":[{"v":"UTC samovar on 12000 5000 7000 repeatable read on 5120"}]}"#)
    );
    for _ in 0..20 {
        rows(&source, "select 'good'::mood as v").await.expect("a row");
    }
    // This one, and what the driver asks about types.
    let kept = rows(&source, "select count(*) as n from pg_prepared_statements").await;
    assert_eq!(kept.as_deref(), Ok(r#"{"rows":[{"n":3}]}"#));
    assert_eq!(server.connections().expect("a count"), 1);
}

#[tokio::test]
async fn what_is_read_through_one_snapshot_is_of_one_moment() {
    let server = shop();
    let source = open(&server.url(), "");
    let limits = Limits { rows: 10, bytes: 1000 };
    let count = select("select count(*) as n from orders");
    let mut snapshot = source.snapshot().await.expect("a connection");
    let first = count.append(&mut snapshot, &[], limits, Vec::new()).await.expect("a row");
    server.execute("delete from orders").expect("deleted");
    let second = count.append(&mut snapshot, &[], limits, Vec::new()).await.expect("a row");
    assert_eq!(first, second);
    assert_eq!(snapshot.queries(), 2);
    drop(snapshot);
    assert_eq!(
        rows(&source, "select count(*) as n from orders").await.as_deref(),
        Ok(r#"{"rows":[{"n":0}]}"#)
    );
}

#[tokio::test]
async fn nothing_can_be_written_whatever_the_query_says() {
    let server = shop();
    server
        .execute(
            "create sequence numbers;
             create function write() returns int language sql volatile as
                 $$ insert into orders values ('x', 'x', 1, null) returning 1 $$;
             create function unlock() returns int language plpgsql volatile as
                 $$ begin set transaction read write; insert into orders values ('x'); return 1;
                 end $$;
             create function unset() returns int language plpgsql volatile as
                 $$ begin set session default_transaction_read_only = off; return 1; end $$",
        )
        .expect("functions");
    let source = open(&server.url(), "connections = 1");
    for writes in ["select write() as v", "select unlock() as v", "select nextval('numbers') as v"]
    {
        let error = rows(&source, writes).await.expect_err("refused");
        assert!(matches!(error, SourceError::Query { .. }), "{writes}: {error}");
    }
    // What a function sets is undone with its transaction.
    rows(&source, "select unset() as v").await.expect("a row");
    let setting = "select current_setting('default_transaction_read_only') as v";
    assert_eq!(rows(&source, setting).await.as_deref(), Ok(r#"{"rows":[{"v":"on"}]}"#));
    // Not understood by the parser, which leaves the judgement to the server.
    for writes in [
        "select 1 frobnicate; drop table orders",
        "with x as (select 1) frobnicate delete from orders",
    ] {
        let Ok(query) = Query::parse(SourceKind::Postgres, writes) else { continue };
        assert!(source.prepare(&query, &[]).await.is_err(), "{writes}");
    }
    let kept = rows(&source, "select count(*) as n from orders").await;
    assert_eq!(kept.as_deref(), Ok(r#"{"rows":[{"n":4}]}"#));
}

#[tokio::test]
async fn rows_and_bytes_have_limits_and_connections_are_waited_for() {
    let server = shop();
    let source = open(&server.url(), "row_limit = 2\ntimeout = \"300ms\"\nconnections = 1");
    let query = "select total from orders";
    assert_eq!(rows(&source, query).await, Err(SourceError::TooManyRows { limit: 2 }));
    let short = answer(&source, &select(query), 20).await;
    assert_eq!(short, Err(SourceError::TooManyBytes { limit: 20 }));
    assert_eq!(rows(&source, "select 1 as a").await.as_deref(), Ok(r#"{"rows":[{"a":1}]}"#));
    let held = source.snapshot().await.expect("the only connection");
    assert_eq!(rows(&source, "select 1 as a").await, Err(SourceError::Busy));
    drop(held);
    assert!(rows(&source, "select 1 as a").await.is_ok());
    nothing_runs(&server, "select total", 1).await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_without_the_password() {
    let server = shop();
    let address = server.address();
    let wrong = open(&format!("postgres://samovar:s3cret@{address}/postgres"), "");
    let error = rows(&wrong, "select 1 as a").await.expect_err("a wrong password").to_string();
    assert!(error.starts_with(&format!("cannot read postgres://{address}/postgres: ")), "{error}");
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
    let nowhere = open(&format!("postgres://samovar:s3cret@{address}/nowhere"), "");
    let error = rows(&nowhere, "select 1 as a").await.expect_err("no database").to_string();
    assert!(!error.contains("s3cret"), "{error}");
    server.kill();
    let before = Clock::System.now();
    let error = rows(&wrong, "select 1 as a").await.expect_err("no server").to_string();
    assert!(error.contains("refused") && !error.contains("s3cret"), "{error}");
    assert!(Clock::System.now().since(before) < Duration::from_secs(2));
    let odd = open_in(Path::new(""), "postgres://samovar:s3cret@db/shop?sslmode=s3cret", "");
    let error = odd.map(drop).expect_err("no mode").to_string();
    assert_eq!(error, "cannot read postgres://db/shop: invalid value for option `sslmode`");
}

#[tokio::test]
async fn whole_tables_are_noticed_unless_they_are_small() {
    let server = shop();
    server
        .execute(
            "create table big as select i as id, 'north' as tenant, i % 100 as day
                 from generate_series(1, 20425) as n(i);
             create index by_day on big (day);
             create schema old;
             create table old.\"Big\" as select * from big;
             analyze big",
        )
        .expect("a table");
    let source = open(&server.url(), "");
    let scans = async |text: &str| {
        let query = Query::parse(SourceKind::Postgres, text).expect("a select");
        source.prepare(&query, &bindings()).await.expect("prepared").scans
    };
    assert_eq!(
        scans("select * from big where tenant = :tenant").await,
        [Scan {
            table: "big".to_owned(),
            plan: "Seq Scan on big (about 20425 rows), filter: (big.tenant = 'north'::text)"
                .to_owned(),
        }]
    );
    // One that the server has not counted, in another schema, twice.
    let old = scans("select a.id from old.\"Big\" a join old.\"Big\" b using (id)").await;
    assert_eq!(old.len(), 1);
    assert_eq!(old[0].table, "old.Big");
    assert_eq!(scans("select * from big where day = :least").await, []);
    assert_eq!(scans("select * from orders where tenant = :tenant").await, []);
    // What cannot be planned with these values can be prepared.
    let query = "select id from big where day = :channel";
    let query = Query::parse(SourceKind::Postgres, query).expect("a select");
    let prepared = source.prepare(&query, &bindings()).await.expect("prepared");
    assert_eq!((prepared.columns[0].name.as_str(), prepared.scans), ("id", vec![]));
    nothing_runs(&server, "explain", 4).await;
    assert!(rows(&source, "select 1 as a").await.is_ok());
}

#[tokio::test]
async fn large_tables_are_read_by_parallel_workers() {
    let server = shop();
    server
        .execute(
            "create table big as select generate_series(1, 50000) as id;
             create function who() returns int language plpgsql parallel safe as
                 $$ begin return pg_backend_pid(); end $$;
             analyze big",
        )
        .expect("a table");
    let settings =
        ["parallel_setup_cost=0", "parallel_tuple_cost=0", "min_parallel_table_scan_size=0"]
            .map(|setting| format!("-c%20{setting}"))
            .join("%20");
    let settings = format!("{settings}%20-c%20parallel_leader_participation=off");
    let source = open(&format!("{}?options={settings}", server.url()), "");
    let mut snapshot = source.snapshot().await.expect("a connection");
    let limits = Limits { rows: 1, bytes: 100 };
    let mut read = async |query: &str| {
        select(query).append(&mut snapshot, &[], limits, Vec::new()).await.expect("a row")
    };
    let leader = read("select pg_backend_pid() as v").await;
    assert_ne!(read("select max(who()) as v from big").await, leader);
    assert_eq!(read("select who() as v").await, leader);
}
