//! Partials of months that are over, kept together: how many entries they take, and what a change of
//! one of them costs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use samovar_cache::{Cache, How, Settings, Subject, Tag, Tenant};
use samovar_clock::Clock;
use samovar_engine::{Ask, Engine, Observe};
use samovar_testkit::RedisServer;

use crate::{
    desk::{check, clock_at, data, pairs, settled},
    partials::{DEFINITIONS, Kept, NINETY, THIRTY, owner, schema},
};

/// An event tells of every change of a day.
const TOLD: &str =
    "[event.\"order.created\"]\ninvalidates = [\"orders/{day}\"]\nat = \"received_at\"\n";
const SEPTEMBER: (&str, &str) = ("2026-09-01", "2026-09-30");
/// Longer than an answer is fresh: what is read next is made anew, of what is kept.
const A_WHILE: Duration = Duration::from_secs(601);

/// For one tenant who needs no query to be known.
fn told() -> String {
    let list = "list = [{ id = \"tenant-0\", time_zone = \"UTC\" }]";
    let query = "source = \"shop\"\nquery = \"select id, zone as time_zone from tenants\"";
    assert!(DEFINITIONS.contains(query));
    format!("{DEFINITIONS}{TOLD}").replacen(query, list, 1)
}

impl Kept {
    /// Made once more of what is kept; then what is to be bundled is.
    async fn again(&self, tenant: usize, range: (&str, &str)) -> u32 {
        self.clock.advance(A_WHILE);
        let queries = self.totals(tenant, range).await;
        settled(&self.desk.engine).await;
        queries
    }

    /// And how many rows of the source.
    async fn costs(&self, tenant: usize, range: (&str, &str)) -> (u32, u64) {
        let rows = async || self.told().await.sources["shop"].rows;
        let before = rows().await;
        let queries = self.again(tenant, range).await;
        (queries, rows().await - before)
    }

    /// Entries of bundles, and of partials by themselves.
    fn entries(&self) -> (usize, usize) {
        let is_bundle = |key: &String| key.contains("/days?") || key.contains("/hours?");
        let bundles = self.keys("entries").iter().filter(|key| is_bundle(key)).count();
        (bundles, self.partials().1 - bundles)
    }

    async fn order(&self, days: &[&str]) {
        for day in days {
            let order = format!("('tenant-0', '{day} 10:00:00', 'web', 7, 9001)");
            self.desk.write(&format!("insert into orders values {order}"));
        }
        let tags = days.iter().map(|day| format!("orders/{}", day.replace('-', "/")));
        let tenant = Some("tenant-0".to_owned());
        let change = samovar_engine::Change { tenant, tags: tags.collect(), ..Default::default() };
        self.desk.engine.invalidate(&change).await.expect("invalidated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partials_of_months_that_are_over_become_one_entry_each() {
    for (definitions, expected) in [
        // August has eleven days of the ninety; November goes on.
        (told().as_str(), [(0, 90), (3, 18), (3, 18)]),
        // Where nobody tells of changes, partials live for a day: they stay apart.
        (DEFINITIONS, [(0, 90); 3]),
    ] {
        let kept = Kept::open_with(definitions, &schema(1, 100, 3), Settings::default()).await;
        assert_eq!((kept.again(0, NINETY).await, kept.entries()), (1, expected[0]));
        assert_eq!((kept.again(0, NINETY).await, kept.entries()), (0, expected[1]));
        assert_eq!((kept.again(0, NINETY).await, kept.entries()), (0, expected[2]));
        // Any part of it.
        assert_eq!(kept.again(0, ("2026-09-10", "2026-09-10")).await, 0);
        assert_eq!(kept.again(0, ("2026-08-25", "2026-09-02")).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_days_are_folded_alone_and_join_when_there_are_enough() {
    let kept = Kept::open_with(&told(), &schema(1, 100, 3), Settings::default()).await;
    kept.again(0, NINETY).await;
    kept.again(0, NINETY).await;
    kept.order(&["2026-09-10"]).await;
    assert_eq!(kept.costs(0, NINETY).await, (1, 4), "that day alone");
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 19)));
    // Two at once, one of them for the second time.
    kept.order(&["2026-09-10", "2026-09-20"]).await;
    assert_eq!(kept.costs(0, NINETY).await, (2, 5 + 4), "the two alone");
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 20)));
    let more: Vec<String> = (1..=6).map(|day| format!("2026-09-0{day}")).collect();
    kept.order(&more.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((1, 6 * 4), (3, 26)));
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 18)));
    assert_eq!(kept.costs(0, NINETY).await, (0, 0), "they are in it");
    // Days of a month that nobody had asked for join those that are there.
    assert_eq!(kept.again(0, ("2026-08-13", "2026-08-31")).await, 1);
    assert_eq!(kept.entries(), (3, 18 + 8));
    assert_eq!((kept.again(0, ("2026-08-13", "2026-08-31")).await, kept.entries()), (0, (3, 18)));
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 18)));
}

/// Where the tag names no day, all of them fall with each order: what is folded then is not bundled
/// before it has lasted.
#[tokio::test(flavor = "multi_thread")]
async fn days_that_have_one_tag_fall_together_and_are_bundled_when_they_last() {
    let coarse = told().replace("\"orders/{day}\"", "\"orders\"");
    let coarse = coarse.replace("at = \"received_at\"\n", "");
    let kept = Kept::open_with(&coarse, &schema(1, 100, 3), Settings::default()).await;
    kept.again(0, NINETY).await;
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 18)));
    for orders in 1..=2 {
        kept.order(&["2026-09-10"]).await;
        let all = 90 * 3 + orders;
        assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((1, all), (3, 90)));
    }
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 18)));
    assert_eq!(kept.costs(0, NINETY).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_cleared_is_folded_once_and_bundled_again() {
    let kept = Kept::open_with(&told(), &schema(1, 100, 3), Settings::default()).await;
    kept.again(0, NINETY).await;
    kept.again(0, NINETY).await;
    let month: [Tag; 1] = ["orders/2026/09".parse().expect("valid")];
    let tenant = Tenant::new("tenant-0").expect("valid");
    let (subject, how) = (Subject::Tags(&month), How::default());
    kept.desk.cache.clear(&subject, Some(&tenant), &how).await.expect("cleared");
    kept.desk.write("delete from orders where received_at like '2026-09-1%'");
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((1, 20 * 3), (3, 18 + 30)));
    assert_eq!((kept.costs(0, NINETY).await, kept.entries()), ((0, 0), (3, 18)));
    assert_eq!(kept.costs(0, NINETY).await, (0, 0));
    // What a warm-up does by force: nothing that is kept of the rollup is fresh any more.
    let names = kept.desk.cache.widgets();
    let sealed = names.iter().find(|it| it.name().starts_with("rollup-told")).expect("declared");
    let subject = Subject::Widget(sealed.name());
    kept.desk.cache.invalidate(&subject, Some(&tenant), &how).await.expect("invalidated");
    assert_eq!(kept.costs(0, SEPTEMBER).await, (1, 20 * 3));
}

/// Each day keeps its time, in however many bundles it has been.
#[tokio::test(flavor = "multi_thread")]
async fn no_day_lives_longer_in_bundles_than_it_would_alone() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let kept = Kept::open_with(&told(), &schema(1, 100, 3), Settings::default()).await;
    assert_eq!(kept.again(0, SEPTEMBER).await, 1);
    // They are bundled when a third of their time is over.
    kept.clock.advance(10 * DAY);
    kept.again(0, SEPTEMBER).await;
    assert_eq!(kept.entries(), (1, 0));
    // Eight days are younger than the others; all are in a bundle that is made anew.
    kept.clock.advance(10 * DAY);
    let late: Vec<String> = (1..=8).map(|day| format!("2026-09-0{day}")).collect();
    kept.order(&late.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((kept.costs(0, SEPTEMBER).await, kept.entries()), ((1, 8 * 4), (1, 8)));
    assert_eq!((kept.costs(0, SEPTEMBER).await, kept.entries()), ((0, 0), (1, 0)));
    // Nobody tells of this one.
    let before = kept.plain(0, SEPTEMBER);
    kept.desk
        .write("insert into orders values ('tenant-0', '2026-09-20 10:00:00', 'web', 7, 9001)");
    kept.clock.advance(6 * DAY);
    assert_eq!(kept.shown(0, SEPTEMBER).await, (before, 0));
    kept.clock.advance(4 * DAY);
    assert_eq!(kept.costs(0, SEPTEMBER).await, (1, 22 * 3 + 1), "the older ones alone");
    kept.again(0, SEPTEMBER).await;
    assert_eq!(kept.entries(), (1, 0));
    kept.clock.advance(20 * DAY);
    assert_eq!(kept.costs(0, SEPTEMBER).await, (1, 8 * 4), "the younger ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn partials_that_are_too_large_together_stay_apart() {
    // Of each day about 27 KB: 400 customers with long names.
    let large = format!(
        "{}\nupdate orders set customer = printf('%058d', customer);",
        schema(1, 90, 400)
            .replace("o.i * 31 % 997", "o.i")
            .replace("customer integer", "customer text")
    );
    let kept =
        Kept::open_with(&told().replace("keep = 200", "keep = 400"), &large, Settings::default())
            .await;
    for entries in [(0, 30), (0, 30)] {
        kept.again(0, SEPTEMBER).await;
        assert_eq!(kept.entries(), entries);
    }
    let half = ("2026-09-01", "2026-09-14");
    assert_eq!((kept.again(0, half).await, kept.entries()), (0, (1, 16)), "less is not too large");
    assert_eq!((kept.again(0, SEPTEMBER).await, kept.entries()), (0, (1, 16)));
    // Values of the cache are smaller than that.
    let settings = Settings { value_limit: 3 << 10, ..Settings::default() };
    let kept = Kept::open_with(&told(), &schema(1, 100, 3), settings).await;
    for _ in 0..2 {
        kept.again(0, SEPTEMBER).await;
        assert_eq!(kept.entries(), (0, 30));
    }
    let errors: u64 = kept.desk.cache.counters().iter().map(|(.., it)| it.errors).sum();
    assert_eq!(errors, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_of_days_that_are_over_become_one_entry_each() {
    let hourly = told().replace("by = \"day\"", "by = \"hour\"").replace("{day}", "{hour}");
    let kept = Kept::open_with(&hourly, &schema(1, 100, 24), Settings::default()).await;
    let (three, two) = (("2026-11-18", "2026-11-20"), ("2026-11-18", "2026-11-19"));
    kept.totals(0, three).await;
    kept.again(0, two).await;
    assert_eq!((kept.again(0, two).await, kept.entries().0), (0, 2));
    let (_, alone) = kept.entries();
    assert!((1..=24).contains(&alone), "those of today: {alone}");
    let order = "('tenant-0', '2026-11-18 10:00:00', 'web', 7, 9001)";
    kept.desk.write(&format!("insert into orders values {order}"));
    kept.desk.invalidate("tenant-0", "orders/2026/11/18/10").await;
    let (queries, rows) = kept.costs(0, two).await;
    assert!(queries == 1 && rows < 24, "an hour alone: {rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_take_less_than_half_of_the_room() {
    let definitions = format!("{DEFINITIONS}{TOLD}");
    let kept = Kept::open_with(&definitions, &schema(100, 100, 20), Settings::default()).await;
    let mut taken = Vec::new();
    for queries in [1, 0] {
        for tenant in 0..100 {
            assert_eq!(kept.totals(tenant, NINETY).await, queries);
            settled(&kept.desk.engine).await;
        }
        let bytes = kept.told().await.store.memory_bytes.expect("it is known");
        taken.push((kept.entries(), bytes));
        kept.clock.advance(A_WHILE);
    }
    let [(before, bytes_before), (after, bytes_after)] = taken[..] else { panic!("two") };
    assert_eq!((before, after), ((0, 100 * 90), (100 * 3, 100 * 18)));
    assert!(bytes_after * 2 < bytes_before, "{bytes_before} bytes became {bytes_after}");
}

/// Of tenants that are read there is an entry for each month, and one for each day of the month that
/// goes on. Of the others there is not even a version.
#[tokio::test(flavor = "multi_thread")]
async fn partials_are_kept_for_tenants_that_are_read_and_others_cost_nothing() {
    let definitions = format!("{DEFINITIONS}{TOLD}");
    let kept = Kept::open_with(&definitions, &schema(10_000, 40, 1), Settings::default()).await;
    assert_eq!(kept.desk.engine.tenants().await.expect("known").len(), 10_000);
    let read: Vec<usize> = (0..100).map(|it| it * 97).collect();
    for tenant in &read {
        assert_eq!(kept.totals(*tenant, THIRTY).await, 1);
    }
    let names: BTreeSet<String> = read.iter().map(|it| format!("tenant-{it}")).collect();
    assert_eq!(kept.partials(), (names.clone(), 100 * 30));
    kept.clock.advance(A_WHILE);
    for tenant in &read {
        assert_eq!(kept.totals(*tenant, THIRTY).await, 0);
        settled(&kept.desk.engine).await;
    }
    assert_eq!(kept.partials(), (names.clone(), 100 * (1 + 18)));
    let keys = kept.keys("entries").into_iter().chain(kept.keys("versions"));
    let mut owners: BTreeSet<String> = keys.map(|it| owner(&it).to_owned()).collect();
    owners.retain(|it| !names.contains(it));
    // The list of tenants, and what all of them have in common.
    assert_eq!(owners.into_iter().collect::<Vec<_>>(), ["*", "everybody"]);
}

/// Two processes, which find what is due at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn on_redis_two_processes_make_one_bundle() {
    let redis = RedisServer::start().expect("it starts");
    let folder = tempfile::tempdir().expect("a folder");
    let database = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    database.execute_batch(&schema(1, 100, 3)).expect("tables");
    let clock = Clock::Manual(clock_at("2026-11-20T12:00:00Z"));
    let settings = Settings::default();
    let mut engines = Vec::new();
    for _ in 0..2 {
        let cache = Cache::builder().settings(settings.clone()).connect(&redis.url()).await;
        let catalogue = check(&told(), folder.path(), &clock, Ask::All).await;
        let (cache, catalogue) = (cache.expect("connected"), catalogue.expect("nothing is wrong"));
        let engine = Engine::start(cache, &settings, catalogue, Observe::default(), None);
        engines.push(Arc::new(engine.expect("it starts")));
    }
    let range = format!("{}..{}", NINETY.0, NINETY.1);
    let read = async |engine: &Engine, channel: &str| {
        let given = pairs(&[("range", &range), ("channel", channel)]);
        let answer = engine.read("sales", "tenant-0", given).await.expect("an answer");
        (data(&answer)["totals"]["orders"].as_u64().expect("a count"), answer.provenance().queries)
    };
    let entries = || {
        let mut connection = redis.connect().expect("connects");
        let keys = connection.command(&["KEYS", "*:e:rollup:*"]).expect("lists");
        keys.items().len()
    };
    assert_eq!(read(&engines[0], "all").await, (270, 1));
    assert_eq!(entries(), 90);
    // What each shows is made anew, of the same partials.
    let both = futures_util::join!(read(&engines[0], "web"), read(&engines[1], "till"));
    assert_eq!(both, ((90, 0), (180, 0)));
    for engine in &engines {
        settled(engine).await;
    }
    assert_eq!(read(&engines[1], "web ").await, (0, 0));
    settled(&engines[1]).await;
    assert_eq!(entries(), 3 + 18);
    let day = vec!["orders/2026/09/10".to_owned()];
    let change = samovar_engine::Change {
        tenant: Some("tenant-0".to_owned()),
        tags: day,
        ..Default::default()
    };
    database
        .execute(
            "insert into orders values ('tenant-0', '2026-09-10 10:00:00', 'web', 7, 9001)",
            [],
        )
        .expect("written");
    engines[0].invalidate(&change).await.expect("invalidated");
    assert_eq!(read(&engines[1], "all").await, (271, 1));
    assert_eq!(entries(), 3 + 19);
}
