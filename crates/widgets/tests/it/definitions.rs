//! What is written is read, and each mistake is told with its line and a way out.

use std::time::Duration;

use samovar_widgets::{
    BucketDefinition, Definitions, Document, Located, Mode, ParamType, RefreshAheadDefinition,
    TenantsDefinition, TimeForm, Values, limits,
};

const GOOD: &str = r#"
[tenants]
list = [{ id = "north", name = "Northern", time_zone = "Europe/Oslo" }, { id = "south" }]

[source.shop]
url = "sqlite://shop.db"
timeout = "5s"

[widget.sales]
source = "shop"
query = "select 1 where :tenant = :channel"
params.channel = { default = "all" }
bucket = "hour"
ranges = ["7d", "yesterday"]
patience = "500ms"
"#;

/// Each problem as `line: reason (hint)`.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let problems = match Document::parse(text) {
        Err(problems) => problems,
        Ok(document) => {
            let mut root = document.root();
            Definitions::read(&mut root);
            root.finish();
            document.problems()
        }
    };
    let shown = |hint: Option<String>| hint.map(|it| format!(" ({it})")).unwrap_or_default();
    problems.into_iter().map(|it| format!("{}: {}{}", it.line, it.reason, shown(it.hint))).collect()
}

pub(crate) fn read(text: &str) -> Definitions {
    assert_eq!(problems(text), [""; 0]);
    let document = Document::parse(text).expect("it is TOML");
    Definitions::read(&mut document.root())
}

fn texts(located: &[Located<String>]) -> Vec<(&str, usize)> {
    located.iter().map(|it| (it.value.as_str(), it.line)).collect()
}

#[test]
fn what_is_written_is_read_and_the_rest_has_defaults() {
    let definitions = read(GOOD);
    let TenantsDefinition::List(tenants) = &definitions.tenants else { panic!("a list") };
    let [north, south] = &tenants[..] else { panic!("two tenants") };
    let shown = |it: &samovar_widgets::TenantDefinition| {
        (it.name.clone(), it.time_zone.iana_name().map(str::to_owned))
    };
    assert_eq!(shown(north), ("Northern".to_owned(), Some("Europe/Oslo".to_owned())));
    assert_eq!(shown(south), ("south".to_owned(), Some("UTC".to_owned())));
    let source = &definitions.sources[0];
    assert_eq!((source.connections, source.row_limit), (4, 10_000));
    assert_eq!((source.timeout, source.times), (Duration::from_secs(5), TimeForm::Text));
    let widget = &definitions.widgets[0];
    assert_eq!((widget.name.value.as_str(), widget.name.line), ("sales", 9));
    assert_eq!((widget.title.as_str(), widget.row_limit), ("sales", None));
    let channel = &widget.params[0];
    assert_eq!((channel.kind, channel.default.as_deref()), (ParamType::Text, Some("all")));
    assert_eq!(widget.bucket, Some(BucketDefinition::Hour));
    let ranges: Vec<_> = widget.ranges.iter().map(ToString::to_string).collect();
    assert_eq!(ranges, ["7d", "yesterday"]);
    assert_eq!((widget.strict, widget.tags.is_none()), (false, true));
    assert_eq!((widget.mode.of("north"), widget.compute_limit), (Mode::On, None));
    assert!(widget.includes.is_empty() && widget.json.is_empty() && definitions.boards.is_empty());
}

const MORE: &str = r#"
[tenants]
source = "shop"
query = """
select id from tenants"""
refresh = "5m"

[source.shop]
url = "sqlite://shop.db"

[freshness.menu]
ttl = "30m"
grace = "0s"
refresh_ahead = 1

[freshness.archive]
ttl = "1d"
refresh_ahead = false

[widget.order]
title = "One order"
source = "shop"
query = "select id, details from orders"
json = ["details"]
row_limit = 1
compute_limit = "1m"
freshness = "menu"
mode = { "*" = "off", north = "shadow" }
params.size = { type = "integer", default = 0x10, values = [1, "016"] }
params.since = { type = "date", default = 2026-11-01 }
params.channel = { values = "select distinct channel from orders" }
include.items.query = "select 1"
include.items.on = "order_id"
include.items.limit = 5
include.items.include.stock = { query = "select 2", on = "sku", key = "sku", one = true, json = ["x"] }

[board.sales]
title = "Sales"
widgets = ["order"]
"#;

#[test]
fn everything_that_can_be_declared_is_read() {
    let definitions = read(MORE);
    let TenantsDefinition::Query { source, query, refresh } = &definitions.tenants else {
        panic!("a query")
    };
    assert_eq!((source.value.as_str(), refresh.as_secs()), ("shop", 300));
    assert_eq!((query.value.as_str(), query.line), ("select id from tenants", 5));
    let [archive, menu] = &definitions.freshness[..] else { panic!("two classes") };
    let value = |it: &Option<Located<Duration>>| it.as_ref().map(|it| it.value.as_secs());
    assert_eq!((value(&menu.ttl), value(&menu.grace), &menu.jitter), (Some(1800), Some(0), &None));
    let ahead = |it: &Option<Located<RefreshAheadDefinition>>| it.as_ref().map(|it| it.value);
    // That it is no fraction is for the cache to say.
    assert_eq!(ahead(&menu.refresh_ahead), Some(RefreshAheadDefinition::At(1.0)));
    assert_eq!(ahead(&archive.refresh_ahead), Some(RefreshAheadDefinition::Never));
    let order = &definitions.widgets[0];
    assert_eq!((order.title.as_str(), order.row_limit), ("One order", Some(1)));
    assert_eq!(order.compute_limit, Some(Duration::from_secs(60)));
    assert_eq!(texts(&order.json), [("details", 24)]);
    assert_eq!(["north", "south"].map(|id| order.mode.of(id)), [Mode::Shadow, Mode::Off]);
    let [channel, since, size] = &order.params[..] else { panic!("three parameters") };
    let Some(Values::Query(query)) = &channel.values else { panic!("a query") };
    assert_eq!(query.value, "select distinct channel from orders");
    assert_eq!((since.kind, since.default.as_deref()), (ParamType::Date, Some("2026-11-01")));
    assert_eq!((size.kind, size.default.as_deref()), (ParamType::Integer, Some("16")));
    assert_eq!(size.values, Some(Values::List(vec!["1".to_owned(), "16".to_owned()])));
    let [items] = &order.includes[..] else { panic!("an include") };
    assert_eq!((items.on.value.as_str(), items.key.value.as_str()), ("order_id", "id"));
    assert_eq!((items.one, items.limit, items.includes.len()), (false, Some(5), 1));
    let stock = &items.includes[0];
    assert_eq!((stock.name.value.as_str(), stock.key.value.as_str()), ("stock", "sku"));
    assert_eq!((stock.one, stock.limit, stock.json.len()), (true, None, 1));
    let board = &definitions.boards[0];
    assert_eq!((board.title.as_str(), texts(&board.widgets)), ("Sales", vec![("order", 39)]));
}

#[test]
fn a_text_in_three_quotes_has_the_line_where_it_begins() {
    let query = |written: &str| {
        let text = GOOD.replace("\"select 1 where :tenant = :channel\"", written);
        let query = read(&text).widgets.remove(0).query;
        (query.value, query.line)
    };
    let line = 11;
    assert_eq!(query("\"select\\n1\""), ("select\n1".to_owned(), line));
    assert_eq!(query("\"\"\"\nselect\n1\"\"\""), ("select\n1".to_owned(), line + 1));
    assert_eq!(query("\"\"\"\r\nselect 1\"\"\""), ("select 1".to_owned(), line + 1));
    assert_eq!(query("'''\nselect 1'''"), ("select 1".to_owned(), line + 1));
    assert_eq!(query("\"\"\"select\n1\"\"\""), ("select\n1".to_owned(), line));
    assert_eq!(query("\"\"\"\n\nselect 1\"\"\""), ("\nselect 1".to_owned(), line + 1));
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "[tenants]\nlist = [{ name = \"x\" }]\n[widget.a]\nquery = 1\nstrict = \"yes\"\n";
    assert_eq!(
        problems(text),
        [
            "2: an entry of `list` in [tenants] needs `id` (write it like { id = \"acme\" })",
            "3: [widget.a] needs `source` (write it like source = \"shop\")",
            "4: `query` in [widget.a] is a number, not a text (put it between quotes: query = \"...\")",
            "5: `strict` in [widget.a] is a text, not true or false (write strict = true or strict = \
             false)",
        ]
    );
    assert_eq!(problems("").len(), 2);
}

#[test]
fn a_widget_that_is_wrong_is_left_out_and_no_board_complains() {
    let text = format!("{GOOD}strict = 1\n[board.all]\nwidgets = [\"sales\"]\n");
    assert_eq!(problems(&text).len(), 1);
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    assert_eq!((definitions.widgets.len(), definitions.boards.len()), (0, 1));
}

#[test]
fn more_than_the_limits_allow_is_a_problem_at_the_first_that_is_too_many() {
    let many = |section: &str, body: &str, count: usize| -> String {
        (0..count).map(|index| format!("[{section}.n{index:05}]\n{body}\n")).collect()
    };
    let widget = "source = \"shop\"\nquery = \"select 1\"";
    let lines = GOOD.lines().count();
    for (section, body, limit, declared) in [
        ("widget", widget, limits::WIDGETS, 1),
        ("board", "widgets = [\"sales\"]", limits::BOARDS, 0),
        ("source", "url = \"sqlite://shop.db\"", limits::SOURCES, 1),
        ("freshness", "ttl = \"1m\"", limits::FRESHNESS_CLASSES, 0),
    ] {
        let more = limit - declared;
        assert_eq!(problems(&format!("{GOOD}{}", many(section, body, more))), [""; 0]);
        let found = problems(&format!("{GOOD}{}", many(section, body, more + 1)));
        let line = lines + 1 + more * (1 + body.lines().count());
        let start = format!("{line}: {} ", limit + 1);
        assert!(found.len() == 1 && found[0].starts_with(&start), "{start}: {found:?}");
    }
}

#[test]
fn tables_that_are_nested_without_end_are_refused() {
    let deep = format!("{GOOD}include{} = 1\n", ".a.include".repeat(10_000));
    assert_eq!(problems(&deep).len(), 1);
    let header = format!("{GOOD}[widget.sales{}]\n", ".include.a".repeat(10_000));
    assert!(!problems(&header).is_empty());
    let list = format!("{GOOD}tags = {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    assert!(!problems(&list).is_empty());
}
