//! Sources that are servers of their own: what an engine asks of them, and what becomes of its answers
//! and of their connections when they are slow, away, or killed.

use std::fmt::Write as _;

use samovar_cache::{Cache, Settings};
use samovar_clock::Clock;
use samovar_engine::{Answer, Ask, Engine, Observe, StaleBecause, State, Tier};
use samovar_testkit::{MariaDbServer, PostgresServer, RedisServer, wait};

use crate::desk::{Desk, PATIENCE, check, data};

enum Server {
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

macro_rules! each {
    ($self:expr, $server:ident => $call:expr) => {
        match $self {
            Server::Postgres($server) => $call,
            Server::MariaDb($server) => $call,
        }
    };
}

impl Server {
    fn postgres() -> Self {
        Server::Postgres(PostgresServer::start().expect("it starts"))
    }

    fn maria_db() -> Self {
        Server::MariaDb(MariaDbServer::start().expect("it starts"))
    }

    fn url(&self) -> String {
        each!(self, server => server.url())
    }

    fn execute(&self, sql: &str) {
        each!(self, server => server.execute(sql)).expect("executed");
    }

    fn connections(&self) -> u64 {
        each!(self, server => server.connections()).expect("a count")
    }

    fn executing(&self, part: &str) -> u64 {
        each!(self, server => server.executing(part)).expect("a count")
    }

    fn kill(&self) {
        each!(self, server => server.kill());
    }

    fn restart(&self) {
        each!(self, server => server.restart()).expect("it starts again");
    }

    /// Statements with parameters that were run so far: nobody else here sends any.
    fn queries(&self) -> u64 {
        match self {
            Server::Postgres(server) => {
                server.executed("in ($1").expect("a count")
                    + server.executed("= $1").expect("a count")
            }
            Server::MariaDb(server) => server.status("Com_stmt_execute").expect("a count"),
        }
    }

    /// An expression that takes as many seconds as the table `pace` says.
    fn waits(&self) -> &'static str {
        match self {
            Server::Postgres(_) => "pg_sleep((select seconds from pace))::text",
            Server::MariaDb(_) => "sleep((select seconds from pace))",
        }
    }

    fn numbers(&self) -> &'static str {
        match self {
            Server::Postgres(_) => "(select generate_series(1, 1000) as seq) as numbers",
            Server::MariaDb(_) => "seq_1_to_1000",
        }
    }
}

const CONNECTIONS: u64 = 2;

fn definitions(url: &str, widgets: &str) -> String {
    format!(
        "[tenants]\nlist = [{{ id = \"north\" }}]\n\
         [source.shop]\nurl = \"{url}\"\nconnections = {CONNECTIONS}\ntimeout = \"2s\"\n{widgets}"
    )
}

async fn open(definitions: &str) -> Desk {
    let folder = tempfile::tempdir().expect("a folder");
    Desk::over(folder, definitions, Clock::System, Ask::All).await
}

pub(crate) async fn until(what: &str, check: impl AsyncFn() -> bool) {
    let check = || async { check().await.then_some(()) };
    wait::until_async(PATIENCE, what, check).await.expect(what);
}

/// Neither a connection beyond the pool's, nor a statement, nor a lease.
async fn nothing_is_left(server: &Server, desk: &Desk, widget: &str) {
    let left = async || {
        let why = desk.engine.why(widget, "north", Vec::new()).await.expect("explained");
        why.lease.is_none()
            && server.executing("from pace") == 0
            && server.connections() <= CONNECTIONS
    };
    until("nothing to be left", left).await;
}

fn is_old(answer: &Answer) -> bool {
    answer.state() == State::Stale(StaleBecause::Change)
}

/// A source that is slow, then away, then killed while it answers.
async fn survives(server: Server) {
    server.execute("create table pace (seconds float)");
    server.execute("insert into pace values (0)");
    server.execute("create table orders (id int)");
    let widgets = format!(
        "[widget.count]\nsource = \"shop\"\npatience = \"300ms\"\ntags = [\"orders\"]\n\
         query = \"select count(*) as orders, {} as waited from orders where :tenant <> ''\"\n\
         [widget.stream]\nsource = \"shop\"\npatience = \"300ms\"\ntags = [\"numbers\"]\n\
         query = \"select seq, case when seq > 100 then {} end as waited from {} where :tenant <> ''\"\n",
        server.waits(),
        server.waits(),
        server.numbers(),
    );
    let desk = open(&definitions(&server.url(), &widgets)).await;
    for widget in ["count", "stream"] {
        let first = desk.read(widget, &[]).await;
        assert_eq!((first.tier(), first.state()), (Tier::Computed, State::Fresh));
    }
    let backs_off = async |widget: &str| {
        until("a back-off", async || {
            let why = desk.engine.why(widget, "north", Vec::new()).await.expect("explained");
            why.back_off.is_some_and(|it| it.failures > 0)
        })
        .await;
    };
    let recovers = async |widget: &str| {
        until("a fresh answer", async || {
            desk.try_read(widget, "north", &[]).await.is_ok_and(|answer| answer.is_fresh())
        })
        .await;
    };

    // Slow: a minute for a reader who waits a third of a second.
    server.execute("update pace set seconds = 60");
    desk.invalidate("north", "orders").await;
    assert!(is_old(&desk.read("count", &[]).await));
    backs_off("count").await;
    assert!(is_old(&desk.read("count", &[]).await), "while it backs off");
    nothing_is_left(&server, &desk, "count").await;
    server.execute("update pace set seconds = 0");
    recovers("count").await;

    // Away.
    server.kill();
    desk.invalidate("north", "orders").await;
    assert!(is_old(&desk.read("count", &[]).await));
    backs_off("count").await;
    server.restart();
    recovers("count").await;
    nothing_is_left(&server, &desk, "count").await;

    // Killed after it has sent its first rows.
    server.execute("update pace set seconds = 0.05");
    desk.invalidate("north", "numbers").await;
    assert!(is_old(&desk.read("stream", &[]).await));
    until("it to run", async || server.executing("from pace") > 0).await;
    server.kill();
    backs_off("stream").await;
    assert!(is_old(&desk.read("stream", &[]).await));
    server.restart();
    server.execute("update pace set seconds = 0");
    recovers("stream").await;
    assert_eq!(data(&desk.read("stream", &[]).await)["rows"].as_array().map(Vec::len), Some(1000));
    nothing_is_left(&server, &desk, "stream").await;
    desk.cache.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_slow_away_or_killed_leaves_stale_answers_and_nothing_else() {
    survives(Server::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_that_is_slow_away_or_killed_leaves_stale_answers_and_nothing_else() {
    survives(Server::maria_db()).await;
}

/// A restaurant with 500 items, their modifiers and options, and its branches.
fn restaurant() -> Vec<String> {
    let mut statements = vec![
        "create table restaurants (id int primary key, tenant varchar(20), name varchar(100))".into(),
        "insert into restaurants values (7, 'north', 'Stove & Co')".into(),
        "create table branches (id int primary key, restaurant_id int, city varchar(100))".into(),
        "create table categories (id int primary key, name varchar(100))".into(),
        "create table items (id int primary key, restaurant_id int, category_id int, name varchar(100), cents int)".into(),
        "create table modifiers (id int primary key, item_id int, name varchar(100))".into(),
    ];
    let mut insert = |table: &str, rows: Vec<String>| {
        statements.push(format!("insert into {table} values {}", rows.join(", ")));
    };
    insert("branches", (1..=20).map(|id| format!("({id}, 7, 'City {id}')")).collect());
    insert("categories", (1..=5).map(|id| format!("({id}, 'Category {id}')")).collect());
    let items = (1..=500).map(|id| format!("({id}, 7, {}, 'Item {id}', {})", id % 6, id * 5));
    insert("items", items.collect());
    let modifiers = (1..=1500).map(|id| format!("({id}, {}, 'Modifier {id}')", id % 500 + 1));
    insert("modifiers", modifiers.collect());
    statements
}

const RESTAURANT: &str = r#"
[widget.restaurant]
source = "shop"
query = "select id, name from restaurants where tenant = :tenant"
one = true

[widget.restaurant.include.branches]
query = "select id, restaurant_id, city from branches where restaurant_id in (:ids) order by id"
on = "restaurant_id"

[widget.restaurant.include.items]
query = "select id, restaurant_id, category_id, name, cents from items where restaurant_id in (:ids) order by id"
on = "restaurant_id"

[widget.restaurant.include.items.include.category]
query = "select id, name from categories where id in (:ids)"
on = "id"
key = "category_id"
one = true

[widget.restaurant.include.items.include.modifiers]
query = "select id, item_id, name from modifiers where item_id in (:ids) order by id"
on = "item_id"
limit = 2
"#;

/// The main query, and one for each include.
const QUERIES: u64 = 5;

/// What a plain program would put together.
fn expected() -> serde_json::Value {
    let mut text = String::from(r#"{"id":7,"name":"Stove & Co","branches":["#);
    for id in 1..=20 {
        let comma = if id > 1 { "," } else { "" };
        write!(text, r#"{comma}{{"id":{id},"restaurant_id":7,"city":"City {id}"}}"#).expect("room");
    }
    text += r#"],"items":["#;
    for id in 1..=500u32 {
        let (comma, category) = (if id > 1 { "," } else { "" }, id % 6);
        let named = match category {
            0 => "null".to_owned(),
            id => format!(r#"{{"id":{id},"name":"Category {id}"}}"#),
        };
        let mut modifiers: Vec<u32> = (1..=1500).filter(|it| it % 500 + 1 == id).collect();
        modifiers.truncate(2);
        let modifiers: Vec<_> = modifiers
            .iter()
            .map(|it| format!(r#"{{"id":{it},"item_id":{id},"name":"Modifier {it}"}}"#))
            .collect();
        let cents = id * 5;
        write!(
            text,
            r#"{comma}{{"id":{id},"restaurant_id":7,"category_id":{category},"name":"Item {id}","cents":{cents},"category":{named},"modifiers":[{}]}}"#,
            modifiers.join(",")
        )
        .expect("room");
    }
    text += "]}";
    serde_json::from_str(&text).expect("it is JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_takes_one_query_for_each_include_whatever_the_database() {
    for server in [Server::postgres(), Server::maria_db()] {
        restaurant().iter().for_each(|statement| server.execute(statement));
        let desk = open(&definitions(&server.url(), RESTAURANT)).await;
        let before = server.queries();
        let answer = desk.read("restaurant", &[]).await;
        assert_eq!(server.queries() - before, QUERIES, "{}", server.url());
        assert_eq!(u64::from(answer.provenance().queries), QUERIES);
        assert_eq!(data(&answer), expected());
        assert_eq!(desk.read("restaurant", &[]).await.tier(), Tier::Local);
        assert_eq!(server.queries() - before, QUERIES, "the second was in memory");
    }
    let schema = restaurant().join(";\n");
    let desk = Desk::open(&definitions("sqlite://shop.db", RESTAURANT), &schema).await;
    let answer = desk.read("restaurant", &[]).await;
    assert_eq!(u64::from(answer.provenance().queries), QUERIES);
    assert_eq!(data(&answer), expected());
}

/// What a server shows through one snapshot is of one moment, as boards rely on.
#[expect(clippy::print_stdout, reason = "the figure, for whoever asks with --no-capture")]
async fn agrees(server: Server) {
    server.execute("create table tiles (tile int primary key, version int)");
    server.execute(
        "insert into tiles values (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0)",
    );
    let mut widgets = String::new();
    for tile in 0..8 {
        let tag = ["orders", "stock"][tile % 2];
        write!(
            widgets,
            "[widget.tile{tile}]\nsource = \"shop\"\ntags = [\"{tag}\"]\n\
             query = \"select version from tiles where tile = {tile} and :tenant <> ''\"\n"
        )
        .expect("room");
    }
    let names: Vec<_> = (0..8).map(|tile| format!("tile{tile}")).collect();
    write!(widgets, "[board.all]\nagree = true\nwidgets = {names:?}\n").expect("room");
    let desk = open(&definitions(&server.url(), &widgets)).await;
    let (mut agreed, mut changes) = (0, 0);
    const READS: usize = 200;
    for round in 0..READS {
        // The change and its announcement overlap with reads.
        let read = desk.engine.read_board("all", "north", Vec::new());
        let change = async {
            server.execute("update tiles set version = version + 1");
            let tag = ["orders", "stock"][round % 2];
            desk.invalidate("north", tag).await;
            changes += 1;
        };
        let (board, ()) = futures_util::join!(read, change);
        let board = board.expect("an answer");
        let shown: Vec<_> = board
            .tiles
            .iter()
            .map(|tile| data(tile.answer.as_ref().expect("read"))["rows"][0]["version"].clone())
            .collect();
        if board.agree {
            agreed += 1;
            assert!(shown.iter().all(|version| *version == shown[0]), "{shown:?}");
        }
    }
    println!("{}: {READS} reads, {changes} changes, {agreed} agreed", server.url());
    assert!(agreed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_over_postgres_agree_or_say_that_they_do_not() {
    agrees(Server::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_over_mariadb_agree_or_say_that_they_do_not() {
    agrees(Server::maria_db()).await;
}

const ROLLUP: &str = r#"
[rollup.order_days]
source = "shop"
partition = { by = "day", at = "received_at" }
tag = "orders/{day}"
query = "select received_at, channel, total, items from orders where tenant = :tenant and received_at >= :from and received_at < :to"
unnest.items = { column = "items", fields = ["sku", "qty"] }
dimensions = ["channel"]
measures = { orders = "count", revenue = { sum = "total" }, mean = { average = "total" }, sold = { top = "items.sku", by = "items.qty", keep = 50 } }

[widget.sales]
rollup = "order_days"
show = "breakdown"
by = "channel"
measures = ["orders", "revenue", "mean"]
ranges = ["7d"]
params.channel = { default = "all" }

[widget.best]
rollup = "order_days"
show = "top"
measures = ["sold"]
ranges = ["7d"]
"#;

/// A rollup shows the same of the same rows, whichever database holds them.
#[tokio::test(flavor = "multi_thread")]
async fn rollups_over_three_databases_show_the_same() {
    let mut rows = Vec::new();
    for id in 0..600u32 {
        let (hour, minute) = (id * 7 % 24, id * 13 % 60);
        let (channel, total) = (["web", "till"][id as usize % 2], id * 37 % 1000);
        rows.push(format!(
            "({id}, 'north', '{channel}', {total}.{:02}, '2026-11-{:02} {hour:02}:{minute:02}:00', \
             '[{{\"sku\":\"s{}\",\"qty\":{}}}]')",
            id % 100,
            1 + id % 20,
            id % 9,
            1 + id % 4
        ));
    }
    let table = |json: &str, time: &str| {
        vec![
            format!(
                "create table orders (id int primary key, tenant varchar(20), channel varchar(20), \
                     total decimal(10,2), received_at {time}, items {json})"
            ),
            format!("insert into orders values {}", rows.join(", ")),
        ]
    };
    let mut shown = Vec::new();
    let mut look = async |desk: Desk| {
        let mut answers = Vec::new();
        for (first, last) in [("2026-11-01", "2026-11-20"), ("2026-11-05", "2026-11-09")] {
            let range = format!("{first}..{last}");
            for channel in ["all", "web"] {
                let given = [("range", range.as_str()), ("channel", channel)];
                answers.push(data(&desk.read("sales", &given).await));
            }
            answers.push(data(&desk.read("best", &[("range", &range)]).await));
        }
        shown.push(answers);
    };
    for (server, json, time) in
        [(Server::postgres(), "jsonb", "timestamp"), (Server::maria_db(), "json", "datetime")]
    {
        table(json, time).iter().for_each(|statement| server.execute(statement));
        look(open(&definitions(&server.url(), ROLLUP)).await).await;
    }
    let schema = table("text", "text").join(";");
    look(Desk::open(&definitions("sqlite://shop.db", ROLLUP), &schema).await).await;
    assert_eq!(shown[0], shown[1], "PostgreSQL and MariaDB");
    // SQLite keeps decimals as doubles; all of these are sums of cents.
    let orders = |answers: &[serde_json::Value]| {
        answers.iter().map(|it| it["rows"][0]["orders"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(orders(&shown[0]), orders(&shown[2]));
    assert_eq!(shown[0][2], shown[2][2], "the best sold");
    let total: i64 = (0..600).map(|id: i64| id * 37 % 1000 * 100 + id % 100).sum();
    let cents =
        |row: &serde_json::Value| (row["revenue"].as_f64().expect("a sum") * 100.0).round() as i64;
    let rows = shown[0][0]["rows"].as_array().expect("rows");
    assert_eq!(rows.iter().map(cents).sum::<i64>(), total);
}

/// With the store away few computes are allowed at a time: a board must not hold one and wait for the
/// next.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_board_is_answered_without_a_store() {
    let redis = RedisServer::start().expect("it starts");
    let mut text =
        "[tenants]\nlist = [{ id = \"north\" }]\n[source.shop]\nurl = \"sqlite://shop.db\"\n"
            .to_owned();
    let names: Vec<_> = (0..20).map(|tile| format!("tile{tile}")).collect();
    for name in &names {
        write!(
            text,
            "[widget.{name}]\nsource = \"shop\"\nquery = \"select 1 as one where :tenant <> ''\"\n"
        )
        .expect("room");
    }
    write!(
        text,
        "[board.all]\nwidgets = {names:?}\n[board.strict]\nagree = true\nwidgets = {names:?}\n"
    )
    .expect("room");
    let folder = tempfile::tempdir().expect("a folder");
    rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    let settings = Settings::default();
    let cache = Cache::builder().settings(settings.clone()).connect(&redis.url()).await;
    let catalogue = check(&text, folder.path(), &Clock::System, Ask::All).await.expect("sound");
    let engine =
        Engine::start(cache.expect("connected"), &settings, catalogue, Observe::default(), None);
    let engine = engine.expect("it starts");
    redis.kill();
    for board in ["all", "strict"] {
        let answer = engine.read_board(board, "north", Vec::new()).await.expect("an answer");
        assert!(answer.tiles.iter().all(|tile| tile.answer.is_ok()), "{answer:?}");
        assert!(!answer.agree);
    }
}
