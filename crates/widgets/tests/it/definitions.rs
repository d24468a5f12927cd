//! What is written is read, and each mistake is told with its line and a way out.

use std::time::Duration;

use samovar_widgets::{BucketDefinition, Definitions, Document, TimeForm};

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
fn problems(text: &str) -> Vec<String> {
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

#[test]
fn what_is_written_is_read_and_the_rest_has_defaults() {
    assert_eq!(problems(GOOD), [""; 0]);
    let document = Document::parse(GOOD).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let [north, south] = &definitions.tenants[..] else { panic!("two tenants") };
    assert_eq!(
        (north.name.as_str(), north.time_zone.iana_name()),
        ("Northern", Some("Europe/Oslo"))
    );
    assert_eq!((south.name.as_str(), south.time_zone.iana_name()), ("south", Some("UTC")));
    let source = &definitions.sources[0];
    assert_eq!((source.connections, source.row_limit), (4, 10_000));
    assert_eq!(source.timeout, Duration::from_secs(5));
    let widget = &definitions.widgets[0];
    assert_eq!((widget.name.value.as_str(), widget.name.line), ("sales", 9));
    assert_eq!(widget.params[0].default.as_deref(), Some("all"));
    assert_eq!(widget.bucket, Some(BucketDefinition::Hour));
    let ranges: Vec<_> = widget.ranges.iter().map(ToString::to_string).collect();
    assert_eq!(
        (&ranges[..], source.times),
        (&["7d", "yesterday"].map(String::from)[..], TimeForm::Text)
    );
    assert_eq!((widget.strict, widget.tags.is_none()), (false, true));
}

#[test]
fn each_mistake_is_found_at_its_line() {
    let cases = [
        ("sales]", "sales", "9: unclosed table, expected `]`"),
        ("source = \"shop\"", "sorce = \"shop\"", "9: [widget.sales] needs `source`"),
        (
            "source = \"shop\"",
            "sorce = \"shop\"",
            "10: unknown key `sorce` in [widget.sales] (did you mean `source`?)",
        ),
        (
            "source = \"shop\"",
            "source = \"shoop\"",
            "10: there is no source `shoop` (did you mean `shop`?)",
        ),
        (
            "source = \"shop\"",
            "source = 7",
            "10: `source` in [widget.sales]: expected a text, found integer",
        ),
        (
            "\"hour\"",
            "\"week\"",
            "13: `bucket` in [widget.sales]: `week` is none of: minute, hour, day",
        ),
        (
            "\"500ms\"",
            "\"soon\"",
            "15: `patience` in [widget.sales]: `soon` is no duration: write it like 500ms, 30s, 10m, 2h or 1d",
        ),
        (
            "params.channel",
            "params.tenant",
            "12: a parameter cannot be called `tenant` (it means something already)",
        ),
        ("{ default = \"all\" }", "\"all\"", "12: [params.channel] is a table, not a single value"),
        (
            "[widget.sales]",
            "[widget.\"a b\"]",
            "9: `a b` is no name (1 to 64 letters, digits, _ and -)",
        ),
        (
            "sqlite://",
            "mssql://",
            "6: `mssql` names no database that can be a source (write it like sqlite://shop.db, postgres://user@host/shop or mysql://user@host/shop)",
        ),
        (
            "Europe/Oslo",
            "Europe/Os",
            "3: `Europe/Os` is no time zone (name it like \"Europe/Berlin\")",
        ),
        ("\"south\"", "\"north\"", "3: tenant `north` is listed twice"),
        (
            "timeout",
            "connections = 0\ntimeout",
            "7: `connections` in [source.shop]: it must lie between 1 and 64",
        ),
        (
            "[tenants]",
            "[colours]\n[tenants]",
            "2: unknown key `colours` in the top level (known here: tenants, source, widget)",
        ),
        ("patience", "tags = [1]\npatience", "15: `tags` is a list of texts"),
        ("patience", "deadline = \"0s\"\npatience", "15: `deadline` must be longer than nothing"),
        (
            "\"yesterday\"",
            "\"lately\"",
            "14: `lately` is no range: write today, yesterday, this_week, this_month, a number of days \
             like 7d, or dates like 2026-11-01..2026-11-15",
        ),
        ("\"yesterday\"", "\"7d\"", "14: the range `7d` is listed twice"),
        (
            "{ default = \"all\" }",
            "{ default = \"al\", values = [\"all\", \"web\"] }",
            "12: the default `al` is none of the values (list it, or choose another)",
        ),
        (
            "{ default = \"all\" }",
            "{ values = [] }",
            "12: `channel` has 0 values (list 1 to 1000, or leave `values` out: any is taken then)",
        ),
        (
            "{ default = \"all\" }",
            "{ values = [\"web\", \"web\"] }",
            "12: the value `web` is listed twice",
        ),
        (
            "params.channel",
            "params.from",
            "12: a parameter cannot be called `from` (it means something already)",
        ),
        (
            "timeout",
            "times = \"epoch\"\ntimeout",
            "7: `times` in [source.shop]: `epoch` is none of: text, iso, seconds, milliseconds",
        ),
    ];
    for (written, instead, expected) in cases {
        let text = GOOD.replacen(written, instead, 1);
        assert_ne!(text, GOOD, "{written}");
        let found = problems(&text);
        assert!(found.iter().any(|it| it == expected), "{expected}\nfound: {found:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "[tenants]\nlist = [{ name = \"x\" }]\n[widget.a]\nquery = 1\nstrict = \"yes\"\n";
    assert_eq!(
        problems(text),
        [
            "2: `list` needs `id`",
            "3: [widget.a] needs `source`",
            "4: `query` in [widget.a]: expected a text, found integer",
            "5: `strict` in [widget.a]: expected true or false, found string",
        ]
    );
    assert_eq!(problems("").len(), 2);
}
