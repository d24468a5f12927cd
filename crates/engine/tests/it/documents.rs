//! Documents, what they cost, and what is told of readings.

use samovar_engine::{ChangeFailure, Cleared, Clearing, Tier};
use serde_json::json;

use crate::desk::{Desk, data, pairs};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south" }]

[source.food]
url = "sqlite://shop.db"

[widget.restaurant]
source = "food"
query = "select id, name, details from restaurants where tenant = :tenant"
one = true
json = ["details"]
key = "restaurant:{tenant}"

[widget.restaurant.include.items]
query = "select id, restaurant_id, name from items where restaurant_id in (:ids) order by id"
on = "restaurant_id"

[widget.restaurant.include.items.include.modifiers]
query = "select item_id, name from modifiers where item_id in (:ids) order by name"
on = "item_id"
limit = 2

[widget.items]
source = "food"
query = "select name from items where :tenant <> '' and id >= :from_id"
params.from_id = { type = "integer", default = 0 }
key = "menu:{tenant}:items"
"#;

const SCHEMA: &str = r#"create table restaurants (id integer primary key, tenant text, name text, details text);
    insert into restaurants values (1, 'north', 'Stove', '{"seats":[1,2]}');
    create table items (id integer primary key, restaurant_id integer, name text);
    insert into items values (10, 1, 'soup'), (11, 1, 'cake');
    create table modifiers (item_id integer, name text);
    insert into modifiers values (10, 'bread'), (10, 'cream'), (10, 'dill');"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_document_holds_what_is_related_and_says_how_many_queries_it_took() {
    let desk = Desk::open(DEFINITIONS, SCHEMA).await;
    let answer = desk.read("restaurant", &[]).await;
    assert_eq!(
        data(&answer),
        json!({
            "id": 1, "name": "Stove", "details": { "seats": [1, 2] },
            "items": [
                { "id": 10, "restaurant_id": 1, "name": "soup",
                  "modifiers": [{ "item_id": 10, "name": "bread" }, { "item_id": 10, "name": "cream" }] },
                { "id": 11, "restaurant_id": 1, "name": "cake", "modifiers": [] },
            ],
        })
    );
    assert_eq!(answer.provenance().queries, 3);
    let nobody = desk.try_read("restaurant", "south", &[]).await.expect("an answer");
    assert_eq!((data(&nobody), nobody.provenance().queries), (json!(null), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computes_time_and_query_are_kept_when_it_was_slow() {
    // More than the millisecond that counts as slow here.
    let slow = DEFINITIONS.replace(
        "select name from items where",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) \
         select count(*) as name from n, items where",
    );
    let desk = Desk::open(&slow, SCHEMA).await;
    desk.read("items", &[("from_id", "3")]).await;
    let kept = desk.engine.statistics().await.slow;
    assert_eq!(
        (kept.len(), kept[0].widget.as_str(), kept[0].tenant.as_str()),
        (1, "items", "north")
    );
    assert_eq!(kept[0].params["from_id"], "3");
    assert!(kept[0].query.starts_with("with recursive") && kept[0].took_ms >= 1);
    assert_eq!((kept[0].queries, kept[0].error.clone()), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_a_reading_depends_on_and_what_changed_last() {
    let desk = Desk::open(DEFINITIONS, SCHEMA).await;
    let why = async || desk.engine.why("items", "north", Vec::new()).await.expect("explained");
    let before = why().await;
    assert_eq!(
        (before.state, before.summary.as_str()),
        (None, "nothing is stored: the next read computes it")
    );
    desk.read("items", &[]).await;
    let fresh = why().await;
    assert_eq!((fresh.state, fresh.mode, fresh.local), (Some("fresh"), "on", true));
    assert!(fresh.key.starts_with("menu:north:items") && fresh.stamps.iter().all(|it| it.holds));
    assert!(fresh.stored.is_some_and(|stored| stored.ttl_ms > 0 && stored.bytes > 0));

    let change = samovar_engine::Change {
        tenant: Some("north".to_owned()),
        tags: vec!["food".to_owned()],
        cause: "an order came in".to_owned(),
        ..samovar_engine::Change::default()
    };
    desk.engine.invalidate(&change).await.expect("invalidated");
    let stale = why().await;
    assert_eq!((stale.state, stale.stale_because), (Some("stale"), Some("change")));
    let last = stale.last_change.clone().expect("one");
    assert_eq!(last.cause.as_deref(), Some("an order came in"));
    assert!(stale.stamps.iter().any(|it| !it.holds && it.what.contains("food")), "{stale:?}");
    assert_eq!(desk.read("items", &[]).await.tier(), Tier::Computed, "explaining touched nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cleared_is_what_was_named() {
    let desk = Desk::open(DEFINITIONS, SCHEMA).await;
    let fill = async || {
        for tenant in ["north", "south"] {
            desk.try_read("items", tenant, &[]).await.expect("read");
            desk.try_read("items", tenant, &[("from_id", "3")]).await.expect("read");
            desk.try_read("restaurant", tenant, &[]).await.expect("read");
        }
    };
    // Which of the six readings are gone.
    let gone = async || {
        let mut gone = Vec::new();
        for tenant in ["north", "south"] {
            for (widget, given) in
                [("items", &[][..]), ("items", &[("from_id", "3")]), ("restaurant", &[])]
            {
                let why = desk.engine.why(widget, tenant, pairs(given)).await.expect("explained");
                if why.state.is_none() {
                    gone.push(format!("{tenant} {widget} {}", given.len()));
                }
            }
        }
        gone
    };
    let clear = async |clearing: Clearing| desk.engine.clear(&clearing).await.expect("cleared");
    let named = |text: &str| Some(text.to_owned());

    fill().await;
    let params = pairs(&[("from_id", "3")]);
    let one =
        Clearing { tenant: named("north"), widget: named("items"), params, ..Clearing::default() };
    let cleared = clear(one).await;
    assert!(matches!(&cleared[..], [Cleared::Reading { tenant, .. }] if tenant == "north"));
    assert_eq!(gone().await, ["north items 1"]);

    fill().await;
    let widget = Clearing { tenant: named("south"), widget: named("items"), ..Clearing::default() };
    clear(widget).await;
    assert_eq!(gone().await, ["south items 0", "south items 1"]);

    fill().await;
    let pattern = Clearing { pattern: named("menu:*"), ..Clearing::default() };
    assert_eq!(clear(pattern).await, [Cleared::Widget { widget: "items".into(), tenant: None }]);
    assert_eq!(gone().await.len(), 4);

    fill().await;
    clear(Clearing { tenant: named("north"), ..Clearing::default() }).await;
    assert_eq!(gone().await, ["north items 0", "north items 1", "north restaurant 0"]);

    fill().await;
    let params = pairs(&[("from_id", "3")]);
    let of_all = Clearing { widget: named("items"), params: params.clone(), ..Clearing::default() };
    assert_eq!(clear(of_all).await.len(), 2, "one for each tenant");
    assert_eq!(gone().await, ["north items 1", "south items 1"]);

    fill().await;
    assert_eq!(clear(Clearing { all: true, ..Clearing::default() }).await, [Cleared::Everything]);
    assert_eq!(gone().await.len(), 6);

    let refused =
        async |clearing: Clearing| desk.engine.clear(&clearing).await.expect_err("refused");
    assert_eq!(refused(Clearing::default()).await, ChangeFailure::NothingToClear);
    let homeless = Clearing { params, ..Clearing::default() };
    assert_eq!(refused(homeless).await, ChangeFailure::ParamsWithoutWidget);
}
