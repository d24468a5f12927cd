//! SQLite as a source: it can only be read, within limits, and gives back every value.

use std::path::Path;

use rusqlite::Connection;
use samovar_clock::Clock;
use samovar_widgets::{
    Bound, Definitions, Document, Limits, Query, Related, Scan, Selection, Source, SourceError,
    SourceKind,
};
use tempfile::TempDir;

fn shop() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("shop.db")).expect("a database");
    connection
        .execute_batch(
            "create table orders (tenant text, channel text, total integer, note text);
             insert into orders values ('north', 'web', 5, 'a \"b\"'), ('north', 'web', 7, null),
                                       ('north', 'till', 1, ''), ('south', 'web', 100, '');
             create table big (id integer primary key, tenant text, day text);
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
             insert into big select i, 'north', '2026-01-01' from n;
             create index by_day on big (day);",
        )
        .expect("a table");
    folder
}

fn open(folder: &Path, options: &str) -> Source {
    let text = format!("[source.shop]\nurl = \"sqlite://shop.db\"\n{options}\n");
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    Source::open(&definitions.sources[0], folder, Clock::System).expect("it opens")
}

fn select(query: &str) -> Selection {
    let query = Query::parse(SourceKind::Sqlite, query).expect("a select");
    Selection { query, json: Vec::new(), one: false, related: Vec::new() }
}

fn bindings() -> Vec<(String, Bound)> {
    let bindings = [("tenant", "north"), ("channel", "web' or '1'='1")];
    let text = |(name, value): (&str, &str)| (name.to_owned(), Bound::Text(value.to_owned()));
    bindings.map(text).to_vec()
}

async fn answer(source: &Source, selection: &Selection, bytes: u64) -> Result<String, SourceError> {
    let limits = Limits { rows: source.row_limit(), bytes };
    let mut snapshot = source.snapshot().await?;
    let body = selection.append(&mut snapshot, &bindings(), limits, Vec::new()).await?;
    Ok(String::from_utf8(body).expect("JSON is UTF-8"))
}

async fn rows(source: &Source, query: &str) -> Result<String, SourceError> {
    answer(source, &select(query), 100_000).await
}

#[tokio::test]
async fn times_are_bound_as_the_source_keeps_them() {
    let folder = shop();
    for (times, expected) in [
        ("", "\"2026-11-20 23:05:07\""),
        ("times = \"text\"", "\"2026-11-20 23:05:07\""),
        ("times = \"iso\"", "\"2026-11-20T23:05:07Z\""),
        ("times = \"seconds\"", "1795215907"),
        ("times = \"milliseconds\"", "1795215907000"),
    ] {
        let source = open(folder.path(), times);
        let at = Bound::Time("2026-11-20T23:05:07Z".parse().expect("a time"));
        let bindings = vec![("from".to_owned(), at)];
        let mut snapshot = source.snapshot().await.expect("a connection");
        let limits = Limits { rows: 1, bytes: 1000 };
        let selection = select("select :from as at");
        let body = selection.append(&mut snapshot, &bindings, limits, Vec::new()).await;
        let body = String::from_utf8(body.expect("a row")).expect("JSON is UTF-8");
        assert_eq!(body, format!("{{\"rows\":[{{\"at\":{expected}}}]}}"), "{times}");
    }
}

#[tokio::test]
async fn rows_become_objects_and_values_are_bound_not_pasted() {
    let folder = shop();
    let source = open(folder.path(), "");
    let all =
        "select total, total / 2.0 as half, note from orders where tenant = :tenant and total > 4";
    assert_eq!(
        rows(&source, all).await.expect("rows"),
        r#"{"rows":[{"total":5,"half":2.5,"note":"a \"b\""},{"total":7,"half":3.5,"note":null}]}"#
    );
    let none = "select total from orders where channel = :channel";
    assert_eq!(rows(&source, none).await.expect("rows"), r#"{"rows":[]}"#);
}

#[tokio::test]
async fn every_type_has_its_json() {
    let folder = shop();
    let source = open(folder.path(), "");
    for (sql, json) in [
        ("null", "null"),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740992", "\"9007199254740992\""),
        ("-9223372036854775808", "\"-9223372036854775808\""),
        ("9223372036854775807", "\"9223372036854775807\""),
        ("0.1", "0.1"),
        ("1e300", "1e+300"),
        ("9e999", "\"Infinity\""),
        ("-9e999", "\"-Infinity\""),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("''", "\"\""),
        ("'zwölf \u{1f375} \" \\'", "\"zwölf \u{1f375} \\\" \\\\\""),
        ("char(1, 10)", "\"\\u0001\\n\""),
        ("x''", "\"\""),
        ("x'00ff10'", "\"AP8Q\""),
        ("date('2026-02-28', '+1 day')", "\"2026-03-01\""),
        ("json('{\"a\":[1]}')", "\"{\\\"a\\\":[1]}\""),
        ("1 = 1", "1"),
    ] {
        let expected = format!("{{\"rows\":[{{\"v\":{json}}}]}}");
        assert_eq!(rows(&source, &format!("select {sql} as v")).await, Ok(expected), "{sql}");
    }
    let broken = rows(&source, "select cast(x'ff' as text) as v").await.expect_err("no text");
    assert_eq!(
        broken.to_string(),
        "column `v` holds text that is not UTF-8: convert it in the query"
    );
}

#[tokio::test]
async fn texts_of_json_columns_are_embedded() {
    let folder = shop();
    let source = open(folder.path(), "");
    let embed =
        |query: &str, column: &str| Selection { json: vec![column.to_owned()], ..select(query) };
    let good = embed("select ' {\"a\": 1.50}' as v, null as w union all select null, 1", "v");
    let good = answer(&source, &good, 1000).await.expect("rows");
    assert_eq!(good, r#"{"rows":[{"v":{"a": 1.50},"w":null},{"v":null,"w":1}]}"#);
    let bad = answer(&source, &embed("select '{' as v", "v"), 1000).await.expect_err("no JSON");
    assert!(bad.to_string().starts_with("column `v` holds a text that is no JSON"), "{bad}");
    let none = answer(&source, &embed("select 1 as v", "w"), 1000).await;
    assert_eq!(none, Err(SourceError::NoColumn { column: "w".to_owned() }));
}

#[tokio::test]
async fn rows_bytes_and_time_have_limits() {
    let folder = shop();
    let source = open(folder.path(), "row_limit = 2\ntimeout = \"100ms\"\nconnections = 1");
    let query = "select total from orders";
    assert_eq!(rows(&source, query).await, Err(SourceError::TooManyRows { limit: 2 }));
    let short = answer(&source, &select(query), 20).await;
    assert_eq!(short, Err(SourceError::TooManyBytes { limit: 20 }));
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) \
                   select count(*) from n";
    assert_eq!(rows(&source, endless).await, Err(SourceError::Timeout { seconds: 0.1 }));
    // The only connection is as good as new.
    assert_eq!(rows(&source, "select 1 as a").await.as_deref(), Ok(r#"{"rows":[{"a":1}]}"#));
    let held = source.snapshot().await.expect("the only connection");
    assert_eq!(rows(&source, "select 1 as a").await, Err(SourceError::Busy));
    drop(held);
    assert!(rows(&source, "select 1 as a").await.is_ok());
}

#[tokio::test]
async fn nothing_can_be_written_whatever_the_query_says() {
    let folder = shop();
    let source = open(folder.path(), "");
    // Not understood by the parser, which leaves the judgement to SQLite.
    for writes in [
        "select 1 frobnicate; drop table orders",
        "with x as (select 1) replace into orders values (1, 1, 1, 1)",
    ] {
        let Ok(query) = Query::parse(SourceKind::Sqlite, writes) else { continue };
        assert!(source.prepare(&query, &[]).await.is_err(), "{writes}");
    }
    assert_eq!(
        rows(&source, "select count(*) as n from orders").await.as_deref(),
        Ok(r#"{"rows":[{"n":4}]}"#)
    );
}

/// SQLite gave them numbers of their own, which shifted the values of all that came after them: a
/// reader could be given the rows of another tenant.
#[tokio::test]
async fn places_that_are_no_parameters_are_refused() {
    let folder = shop();
    let source = open(folder.path(), "");
    for place in ["@x", "$x", "?", "?1", "#x", "$x::y"] {
        for text in [
            format!("select total from orders where note is not {place} and tenant = :tenant"),
            format!("select total from orders where tenant = :tenant and note is not {place}"),
            format!("select total from orders where note is not distinct from {place} frobnicate"),
        ] {
            let Ok(query) = Query::parse(SourceKind::Sqlite, &text) else { continue };
            assert!(source.prepare(&query, &bindings()).await.is_err(), "{text}");
            let mut snapshot = source.snapshot().await.expect("a connection");
            let limits = Limits { rows: 10, bytes: 1000 };
            let read = select(&text).append(&mut snapshot, &bindings(), limits, Vec::new()).await;
            assert!(matches!(read, Err(SourceError::Query { .. })), "{text}: {read:?}");
        }
    }
    let error = rows(&source, "select total from orders where note is not @x").await;
    assert!(error.expect_err("refused").to_string().contains("like `?`, `@x` or `$x` for values"));
}

#[tokio::test]
async fn what_is_read_through_one_snapshot_is_of_one_moment() {
    let folder = shop();
    let writer = Connection::open(folder.path().join("shop.db")).expect("a database");
    writer.pragma_update(None, "journal_mode", "wal").expect("a log");
    let source = open(folder.path(), "");
    let limits = Limits { rows: 10, bytes: 1000 };
    let count = select("select count(*) as n from orders");
    let mut snapshot = source.snapshot().await.expect("a connection");
    let first = count.append(&mut snapshot, &[], limits, Vec::new()).await.expect("a row");
    writer.execute("delete from orders", []).expect("deleted");
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
async fn whole_tables_are_noticed_unless_they_are_small() {
    let folder = shop();
    let source = open(folder.path(), "");
    let scans = async |text: &str| {
        let query = Query::parse(SourceKind::Sqlite, text).expect("a select");
        source.prepare(&query, &bindings()).await.expect("prepared").scans
    };
    let scan = |plan: &str| Scan { table: "big".to_owned(), plan: plan.to_owned() };
    assert_eq!(scans("select * from big where tenant = :tenant").await, [scan("SCAN big")]);
    assert_eq!(scans("select * from big as b where b.tenant = :tenant").await, [scan("SCAN b")]);
    assert_eq!(scans("select * from big where day = :channel").await, []);
    assert_eq!(scans("select * from orders where tenant = :tenant").await, []);
}

#[tokio::test]
async fn what_is_no_database_is_unreachable() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = open(folder.path(), "");
    let error = rows(&source, "select 1 as a").await.expect_err("no file");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    std::fs::write(folder.path().join("shop.db"), "a letter, not a database").expect("written");
    let error = rows(&source, "select 1 as a").await.expect_err("no database");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
}

/// All rows of a query that are related.
fn related(name: &str, key: &str, on: &str, query: &str) -> Related {
    let (name, key, on) = (name.to_owned(), key.to_owned(), on.to_owned());
    Related { name, selection: select(query), key, on, limit: None }
}

fn database(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("shop.db")).expect("a database");
    connection.execute_batch(sql).expect("tables");
    folder
}

#[tokio::test]
async fn a_file_that_took_the_place_of_another_is_read_at_once() {
    let folder = shop();
    let source = open(folder.path(), "connections = 3");
    let count = "select count(*) as n from orders";
    let both = (source.snapshot().await, source.snapshot().await);
    drop(both);
    let limits = Limits { rows: 10, bytes: 1000 };
    let mut held = source.snapshot().await.expect("a connection");
    let new = Connection::open(folder.path().join("new.db")).expect("a database");
    new.execute_batch("create table orders (tenant text); insert into orders values ('north')")
        .expect("a table");
    drop(new);
    std::fs::rename(folder.path().join("new.db"), folder.path().join("shop.db")).expect("renamed");
    for _ in 0..2 {
        assert_eq!(rows(&source, count).await.as_deref(), Ok(r#"{"rows":[{"n":1}]}"#));
    }
    // What began before goes on with what it began with, and is not kept after that.
    let body = select(count).append(&mut held, &[], limits, Vec::new()).await;
    assert_eq!(body.as_deref(), Ok(&br#"{"rows":[{"n":4}]}"#[..]));
    drop(held);
    assert_eq!(rows(&source, count).await.as_deref(), Ok(r#"{"rows":[{"n":1}]}"#));
    std::fs::remove_file(folder.path().join("shop.db")).expect("removed");
    let error = rows(&source, count).await.expect_err("no file");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
}

/// Keys of other types than texts and whole numbers found nobody, in silence.
#[tokio::test]
async fn whatever_its_type_a_key_finds_its_rows_or_an_error_says_why_not() {
    let folder = database(
        "create table items (owner, name text);
         insert into items values (x'00ff', 'bytes'), (7, 'seven'), (7.0, 'real'), ('é', 'text'),
                                  ('A', 'upper'), (null, 'nobody');",
    );
    let source = open(folder.path(), "");
    let found = async |key: &str, items: &str| {
        let mut parent = select(&format!("select {key} as id"));
        parent.related.push(related("items", "id", "owner", items));
        answer(&source, &parent, 1000).await
    };
    let items = "select owner, name from items where owner in (:ids)";
    for (key, expected) in [
        ("x'00ff'", r#"[{"owner":"AP8=","name":"bytes"}]"#),
        ("7.0", r#"[{"owner":7,"name":"seven"},{"owner":7.0,"name":"real"}]"#),
        ("'é'", r#"[{"owner":"é","name":"text"}]"#),
        ("null", "[]"),
    ] {
        let json = found(key, items).await.expect(key);
        assert!(json.ends_with(&format!("\"items\":{expected}}}]}}")), "{json}");
    }
    let error = found("0.5", items).await.expect_err("no key").to_string();
    assert_eq!(error, "column `id` holds a key that is no whole number: convert it in the query");
    let loose = "select owner, name from items where owner collate nocase in (:ids)";
    let error = found("'a'", loose).await.expect_err("another text");
    assert_eq!(error, SourceError::Unrelated { column: "owner".to_owned() });
    assert!(error.to_string().contains("`owner` that is none of `:ids`: convert or trim"));
    let lowered = "select lower(owner) as owner, name from items where lower(owner) in (:ids)";
    assert!(found("'a'", lowered).await.expect("rows").contains("upper"));
    let outer = "select owner, name from items where owner is null or owner in (:ids)";
    assert!(found("7", outer).await.is_ok());
}

/// A million rows were read for the first of them.
#[tokio::test]
async fn rows_that_are_not_kept_count_as_well() {
    let folder = database(
        "create table items (owner integer, name text);
         insert into items values (1, 'a'), (1, 'b'), (1, 'c');",
    );
    let all = "select owner, name from items";
    let first = Selection { one: true, ..select(all) };
    let mut few = select("select 1 as id");
    few.related.push(related("items", "id", "owner", &format!("{all} where owner in (:ids)")));
    few.related[0].limit = Some(1);
    for (limit, expected) in [(2, Err(SourceError::TooManyRows { limit: 2 })), (3, Ok(()))] {
        let source = open(folder.path(), &format!("row_limit = {limit}"));
        assert_eq!(answer(&source, &first, 1000).await.map(drop), expected);
        assert_eq!(answer(&source, &few, 1000).await.map(drop), expected);
    }
}

#[tokio::test]
async fn the_limit_of_an_answer_is_named_whole_whoever_exceeds_it() {
    let folder = database(
        "create table customers (id integer, note text);
         insert into customers values (7, printf('%.*c', 600, 'x'));",
    );
    let source = open(folder.path(), "");
    let mut orders = select("select 1 as id, 7 as customer, printf('%.*c', 600, 'y') as note");
    let query = "select id, note from customers where id in (:ids)";
    orders.related.push(related("customers", "customer", "id", query));
    let error = answer(&source, &orders, 1000).await;
    assert_eq!(error, Err(SourceError::TooManyBytes { limit: 1000 }));
    assert!(answer(&source, &orders, 1500).await.is_ok());
}

#[tokio::test]
async fn related_rows_come_with_as_many_queries_as_were_declared() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("shop.db")).expect("a database");
    connection
        .execute_batch(
            "create table items (id integer, category text, name text);
             insert into items values (1, 'hot', 'soup'), (2, 'cold', 'cake'), (3, null, 'bread');
             create table sizes (id integer, item text, name text);
             insert into sizes values (10, '1', 'small'), (11, '1', 'large'), (12, '2', 'small'),
                                      (13, '1', 'huge'), (14, null, 'odd');
             create table prices (size integer, cents integer);
             insert into prices values (10, 100), (11, 150), (12, 300), (12, 290);
             create table categories (id text, name text);
             insert into categories values ('hot', 'Hot food');",
        )
        .expect("tables");
    let source = open(folder.path(), "");
    let related = |name: &str, key: &str, on: &str, selection| Related {
        name: name.to_owned(),
        selection,
        key: key.to_owned(),
        on: on.to_owned(),
        limit: Some(2),
    };
    let prices = select("select size, cents from prices where size in (:ids) order by cents");
    let mut sizes = select("select id, item, name from sizes where item in (:ids) order by id");
    sizes.related.push(related("prices", "id", "size", prices));
    let mut category = select("select id, name from categories where id in (:ids)");
    category.one = true;
    let mut items = select("select id, category, name from items order by id");
    items.related.push(related("sizes", "id", "item", sizes));
    items.related.push(related("category_named", "category", "id", category));
    let mut snapshot = source.snapshot().await.expect("a connection");
    let limits = Limits { rows: 100, bytes: 10_000 };
    let body = items.append(&mut snapshot, &[], limits, Vec::new()).await.expect("rows");
    assert_eq!(
        String::from_utf8(body).expect("JSON is UTF-8"),
        concat!(
            r#"{"rows":[{"id":1,"category":"hot","name":"soup","#,
            r#""sizes":[{"id":10,"item":"1","name":"small","prices":[{"size":10,"cents":100}]},"#,
            r#"{"id":11,"item":"1","name":"large","prices":[{"size":11,"cents":150}]}],"#,
            r#""category_named":{"id":"hot","name":"Hot food"}},"#,
            r#"{"id":2,"category":"cold","name":"cake","#,
            r#""sizes":[{"id":12,"item":"2","name":"small","#,
            r#""prices":[{"size":12,"cents":290},{"size":12,"cents":300}]}],"category_named":null},"#,
            r#"{"id":3,"category":null,"name":"bread","sizes":[],"category_named":null}]}"#,
        )
    );
    assert_eq!((snapshot.queries(), items.queries()), (4, 4));
    items.one = true;
    let first = answer(&source, &items, 10_000).await.expect("a row");
    assert!(
        first.starts_with(r#"{"id":1,"#) && first.ends_with(r#""name":"Hot food"}}"#),
        "{first}"
    );
    items.query = Query::parse(SourceKind::Sqlite, "select * from items where 0").expect("sound");
    assert_eq!(answer(&source, &items, 10_000).await.as_deref(), Ok("null"));
}
