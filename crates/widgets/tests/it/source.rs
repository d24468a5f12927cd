//! Queries are checked against the database, can only read, and have limits.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use samovar_clock::Clock;
use samovar_widgets::{
    Bound, Definitions, Document, Problem, Source, SourceError, WidgetDefinition,
};
use tempfile::TempDir;

fn definitions(query: &str, source: &str) -> Definitions {
    let text = format!(
        "[source.shop]\nurl = \"sqlite://shop.db\"\n{source}\n[widget.sales]\nsource = \"shop\"\n\
         query = \"{query}\"\nparams.channel = {{}}\n"
    );
    let document = Document::parse(&text).expect("it is TOML");
    Definitions::read(&mut document.root())
}

fn shop() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = Connection::open(folder.path().join("shop.db")).expect("a database");
    connection
        .execute_batch(
            "create table orders (tenant text, channel text, total integer, note text);
             insert into orders values ('north', 'web', 5, 'a \"b\"'), ('north', 'web', 7, null),
                                       ('north', 'till', 1, ''), ('south', 'web', 100, '');",
        )
        .expect("a table");
    folder
}

fn open(folder: &Path, source: &str) -> Source {
    let definition = &definitions("select 1", source).sources[0];
    Source::open(definition, folder, Clock::System).expect("it opens")
}

fn widget(query: &str) -> WidgetDefinition {
    definitions(query, "").widgets.remove(0)
}

async fn rows(source: &Source, query: &str, bytes: u64) -> Result<String, SourceError> {
    let bindings = [("tenant", "north"), ("channel", "web' or '1'='1")];
    let text = |(name, value): (&str, &str)| (name.to_owned(), Bound::Text(value.to_owned()));
    let bindings = bindings.map(text).to_vec();
    let body = source.append_rows(Arc::from(query), bindings, Vec::new(), bytes).await?;
    Ok(String::from_utf8(body).expect("JSON is UTF-8"))
}

#[test]
fn a_query_is_one_select_that_uses_the_declared_parameters() {
    let folder = shop();
    let source = open(folder.path(), "");
    let check = |query: &str| {
        let shown = |it: Problem| format!("{} ({})", it.reason, it.hint.unwrap_or_default());
        source.check(&widget(query)).into_iter().map(shown).collect::<Vec<_>>()
    };
    let used = "where tenant = :tenant and channel = :channel";
    assert_eq!(check(&format!("select total from orders {used}")), [""; 0]);
    assert_eq!(
        check("select total from ordrs"),
        ["the query cannot be prepared: no such table: ordrs ()"]
    );
    for writes in
        [&format!("delete from orders {used}"), "attach 'x' as y", "begin", "pragma user_version"]
    {
        let expected =
            "the query cannot be prepared: not authorized (a widget's query is one SELECT)";
        assert_eq!(check(writes), [expected], "{writes}");
    }
    assert_eq!(check("select 1; select 2").len(), 1);
    assert_eq!(
        check("select :chanel, ?"),
        [
            "the query uses `:chanel`, not a parameter (did you mean `:channel`?)",
            "`?` cannot be bound (write parameters like :tenant)",
            "the query does not use the parameter `channel` (each of its values would be computed \
             and kept apart)",
        ]
    );
    assert_eq!(
        check("select 1 as a, :channel as a"),
        ["two columns are called `a` (name them apart with `as`)"]
    );
}

#[test]
fn a_query_is_cut_by_ranges_where_its_widget_has_some() {
    let folder = shop();
    let source = open(folder.path(), "");
    let check = |query: &str, ranges: &str| {
        let query = format!("{query} and :tenant <> :channel");
        let mut widget = widget(&query);
        widget.ranges = ranges.split_whitespace().map(|it| it.parse().expect("sound")).collect();
        let shown = |it: Problem| format!("{} ({})", it.reason, it.hint.unwrap_or_default());
        source.check(&widget).into_iter().map(shown).collect::<Vec<_>>()
    };
    let (instants, days) = (
        "select 1 where 1 >= :from and 1 < :to",
        "select 1 where 1 between :first_day and :last_day",
    );
    for query in [instants, days] {
        assert_eq!(check(query, "7d 30d"), [""; 0]);
        assert_eq!(check(query, "").len(), 2);
    }
    assert_eq!(
        check("select 1 where 1 < :to", ""),
        [
            "the query uses `:to`, and the widget has no ranges (list them: ranges = [\"7d\", \"30d\"])"
        ]
    );
    for query in
        ["select 1 where 1", "select 1 where 1 >= :from", "select 1 where :from = :last_day"]
    {
        let found = check(query, "today");
        assert_eq!(found.len(), 1, "{query}");
        assert!(
            found[0].starts_with("the widget has ranges, and its query is not cut"),
            "{found:?}"
        );
    }
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
        let query = Arc::from("select :from as at");
        let body = source.append_rows(query, bindings, Vec::new(), 1000).await.expect("a row");
        let expected = format!("{{\"rows\":[{{\"at\":{expected}}}]}}");
        assert_eq!(String::from_utf8(body).expect("JSON is UTF-8"), expected, "{times}");
    }
}

#[tokio::test]
async fn rows_become_objects_and_values_are_bound_not_pasted() {
    let folder = shop();
    let source = open(folder.path(), "");
    let all =
        "select total, total / 2.0 as half, note from orders where tenant = :tenant and total > 4";
    assert_eq!(
        rows(&source, all, 1000).await.expect("rows"),
        r#"{"rows":[{"total":5,"half":2.5,"note":"a \"b\""},{"total":7,"half":3.5,"note":null}]}"#
    );
    let none = "select total from orders where channel = :channel";
    assert_eq!(rows(&source, none, 1000).await.expect("rows"), r#"{"rows":[]}"#);
}

#[tokio::test]
async fn rows_bytes_time_and_types_have_limits() {
    let folder = shop();
    let source = open(folder.path(), "row_limit = 2\ntimeout = \"100ms\"\nconnections = 1");
    let query = "select total from orders";
    assert_eq!(rows(&source, query, 1000).await, Err(SourceError::TooManyRows { limit: 2 }));
    assert_eq!(rows(&source, query, 20).await, Err(SourceError::TooManyBytes { limit: 20 }));
    let bytes = rows(&source, "select x'00' as b", 1000).await.expect_err("no JSON");
    assert!(bytes.to_string().starts_with("column `b` holds bytes"), "{bytes}");
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) \
                   select count(*) from n";
    assert_eq!(rows(&source, endless, 1000).await, Err(SourceError::Timeout { seconds: 0.1 }));
    assert_eq!(rows(&source, "select 1 as a", 1000).await.as_deref(), Ok(r#"{"rows":[{"a":1}]}"#));
}

#[test]
fn what_is_no_database_is_refused_when_it_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || {
        let definition = &definitions("select 1", "").sources[0];
        Source::open(definition, folder.path(), Clock::System).map(drop)
    };
    assert!(matches!(open(), Err(SourceError::Open { .. })));
    std::fs::write(folder.path().join("shop.db"), "a letter, not a database").expect("written");
    assert!(matches!(open(), Err(SourceError::Open { .. })));
}
