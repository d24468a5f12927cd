//! Tenants that a query lists.

use std::time::Duration;

use samovar_clock::Clock;
use samovar_engine::{Ask, NoTenant, ReadFailure};

use crate::desk::{Desk, clock_at, data};

const DEFINITIONS: &str = r#"
[tenants]
source = "shop"
query = "select id, name, zone as time_zone from shops"
refresh = "1m"

[source.shop]
url = "sqlite://shop.db"

[widget.orders]
source = "shop"
query = "select count(*) as orders, :first_day as day from orders where shop = :tenant and :last_day <> ''"
ranges = ["today"]
params.channel = { default = "all", values = "select distinct channel from orders where shop = :tenant order by 1" }
key = "orders:{tenant}:{channel}"

[widget.of_channel]
source = "shop"
query = "select count(*) as orders from orders where shop = :tenant and channel = :channel and total >= :least and paid = :paid"
params.channel = { values = "select distinct channel from orders where shop = :tenant order by 1" }
params.least = { type = "integer", default = 0 }
params.paid = { type = "boolean", default = true }
"#;

const SCHEMA: &str = "create table shops (id integer primary key, name text, zone text);
    insert into shops values (1, 'North', 'Europe/Oslo'), (2, null, null), (3, 'Odd', 'Mars/Olympus');
    create table orders (shop integer, channel text, total integer, paid boolean);
    insert into orders values (1, 'web', 5, true), (1, 'till', 100, true), (1, 'web', 50, false), (2, 'app', 1, true);";

fn definitions() -> String {
    // The first widget takes no channel: it is about ranges.
    let (before, after) = DEFINITIONS.split_once("params.channel = { default").expect("there");
    let after = after.split_once("key = ").expect("there").1;
    format!("{before}key = {}", after.replacen(":{channel}", ":{range}", 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_says_who_there_is_and_newcomers_are_found() {
    let clock = clock_at("2026-11-20T23:30:00Z");
    let desk = Desk::open_at(&definitions(), SCHEMA, Clock::Manual(clock.clone())).await;
    let members = desk.engine.tenants().await.expect("they are read");
    let names: Vec<_> = members.iter().map(|(id, it)| (id.as_str(), it.name.as_str())).collect();
    // The one without a time zone that exists is left out.
    assert_eq!(names, [("1", "North"), ("2", "2")]);
    let answer = desk.try_read("orders", "1", &[]).await.expect("an answer");
    assert_eq!(data(&answer)["rows"][0], serde_json::json!({ "orders": 3, "day": "2026-11-21" }));
    let answer = desk.try_read("orders", "2", &[]).await.expect("an answer");
    assert_eq!(data(&answer)["rows"][0]["day"], "2026-11-20", "in UTC it is another day");

    let unknown = desk.try_read("orders", "4", &[]).await.expect_err("nobody");
    assert_eq!(unknown, ReadFailure::Tenant(NoTenant::Unknown { id: "4".into() }));
    desk.write("insert into shops values (4, 'New', 'UTC')");
    // Not asked again at once, whoever knocks.
    assert!(desk.try_read("orders", "4", &[]).await.is_err());
    clock.advance(Duration::from_secs(1));
    assert!(desk.try_read("orders", "4", &[]).await.is_ok());

    desk.write("delete from shops where id = 2");
    assert!(desk.try_read("orders", "2", &[]).await.is_ok(), "the list is a minute old at most");
    clock.advance(Duration::from_secs(60));
    assert_eq!(desk.engine.tenants().await.expect("they are read").len(), 2);
    assert!(desk.try_read("orders", "2", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_outlives_its_source_and_its_process() {
    let clock = clock_at("2026-11-20T12:00:00Z");
    let time = || Clock::Manual(clock.clone());
    let desk = Desk::open_at(&definitions(), SCHEMA, time()).await;
    desk.try_read("orders", "1", &[]).await.expect("an answer");
    std::fs::rename(desk.folder.path().join("shop.db"), desk.folder.path().join("gone"))
        .expect("moved");
    let desk = desk.reopen(&definitions(), time(), Ask::Nobody).await;
    clock.advance(Duration::from_secs(120));
    let answer = desk.try_read("orders", "1", &[]).await.expect("an answer");
    assert_eq!(data(&answer)["rows"][0]["orders"], 3);
    assert!(matches!(desk.try_read("orders", "9", &[]).await, Err(ReadFailure::Tenant(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_nobody_is_turned_away_as_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::over(folder, &definitions(), Clock::System, Ask::Nobody).await;
    let failure = desk.try_read("orders", "1", &[]).await.expect_err("no database");
    assert!(matches!(failure, ReadFailure::Tenant(NoTenant::Unread { .. })), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_lists_the_values_of_a_parameter_for_a_tenant() {
    let desk = Desk::open(&definitions(), SCHEMA).await;
    let values = async |param: &str, tenant: &str| {
        desk.engine.values("of_channel", param, tenant).await.expect("values")
    };
    assert_eq!(values("channel", "1").await, Some(vec!["till".to_owned(), "web".to_owned()]));
    assert_eq!(values("channel", "2").await, Some(vec!["app".to_owned()]));
    assert_eq!(values("least", "1").await, None);
    // One that came since is taken all the same.
    desk.write("insert into orders values (1, 'phone', 1, true)");
    let new = desk.try_read("of_channel", "1", &[("channel", "phone")]).await.expect("an answer");
    assert_eq!(data(&new)["rows"][0]["orders"], 1);
    assert_eq!(values("channel", "1").await.map(|it| it.len()), Some(2), "it is cached");
    desk.invalidate("1", "shop").await;
    assert_eq!(values("channel", "1").await.map(|it| it.len()), Some(3));
    assert!(desk.engine.values("of_channel", "chanel", "1").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_types_and_one_form_each() {
    let desk = Desk::open(&definitions(), SCHEMA).await;
    let orders = async |given: &[(&str, &str)]| {
        let answer = desk.try_read("of_channel", "1", given).await.expect("an answer");
        (data(&answer)["rows"][0]["orders"].clone(), answer.tier())
    };
    use samovar_engine::Tier::{Computed, Local};
    // As texts 5 would be more than 10.
    assert_eq!(orders(&[("channel", "web"), ("least", "10")]).await, (0.into(), Computed));
    assert_eq!(orders(&[("channel", "web"), ("least", "+10")]).await, (0.into(), Local));
    assert_eq!(orders(&[("channel", "web"), ("paid", "false")]).await, (1.into(), Computed));
    let wrong = desk.try_read("of_channel", "1", &[("channel", "web"), ("least", "ten")]).await;
    let said = wrong.expect_err("no number").to_string();
    assert_eq!(said, "the parameter `least` takes a value of type integer, like 42");
}
