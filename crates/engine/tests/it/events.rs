//! Events: what they touch is computed anew, what they warm is read from memory.

use std::time::Duration;

use samovar_clock::Clock;
use samovar_engine::{Ask, Event, EventFailure, EventFault, NoTenant, Raised, Tier, WarmFailure};
use samovar_testkit::wait;
use serde_json::{Value, json};

use crate::{
    desk::{Desk, PATIENCE, check, clock_at, data},
    warm::{ended, is_kept, worker},
};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north", time_zone = "Europe/Oslo" }, { id = "south" }]

[source.shop]
url = "sqlite://shop.db"

[rollup.days]
source = "shop"
partition = { by = "day", at = "received_at" }
tag = "orders/{day}"
query = "select received_at, total from orders where tenant = :tenant and received_at >= :from and received_at < :to"
measures = { orders = "count", revenue = { sum = "total" } }

[widget.totals]
rollup = "days"
show = "totals"
measures = ["orders", "revenue"]
ranges = ["7d", "30d"]

[widget.campaign]
source = "shop"
query = "select count(*) as gifts from orders where tenant = :tenant and :campaign <> ''"
params.campaign = { default = "7" }
tags = ["campaign/{campaign}"]

[widget.rates]
source = "shop"
query = "select count(*) as rates from orders"
shared = true
tags = ["global:rates"]

[event."order.created"]
invalidates = ["orders/{day}"]
at = "received_at"

[event."gift.given"]
invalidates = ["campaign/{campaign.id}", "global:rates"]

[event."orders.synced"]
invalidates = ["orders"]
warm = { widgets = ["totals"], ranges = ["7d"] }

[event."rates.changed"]
invalidates = ["global:rates"]
warm = { widgets = ["rates"], queue = "low" }

[event."order.paid"]
invalidates = ["orders/{day}"]
at = "paid_at"
settle = "1h"
warm = { widgets = ["totals"] }
"#;

/// An order at noon of each of forty days of each tenant.
fn schema() -> String {
    let mut sql = "create table orders (tenant text, received_at text, total integer);
        create index by_time on orders (tenant, received_at);"
        .to_owned();
    for tenant in ["north", "south"] {
        for day in 0..40 {
            sql += &format!(
                "insert into orders values ('{tenant}', datetime('2026-11-20 12:00', '-{day} days'), 1);"
            );
        }
    }
    sql
}

async fn open() -> Desk {
    Desk::open_at(DEFINITIONS, &schema(), Clock::Manual(clock_at("2026-11-20T13:00:00Z"))).await
}

fn event(name: &str, tenant: Option<&str>, data: Value) -> Event {
    Event { name: name.to_owned(), tenant: tenant.map(str::to_owned), data }
}

fn created(tenant: &str, at: &str) -> Event {
    event("order.created", Some(tenant), json!({ "received_at": at }))
}

async fn raise(desk: &Desk, events: Vec<Event>) -> Raised {
    desk.engine.raise(events).await.expect("they are sound")
}

/// By tenant.
fn tags(raised: &Raised) -> Vec<(&str, Vec<&str>)> {
    let named = raised.invalidated.iter().map(|it| {
        let tags = it.tags.iter().map(String::as_str).collect();
        (it.tenant.as_deref().unwrap_or("all"), tags)
    });
    named.collect()
}

/// Orders of a range, and how many stretches of days were folded for it; none where it was kept.
async fn orders(desk: &Desk, tenant: &str, range: &str) -> (u64, u32) {
    let answer = desk.try_read("totals", tenant, &[("range", range)]).await.expect("an answer");
    let queries = match answer.tier() {
        Tier::Computed => answer.provenance().queries,
        _ => 0,
    };
    (data(&answer)["totals"]["orders"].as_u64().expect("a count"), queries)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_recomputes_the_day_it_belongs_to_by_the_clock_of_its_tenant() {
    let desk = open().await;
    let autumn = "2026-10-12..2026-11-20";
    // On the 25th of October the clocks of Oslo went back: it had 25 hours.
    for (count, (tenant, at, day)) in (41..).zip([
        ("north", "2026-11-19T22:59:59Z", "2026/11/19"),
        ("north", "2026-11-19T23:00:00Z", "2026/11/20"),
        ("north", "2026-10-24T21:59:59Z", "2026/10/24"),
        ("north", "2026-10-24T22:00:00Z", "2026/10/25"),
        ("north", "2026-10-25T22:59:59Z", "2026/10/25"),
        ("north", "2026-10-25T23:00:00Z", "2026/10/26"),
    ]) {
        let before = orders(&desk, tenant, autumn).await;
        assert_eq!(before.0, count - 1);
        let written = at.replace('T', " ").replace('Z', "");
        desk.write(&format!("insert into orders values ('{tenant}', '{written}', 1)"));
        assert_eq!(orders(&desk, tenant, autumn).await, (count - 1, 0), "nobody has told");
        let raised = raise(&desk, vec![created(tenant, at)]).await;
        assert_eq!(tags(&raised), [(tenant, vec![format!("orders/{day}").as_str()])]);
        assert_eq!(orders(&desk, tenant, autumn).await, (count, 1), "{at}: one day, that one");
    }
    // The clocks of the south stay as they are.
    let raised = raise(&desk, vec![created("south", "2026-10-24T22:00:00Z")]).await;
    assert_eq!(tags(&raised), [("south", vec!["orders/2026/10/24"])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_moved_recomputes_both_days_and_the_cause_is_seen() {
    let desk = open().await;
    let autumn = "2026-10-22..2026-11-20";
    assert_eq!(orders(&desk, "north", autumn).await, (30, 1));
    desk.write("update orders set received_at = '2026-11-03 09:00' where received_at = '2026-10-30 12:00:00'");
    let (from, to) = ("2026-10-30T12:00:00Z", "2026-11-03 09:00");
    let raised = raise(&desk, vec![created("north", from), created("north", to)]).await;
    assert_eq!(tags(&raised), [("north", vec!["orders/2026/10/30", "orders/2026/11/03"])]);
    let why = desk.engine.why("totals", "north", vec![("range".into(), autumn.into())]).await;
    let why = why.expect("explained");
    let cause = why.last_change.and_then(|it| it.cause);
    assert_eq!((why.state, cause.as_deref()), (Some("stale"), Some("event order.created")));
    assert_eq!(orders(&desk, "north", autumn).await, (30, 2), "two days, and none between them");
    assert_eq!(orders(&desk, "north", "2026-11-03..2026-11-03").await, (2, 0));
    assert_eq!(orders(&desk, "north", "2026-10-30..2026-10-30").await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_events_touch_is_touched_once() {
    let desk = open().await;
    let tier = async |widget: &str, tenant: &str, given: &[(&str, &str)]| {
        desk.try_read(widget, tenant, given).await.expect("an answer").tier()
    };
    for tenant in ["north", "south"] {
        for campaign in ["7", "8", "9"] {
            tier("campaign", tenant, &[("campaign", campaign)]).await;
        }
        tier("rates", tenant, &[]).await;
    }
    let gift = |index: usize| {
        let (tenant, id) =
            (["north", "south"][index % 2], [json!(7), json!("8")][index / 2 % 2].clone());
        event("gift.given", Some(tenant), json!({ "campaign": { "id": id } }))
    };
    let raised = raise(&desk, (0..1000).map(gift).collect()).await;
    assert_eq!(raised.events, 1000);
    assert_eq!(
        tags(&raised),
        [
            ("all", vec!["global:rates"]),
            ("north", vec!["campaign/7", "campaign/8"]),
            ("south", vec!["campaign/7", "campaign/8"]),
        ]
    );
    for tenant in ["north", "south"] {
        for (campaign, expected) in
            [("7", Tier::Computed), ("8", Tier::Computed), ("9", Tier::Local)]
        {
            let found = tier("campaign", tenant, &[("campaign", campaign)]).await;
            assert_eq!(found, expected, "{campaign} of {tenant}");
        }
        assert_eq!(tier("rates", tenant, &[]).await, Tier::Computed, "all tenants have the same");
    }
    // A tag for each: more than one change takes.
    let hour =
        |index: usize| event("gift.given", Some("north"), json!({ "campaign": { "id": index } }));
    let raised = raise(&desk, (0..1000).map(hour).collect()).await;
    assert_eq!(raised.invalidated[1].tags.len(), 1000);
    assert_eq!(tier("campaign", "north", &[("campaign", "9")]).await, Tier::Computed);
    let most = desk.engine.raise((0..1001).map(hour).collect()).await;
    assert_eq!(most, Err(EventFailure::TooMany { found: 1001, most: 1000 }));
    assert_eq!(desk.engine.raise(Vec::new()).await, Err(EventFailure::Nothing));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_events_of_which_one_is_wrong_none_is_applied() {
    let desk = open().await;
    orders(&desk, "north", "30d").await;
    let at = "2026-11-20T12:00:00Z";
    let invalid = |fault| EventFailure::Invalid { index: 2, name: "order.created".into(), fault };
    let gift = |fault| EventFailure::Invalid { index: 2, name: "gift.given".into(), fault };
    let (received_at, id) = ("received_at".to_owned(), "campaign.id".to_owned());
    let nearest = Some("order.created".to_owned());
    for (wrong, failure) in [
        (
            event("order.create", Some("north"), json!({})),
            EventFailure::Unknown { index: 2, name: "order.create".into(), nearest },
        ),
        (created("west", at), invalid(EventFault::Tenant(NoTenant::Unknown { id: "west".into() }))),
        (
            event("order.created", None, json!({ "received_at": at })),
            invalid(EventFault::MissingTenant { tag: "orders/{day}".into() }),
        ),
        (
            event("order.created", Some("north"), json!({ "received_at": null })),
            invalid(EventFault::MissingField { field: received_at.clone() }),
        ),
        (
            created("north", "at noon"),
            invalid(EventFault::NoTime { field: received_at, value: "\"at noon\"".into() }),
        ),
        (
            event("gift.given", Some("north"), json!({ "campaign": {} })),
            gift(EventFault::MissingField { field: id.clone() }),
        ),
        (
            event("gift.given", Some("north"), json!({ "campaign": { "id": "7/8" } })),
            gift(EventFault::NotInTag { field: id.clone(), value: "7/8".into() }),
        ),
        (
            event("gift.given", Some("north"), json!({ "campaign": { "id": [7] } })),
            gift(EventFault::NotSingle { field: id, found: "a list" }),
        ),
    ] {
        let synced = event("orders.synced", Some("north"), json!({}));
        let failed = desk.engine.raise(vec![created("north", at), synced, wrong]).await;
        assert_eq!(failed, Err(failure));
        assert_eq!(orders(&desk, "north", "30d").await.1, 0, "what is kept is fresh");
    }
    assert_eq!(desk.jobs.figures().await.expect("figures"), [], "nothing is warmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_event_its_readings_are_fresh_before_they_are_read() {
    let desk = open().await;
    assert_eq!(orders(&desk, "north", "7d").await, (7, 1));
    desk.write("insert into orders values ('north', '2026-11-18 10:00', 1)");
    let synced = || vec![event("orders.synced", Some("north"), Value::Null)];
    let raised = raise(&desk, synced()).await;
    let [begun] = &raised.warming[..] else { panic!("{raised:?}") };
    assert_eq!((begun.event.as_str(), begun.tenant.as_deref()), ("orders.synced", Some("north")));
    // A burst of events: while one waits to be divided there is no other.
    for _ in 0..5 {
        assert_eq!(raise(&desk, synced()).await.warming, raised.warming);
    }
    let south = raise(&desk, vec![event("orders.synced", Some("south"), Value::Null)]).await;
    assert_ne!(south.warming[0].batch, begun.batch, "it is somebody else's");
    let cache = worker(&desk, "cache", 1);
    let batch = ended(&desk, &begun.batch).await;
    assert_eq!((batch.name.as_str(), batch.state, batch.total), ("orders.synced", "done", 1));
    assert_eq!(orders(&desk, "north", "7d").await, (8, 0), "it was made before it was asked for");
    ended(&desk, &south.warming[0].batch).await;
    assert!(is_kept(&desk, "totals", "south", &[("range", "7d")]).await);
    assert!(!is_kept(&desk, "totals", "south", &[("range", "30d")]).await, "as the rule says");
    assert!(!is_kept(&desk, "campaign", "north", &[]).await);
    // When that is over, the next event begins another one.
    assert_ne!(raise(&desk, synced()).await.warming, raised.warming);
    cache.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_nobody_warms_all_on_the_queue_of_its_rule() {
    let desk = open().await;
    let raised = raise(&desk, vec![event("rates.changed", None, Value::Null)]).await;
    assert_eq!(tags(&raised), [("all", vec!["global:rates"])]);
    let figures = desk.jobs.figures().await.expect("figures");
    let waiting: Vec<_> = figures.iter().map(|it| (it.queue.as_str(), it.waiting)).collect();
    assert_eq!(waiting, [("low", 1)], "the backlog of its queue holds up what divides as well");
    let worker = worker(&desk, "low", 1);
    let batch = ended(&desk, &raised.warming[0].batch).await;
    assert_eq!((batch.queue.as_str(), batch.total), ("low", 2), "for both tenants");
    assert!(is_kept(&desk, "rates", "south", &[]).await);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_settles_is_invalidated_once_more_even_after_a_restart() {
    let (now, of_jobs) = (clock_at("2026-11-20T13:00:00Z"), clock_at("2026-11-20T13:00:00Z"));
    let (clock, clock_of_jobs) = (Clock::Manual(now), Clock::Manual(of_jobs.clone()));
    let desk = Desk::open_at(DEFINITIONS, &schema(), clock.clone()).await;
    let desk = desk.reopen_with(DEFINITIONS, clock.clone(), Ask::All, clock_of_jobs.clone()).await;
    let paid = event("order.paid", Some("north"), json!({ "paid_at": "2026-11-18T10:00:00Z" }));
    let raised = raise(&desk, vec![paid]).await;
    let [settling] = &raised.settling[..] else { panic!("{raised:?}") };
    assert_eq!((settling.tenant.as_deref(), settling.after_ms), (Some("north"), 3_600_000));
    let cache = worker(&desk, "cache", 1);
    ended(&desk, &raised.warming[0].batch).await;
    cache.drain().await;
    assert_eq!(orders(&desk, "north", "7d").await, (7, 0), "it was warmed at once");
    // Whoever told had not committed.
    desk.write("insert into orders values ('north', '2026-11-18 10:00', 1)");
    let desk = desk.reopen_with(DEFINITIONS, clock, Ask::All, clock_of_jobs).await;
    let (high, cache) = (worker(&desk, "high", 1), worker(&desk, "cache", 1));
    of_jobs.advance(Duration::from_secs(3599));
    let waits = desk.jobs.figures().await.expect("figures");
    let high_queue = waits.iter().find(|it| it.queue.as_str() == "high").expect("it is there");
    assert_eq!((high_queue.scheduled + high_queue.waiting, high_queue.done), (1, 0));
    assert_eq!(orders(&desk, "north", "7d").await, (7, 0), "its time has not come");
    of_jobs.advance(Duration::from_secs(1));
    let warmed = || async { (orders_kept(&desk).await == Some(8)).then_some(()) };
    wait::until_async(PATIENCE, "it is invalidated and warmed", warmed).await.expect("it is");
    let given = vec![("range".to_owned(), "7d".to_owned())];
    let why = desk.engine.why("totals", "north", given).await.expect("explained");
    let cause = why.last_change.and_then(|it| it.cause);
    assert_eq!(cause.as_deref(), Some("event order.paid, once more"));
    high.drain().await;
    cache.drain().await;
}

/// Orders of a week, where they are kept and fresh before they are read. Whoever reads in the moment in which
/// they are stored takes them from the flight that made them.
async fn orders_kept(desk: &Desk) -> Option<u64> {
    let given = vec![("range".to_owned(), "7d".to_owned())];
    let why = desk.engine.why("totals", "north", given).await.expect("explained");
    let is_new = why.last_change.is_some_and(|it| it.cause.is_some_and(|it| it.ends_with("more")));
    if !is_new || why.state != Some("fresh") {
        return None;
    }
    let (orders, _) = orders(desk, "north", "7d").await;
    Some(orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_warm_up_is_an_event() {
    let rule =
        "[event.\"cache.warming.completed\"]\ninvalidates = [\"global:warmed/{name}/{failed}\"]";
    let board = "[widget.warmed]\nsource = \"shop\"\nquery = \"select 1 as x\"\nshared = true\n\
                 tags = [\"global:warmed/orders.synced/0\"]";
    let definitions = format!("{DEFINITIONS}\n{rule}\n{board}");
    let desk = Desk::open(&definitions, &schema()).await;
    desk.read("warmed", &[]).await;
    assert_eq!(desk.read("warmed", &[]).await.tier(), Tier::Local);
    let raised = raise(&desk, vec![event("orders.synced", Some("north"), Value::Null)]).await;
    let worker = worker(&desk, "cache", 1);
    ended(&desk, &raised.warming[0].batch).await;
    let told = || async {
        let why = desk.engine.why("warmed", "north", Vec::new()).await.expect("explained");
        let cause = why.last_change.and_then(|it| it.cause);
        (cause.as_deref() == Some("event cache.warming.completed")).then_some(())
    };
    wait::until_async(PATIENCE, "it is told", told).await.expect("it is");
    assert_eq!(desk.read("warmed", &[]).await.tier(), Tier::Computed);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_event_tells_of_changes_days_that_are_over_are_kept_for_weeks() {
    let months = "2026-10-12..2026-11-18";
    let silent = DEFINITIONS.replace("\"orders/{day}\"]", "\"sold/{day}\"]");
    let silent = silent.replace("[\"orders\"]", "[\"sold\"]");
    for (definitions, after_days, queries) in
        [(DEFINITIONS, 20, 0), (DEFINITIONS, 31, 1), (silent.as_str(), 3, 1)]
    {
        let hands = clock_at("2026-11-20T13:00:00Z");
        let clock = Clock::Manual(hands.clone());
        let desk = Desk::open_at(definitions, &schema(), clock).await;
        assert_eq!(orders(&desk, "north", months).await, (38, 1));
        hands.advance(Duration::from_secs(24 * 3600 * after_days));
        // Another range, so that only the days can be kept.
        let other = orders(&desk, "north", "2026-10-13..2026-11-18").await;
        assert_eq!(other, (37, queries), "after {after_days} days");
    }
    // Whoever stops to tell gets no day that was kept for weeks.
    let clock = Clock::Manual(clock_at("2026-11-20T13:00:00Z"));
    let desk = Desk::open_at(DEFINITIONS, &schema(), clock.clone()).await;
    assert_eq!(orders(&desk, "north", months).await, (38, 1));
    let desk = desk.reopen(DEFINITIONS, clock.clone(), Ask::All).await;
    assert_eq!(orders(&desk, "north", "2026-10-13..2026-11-18").await, (37, 0));
    let desk = desk.reopen(&silent, clock, Ask::All).await;
    assert_eq!(orders(&desk, "north", "2026-10-14..2026-11-18").await, (36, 1));
}

#[tokio::test]
async fn a_tag_that_data_can_never_make_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for (tag, reason) in [
        ("orders//{id}", "empty segment"),
        ("orders {id}", "contains ' '"),
        ("a/b/c/d/{day}", "7 deep"),
        ("orders/{id}}", "contains '}'"),
    ] {
        let at = if tag.contains("{day}") { "at = \"at\"" } else { "" };
        let text = format!("{DEFINITIONS}\n[event.wrong]\ninvalidates = [\"{tag}\"]\n{at}");
        let found = check(&text, folder.path(), &Clock::System, Ask::Nobody).await;
        let line = text.lines().position(|line| line.contains(tag)).expect("there") + 1;
        let problems = found.expect_err(tag);
        assert_eq!((problems.len(), problems[0].line), (1, line), "{problems:?}");
        assert!(problems[0].reason.contains(reason), "{problems:?}");
        assert!(problems[0].hint.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jobs_what_needs_none_is_done_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a database");
    database.execute_batch(&schema()).expect("tables");
    let clock = Clock::Manual(clock_at("2026-11-20T13:00:00Z"));
    let catalogue = check(DEFINITIONS, folder.path(), &clock, Ask::All).await;
    let settings = samovar_cache::Settings::default();
    let cache = samovar_cache::Cache::builder().settings(settings.clone());
    let cache = cache.open(&folder.path().join("store")).await.expect("a store");
    let observe = samovar_engine::Observe::default();
    let engine =
        samovar_engine::Engine::start(cache, &settings, catalogue.expect("sound"), observe, None);
    let engine = engine.expect("it starts");
    let order = created("north", "2026-11-20T12:00:00Z");
    assert_eq!(engine.raise(vec![order.clone()]).await.map(|it| it.events), Ok(1));
    let read = async || engine.read("totals", "north", Vec::new()).await.expect("an answer").tier();
    read().await;
    let synced = event("orders.synced", Some("north"), Value::Null);
    let failed = engine.raise(vec![order, synced]).await;
    assert_eq!(failed, Err(EventFailure::Jobs(WarmFailure::NoJobs)));
    assert_eq!(read().await, Tier::Local, "nothing was invalidated");
    let shown = engine.events();
    let names: Vec<_> = shown.iter().map(|it| it.name.as_str()).collect();
    let expected = ["gift.given", "order.created", "order.paid", "orders.synced", "rates.changed"];
    assert_eq!(names, expected);
    assert_eq!((shown[2].settle_ms, shown[2].at.as_deref()), (Some(3_600_000), Some("paid_at")));
}
