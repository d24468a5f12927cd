//! Readings over a real table and a real embedded store.

mod alerts;
mod boards;
mod bundles;
mod captures;
mod desk;
mod documents;
mod equality;
mod events;
mod marks;
mod modes;
mod partials;
mod rollups;
mod servers;
mod tenants;
mod warm;
mod warmed;
mod watched;

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use samovar_cache::{Cache, Settings};
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_engine::{
    Answer, Ask, Catalogue, Change, ChangeFailure, Engine, InvalidReading, NoTenant, Observe,
    ReadFailure, Tier,
};
use samovar_widgets::{Definitions, Document, Located, Problem, Severity};
use tempfile::TempDir;

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south" }]

[source.shop]
url = "sqlite://shop.db"

[widget.orders]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant and channel = :channel"
params.channel = {}
tags = ["orders/{channel}"]

[widget.total]
source = "shop"
query = "select sum(total) as total from orders where tenant = :tenant and total >= :least"
params.least = { default = "0", values = ["0", "1", "6"] }
freshness = "statistics"
"#;

struct Shop {
    folder: TempDir,
    engine: Engine,
}

async fn check(text: &str, folder: &Path) -> Result<Catalogue, Vec<Problem>> {
    let document = Document::parse(text)?;
    let definitions = Definitions::read(&mut document.root());
    Catalogue::check(&definitions, folder, &Clock::System, Ask::All).await
}

fn database(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("shop.db")).expect("a database");
    let schema = "create table if not exists orders (tenant text, channel text, total integer)";
    connection.execute(schema, []).expect("a table");
    connection
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = "insert into orders values ('north', 'web', 5), ('north', 'till', 7),
                                              ('south', 'web', 100)";
        database(folder.path()).execute(rows, []).expect("rows");
        let settings = Settings::default();
        let cache = Cache::builder().settings(settings.clone());
        let cache = cache.open(&folder.path().join("store")).await.expect("a store");
        let catalogue = check(DEFINITIONS, folder.path()).await.expect("nothing is wrong");
        let engine = Engine::start(cache, &settings, catalogue, Observe::default(), None)
            .expect("it starts");
        Self { folder, engine }
    }

    fn order(&self, values: &str) {
        let insert = format!("insert into orders values {values}");
        database(self.folder.path()).execute(&insert, []).expect("a row");
    }

    async fn read(&self, widget: &str, param: &str) -> (String, Tier) {
        let given = param.split_once('=').map(|(name, value)| (name.into(), value.into()));
        let answer = self.engine.read(widget, "north", given.into_iter().collect()).await;
        show(&answer.expect("an answer"))
    }

    async fn failure(&self, widget: &str, tenant: &str, params: &[(&str, &str)]) -> ReadFailure {
        let given = params.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        self.engine.read(widget, tenant, given.collect()).await.expect_err("a failure")
    }

    async fn invalidate(&self, tag: &str) {
        let tags = vec![tag.to_owned()];
        let change = Change { tenant: Some("north".to_owned()), tags, ..Change::default() };
        self.engine.invalidate(&change).await.expect("invalidated");
    }
}

fn show(answer: &Answer) -> (String, Tier) {
    let bytes = answer.bytes().expect("it decodes");
    (String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8"), answer.tier())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_is_computed_once_until_its_data_changes() {
    let shop = Shop::open().await;
    let with = |total: u32| {
        format!(
            r#"{{"widget":"total","tenant":"north","params":{{"least":"0"}},"data":{{"rows":[{{"total":{total}}}]}}}}"#
        )
    };
    assert_eq!(shop.read("total", "").await, (with(12), Tier::Computed));
    shop.order("('north', 'web', 8)");
    assert_eq!(shop.read("total", "least=0").await, (with(12), Tier::Local));
    // Nothing else is tagged: a widget depends on its source by default.
    shop.invalidate("shop").await;
    assert_eq!(shop.read("total", "").await, (with(20), Tier::Computed));
    assert!(shop.read("total", "least=6").await.0.contains(r#""total":15"#));
    let south = shop.engine.read("total", "south", Vec::new()).await.expect("an answer");
    assert!(show(&south).0.contains(r#""total":100"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_with_a_parameter_touches_the_readings_with_its_value() {
    let shop = Shop::open().await;
    shop.read("orders", "channel=web").await;
    shop.read("orders", "channel=till").await;
    shop.invalidate("orders/web").await;
    assert_eq!(shop.read("orders", "channel=till").await.1, Tier::Local);
    assert_eq!(shop.read("orders", "channel=web").await.1, Tier::Computed);
    shop.invalidate("orders").await;
    assert_eq!(shop.read("orders", "channel=till").await.1, Tier::Computed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_named() {
    let shop = Shop::open().await;
    let nearest = |text: &str| Some(text.to_owned());
    let unknown = shop.failure("totl", "north", &[]).await;
    let name = "totl".to_owned();
    assert_eq!(unknown, ReadFailure::UnknownWidget { name, nearest: nearest("total") });
    let unknown = shop.failure("total", "east", &[]).await;
    assert_eq!(unknown, ReadFailure::Tenant(NoTenant::Unknown { id: "east".to_owned() }));
    let unknown = shop.failure("total", "north", &[("leest", "1")]).await;
    let name = "leest".to_owned();
    assert_eq!(unknown, InvalidReading::UnknownParam { name, nearest: nearest("least") }.into());
    let repeated = shop.failure("total", "north", &[("least", "1"), ("least", "1")]).await;
    assert_eq!(repeated, InvalidReading::RepeatedParam { name: "least".to_owned() }.into());
    let unknown = shop.failure("total", "north", &[("least", "seven")]).await;
    let (name, value) = ("least".to_owned(), "seven".to_owned());
    assert_eq!(unknown, InvalidReading::UnknownValue { name, value, nearest: None }.into());
    let missing = shop.failure("orders", "north", &[]).await;
    assert_eq!(missing, InvalidReading::MissingParam { name: "channel".to_owned() }.into());
    let no_tag = shop.failure("orders", "north", &[("channel", "a b")]).await;
    assert!(matches!(no_tag, ReadFailure::Read(_)), "{no_tag:?}");

    let nothing = shop.engine.invalidate(&Change::default()).await;
    assert_eq!(nothing, Err(ChangeFailure::Nothing));
    let class = Change { class: Some("statistic".to_owned()), ..Change::default() };
    let unknown = shop.engine.invalidate(&class).await.expect_err("unknown");
    let name = "statistic".to_owned();
    assert_eq!(unknown, ChangeFailure::UnknownClass { name, nearest: nearest("statistics") });
    let homeless = Change { tags: vec!["orders".to_owned()], ..Change::default() };
    assert!(matches!(shop.engine.invalidate(&homeless).await, Err(ChangeFailure::Change(_))));
}

#[tokio::test]
async fn what_the_cache_or_the_database_refuses_is_a_problem_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    database(folder.path());
    let found = async |written: &str, instead: &str| {
        let text = DEFINITIONS.replacen(written, instead, 1);
        assert_ne!(text, DEFINITIONS, "{written}");
        let problems = check(&text, folder.path()).await.expect_err("a problem");
        let shown = problems.iter().map(|it| format!("{}: {}", it.line, it.reason));
        shown.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        found("statistics", "statistic").await,
        "18: there is no freshness class `statistic`"
    );
    assert_eq!(
        found("orders/{channel}", "orders/{chanel}").await,
        "12: `{chanel}` is not a parameter of this widget"
    );
    assert_eq!(
        found("freshness", "key = \"total {tenant}\"\nfreshness").await.split(':').next(),
        Some("18")
    );
    assert_eq!(
        found("from orders", "from ordres").await,
        "10: the query cannot be prepared: no such table: ordres"
    );
    assert!(found("shop.db", "shoop.db").await.starts_with("6: cannot read"));
    let long = "x".repeat(200);
    assert!(found("\"south\"", &format!("{long:?}")).await.starts_with("3: a tenant id"));
}

#[tokio::test]
async fn own_classes_are_told_apart_from_those_that_are_built_in() {
    let folder = tempfile::tempdir().expect("a folder");
    database(folder.path());
    let found = async |class: &str, default: Option<&str>| {
        let text = format!("{DEFINITIONS}\n{class}");
        let document = Document::parse(&text).expect("it is TOML");
        let mut definitions = Definitions::read(&mut document.root());
        definitions.default_freshness =
            default.map(|name| Located { value: name.to_owned(), line: 1 });
        match Catalogue::check(&definitions, folder.path(), &Clock::System, Ask::All).await {
            Ok(catalogue) => catalogue.warnings().to_vec(),
            Err(problems) => problems,
        }
    };
    let reasons = |problems: Vec<Problem>| {
        assert!(problems.iter().all(|it| it.hint.is_some()), "{problems:?}");
        problems.into_iter().map(|it| format!("{}: {}", it.line, it.reason)).collect::<Vec<_>>()
    };
    assert_eq!(reasons(found("[freshness.menu]\nttl = \"1m\"", Some("menu")).await), [""; 0]);
    let unused = found("[freshness.menu]\nttl = \"1m\"", None).await;
    assert_eq!(unused[0].severity, Severity::Warning);
    assert_eq!(reasons(unused), ["20: no widget has the freshness class `menu`"]);
    assert_eq!(reasons(found("", Some("mneu")).await), ["1: there is no freshness class `mneu`"]);
    let figures = "[freshness.long]\nttl = \"1m\"\n[freshness.menu]\nttl = \"0s\"\ngrace = \"9999d\"\n\
                   jitter = 1\nrefresh_ahead = 0";
    let told = reasons(found(figures, Some("menu")).await);
    assert_eq!(told[0], "20: the freshness class `long` is built in");
    let lines: Vec<_> = told.iter().map(|it| it.split(':').next()).collect();
    assert_eq!(lines, ["20", "23", "24", "25", "26"].map(Some));
}

#[tokio::test]
async fn a_placeholder_of_a_key_has_something_to_stand_for() {
    let folder = tempfile::tempdir().expect("a folder");
    database(folder.path());
    let found = async |key: &str| {
        let text = DEFINITIONS.replacen("freshness", &format!("key = \"{key}\"\nfreshness"), 1);
        let problems = check(&text, folder.path()).await.err().unwrap_or_default();
        let hint = |it: &Problem| it.hint.clone().unwrap_or_default();
        let shown = problems.iter().map(|it| format!("{}: {} ({})", it.line, it.reason, hint(it)));
        shown.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(found("{widget}:{tenant}:{least}").await, "");
    assert_eq!(
        found("{tenant}:{leest}").await,
        "18: `{leest}` in the key is not a parameter of this widget (did you mean `least`?)"
    );
    assert_eq!(
        found("{bucket}:{range}").await,
        "18: the key has {bucket}, and the widget no bucket (give it one: bucket = \"hour\")\n\
         18: the key has {range}, and the widget no ranges (give it some: ranges = [\"7d\", \"30d\"])"
    );
}

const TWINS: &str = r#"
[freshness.own]
ttl = "10m"

[tenants]
list = [{ id = "north" }]

[source.shop]
url = "sqlite://shop.db"

[widget.one]
title = "The first"
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant"
key = "orders:{tenant}"
freshness = "own"
compute_limit = "5s"

[widget.two]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant"
key = "orders:{tenant}"
"#;

/// Two widgets with one query and one template shared their keys, and one was answered with the
/// other's name.
#[tokio::test(flavor = "multi_thread")]
async fn widgets_with_one_query_and_one_key_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    database(folder.path());
    let settings = Settings::default();
    let cache = Cache::builder().settings(settings.clone());
    let cache = cache.open(&folder.path().join("store")).await.expect("a store");
    let catalogue = check(TWINS, folder.path()).await.expect("nothing is wrong");
    let engine =
        Engine::start(cache, &settings, catalogue, Observe::default(), None).expect("it starts");
    for name in ["one", "two"] {
        let answer = engine.read(name, "north", Vec::new()).await.expect("an answer");
        let (body, tier) = show(&answer);
        assert!(body.starts_with(&format!(r#"{{"widget":"{name}""#)), "{body}");
        assert_eq!(tier, Tier::Computed);
    }
    let shown = engine.widgets();
    assert_eq!((shown[0].title.as_str(), shown[0].freshness.as_str()), ("The first", "own"));
    assert_eq!((shown[1].title.as_str(), shown[1].freshness.as_str()), ("two", "medium"));
    let class = Change { class: Some("own".to_owned()), ..Change::default() };
    engine.invalidate(&class).await.expect("a class of one's own can be named");
    let tier = engine.read("one", "north", Vec::new()).await.expect("an answer").tier();
    assert_eq!(tier, Tier::Computed);
}

#[test]
fn what_may_be_declared_is_what_the_cache_takes() {
    use samovar_cache::limits as cache;
    use samovar_widgets::limits as declared;
    assert_eq!(declared::WIDGETS, cache::WIDGETS);
    assert_eq!(declared::TAGS_PER_WIDGET, cache::TAGS_PER_READING);
    assert_eq!(declared::NAME_BYTES, cache::NAME_BYTES);
}

const RANGED: &str = r#"
[tenants]
list = [{ id = "oslo", time_zone = "Europe/Oslo" }, { id = "lima", time_zone = "America/Lima" }]

[source.shop]
url = "sqlite://shop.db"

[widget.sold]
source = "shop"
query = """
select count(*) as sold, min(at) as first from sales
where :tenant <> '' and at >= :from and at < :to and day between :first_day and :last_day"""
ranges = ["7d", "yesterday"]
tags = ["sales"]
"#;

/// A clock that says this, in Oslo an hour later.
fn evening() -> Arc<ManualClock> {
    let at: jiff::Timestamp = "2026-11-20T22:30:00Z".parse().expect("a time");
    Arc::new(ManualClock::new(WallTime::from_millis(at.as_millisecond())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_cut_by_the_tenants_calendar_and_moves_on_with_it() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), evening());
    let database = Connection::open(folder.path().join("shop.db")).expect("a database");
    let sales = "create table sales (at text, day text);
        insert into sales values ('2026-11-13 22:59:59', '2026-11-14'), ('2026-11-13 23:00:00', '2026-11-14'),
            ('2026-11-19 23:00:00', '2026-11-20'), ('2026-11-20 23:10:00', '2026-11-21')";
    database.execute_batch(sales).expect("a table");
    let document = Document::parse(RANGED).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let catalogue =
        Catalogue::check(&definitions, folder.path(), &Clock::Manual(clock.clone()), Ask::All)
            .await;
    let settings = Settings::default();
    let cache = Cache::builder().settings(settings.clone());
    let cache = cache.open(&folder.path().join("store")).await.expect("a store");
    let engine =
        Engine::start(cache, &settings, catalogue.expect("sound"), Observe::default(), None)
            .expect("it starts");
    let read = async |tenant: &str, range: &str| {
        let given = (!range.is_empty()).then(|| ("range".to_owned(), range.to_owned()));
        let answer = engine.read("sold", tenant, given.into_iter().collect()).await;
        show(&answer.expect("an answer"))
    };
    let expected = |dates: &str, sold: u32, first: &str| {
        format!(
            r#"{{"widget":"sold","tenant":"oslo","params":{{"range":"{dates}"}},"data":{{"rows":[{{"sold":{sold},"first":{first}}}]}}}}"#
        )
    };
    let week = expected("2026-11-14..2026-11-20", 2, r#""2026-11-13 23:00:00""#);
    assert_eq!(read("oslo", "").await, (week.clone(), Tier::Computed));
    // Whatever it is called, it is one reading.
    assert_eq!(read("oslo", "7d").await, (week.clone(), Tier::Local));
    assert_eq!(read("oslo", "2026-11-14..2026-11-20").await, (week, Tier::Local));
    let yesterday = expected("2026-11-19..2026-11-19", 0, "null");
    assert_eq!(read("oslo", "yesterday").await, (yesterday, Tier::Computed));
    // Another day begins in Oslo, and not in Lima.
    clock.advance(std::time::Duration::from_secs(3600));
    let moved = expected("2026-11-15..2026-11-21", 2, r#""2026-11-19 23:00:00""#);
    assert_eq!(read("oslo", "").await, (moved, Tier::Computed));
    assert!(read("lima", "today").await.0.contains("2026-11-20..2026-11-20"));
    let shown = engine.widgets().remove(0);
    assert_eq!(shown.ranges, ["7d", "yesterday"]);
    let failure = async |given: &[(&str, &str)]| {
        let given = given.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        engine.read("sold", "oslo", given.collect()).await.expect_err("a failure")
    };
    assert!(matches!(
        failure(&[("range", "soon")]).await,
        ReadFailure::Invalid(InvalidReading::Range(_))
    ));
    let twice = failure(&[("range", "7d"), ("range", "1d")]).await;
    assert_eq!(twice, InvalidReading::RepeatedParam { name: "range".into() }.into());
    let nearest = Some("range".to_owned());
    assert_eq!(
        failure(&[("rage", "7d")]).await,
        InvalidReading::UnknownParam { name: "rage".into(), nearest }.into()
    );
}
