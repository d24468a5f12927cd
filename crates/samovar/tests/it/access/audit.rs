//! What is written down of what was changed.

use samovar_access::Role;
use serde_json::{Value, json};

use super::server::{PASSWORD, Shop};

async fn entries(shop: &Shop) -> Vec<Value> {
    let page = shop.access.entries(None, 100).await.expect("answers");
    page.entries.iter().map(|it| serde_json::to_value(it).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_says_who_what_of_whom_and_what_became_of_it() {
    let shop = Shop::closed().await;
    let owner = shop.token(Role::Owner, &["north"]).await;
    let mut asking = shop.asking().await;
    let clear = json!({ "tenant": "north", "widget": "total", "params": { "channel": "web" } });
    asking.ask("POST", "/v1/clear", Some(&owner), Some(&clear)).await;
    let unknown = json!({ "tenant": "north", "widget": "totl" });
    asking.ask("POST", "/v1/clear", Some(&owner), Some(&unknown)).await;
    let other = json!({ "tenant": "south" });
    asking.ask("POST", "/v1/clear", Some(&owner), Some(&other)).await;
    asking.ask("POST", "/v1/cleanup", Some(&owner), Some(&json!({}))).await;
    asking.ask("GET", "/v1/widgets/total?tenant=north", Some(&owner), None).await;
    let found = entries(&shop).await;
    let of = |field: &str| found.iter().map(|it| it[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("outcome"), ["refused", "refused", "refused", "done"], "reads leave nothing");
    assert_eq!(of("code"), ["forbidden", "forbidden_tenant", "unknown_widget", "200"]);
    assert_eq!(of("what")[3], "POST /v1/clear");
    assert_eq!(of("tenants"), [json!([]), json!(["south"]), json!(["north"]), json!(["north"])]);
    assert_eq!(of("detail")[3], "widget total, channel web");
    assert!(
        of("who")[3].as_str().is_some_and(|who| who.starts_with("token ") && who.ends_with("test"))
    );
    assert_eq!((&of("role")[3], &of("from")[3]), (&json!("owner"), &json!("127.0.0.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_down() {
    let shop = Shop::closed().await;
    let admin = shop.token(Role::Admin, &[]).await;
    let mut asking = shop.asking().await;
    let user = json!({ "name": "anna", "role": "viewer", "password": PASSWORD });
    asking.ask("POST", "/v1/users", Some(&admin), Some(&user)).await;
    let body = json!({ "user": "anna", "password": PASSWORD });
    let signed_in = asking.ask("POST", "/v1/sessions", None, Some(&body)).await;
    let wrong = json!({ "user": "anna", "password": "wrong horse" });
    asking.ask("POST", "/v1/sessions", None, Some(&wrong)).await;
    let body = json!({ "password": "another secret" });
    asking.ask("POST", "/v1/users/anna/password", Some(&admin), Some(&body)).await;
    let made =
        asking.ask("POST", "/v1/tokens", Some(&admin), Some(&json!({ "role": "owner" }))).await;
    let event = json!({ "name": "order.created", "tenant": "north", "data": { "card": "4111" } });
    asking.ask("POST", "/v1/events", Some(&admin), Some(&event)).await;
    let token = made.json()["token"].as_str().expect("a text").to_owned();
    let cookie = signed_in.header("set-cookie").split([';', '=']).nth(1).expect("one").to_owned();
    let found = entries(&shop).await;
    assert_eq!(found.len(), 6);
    assert_eq!((&found[4]["detail"], &found[4]["who"]), (&json!("user anna"), &json!("nobody")));
    assert_eq!(found[3]["code"], "wrong_credentials");
    let text = format!("{found:?}");
    for secret in [PASSWORD, "wrong horse", "another secret", &token, &admin, &cookie, "4111"] {
        assert!(!text.contains(secret) && secret.len() > 3, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_fill_the_log_and_what_repeats_is_counted() {
    let shop = Shop::closed().await;
    let viewer = shop.token(Role::Viewer, &[]).await;
    let owner = shop.token(Role::Owner, &[]).await;
    let mut asking = shop.asking().await;
    for number in 0..20 {
        asking.ask("DELETE", &format!("/v1/tokens/{number}"), None, None).await;
        asking.ask("DELETE", &format!("/v1/tokens/{number}"), Some(&viewer), None).await;
        let event = json!({ "name": "order.created", "tenant": "north" });
        asking.ask("POST", "/v1/events", Some(&owner), Some(&event)).await;
    }
    let found = entries(&shop).await;
    let of = |field: &str| found.iter().map(|it| it[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("what"), ["POST /v1/events", "DELETE /v1/tokens/{id}"]);
    assert_eq!(of("times"), [20, 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_page_by_page_by_an_admin() {
    let shop = Shop::closed().await;
    let admin = shop.token(Role::Admin, &[]).await;
    let mut asking = shop.asking().await;
    for _ in 0..3 {
        asking.ask("POST", "/v1/clear", Some(&admin), Some(&json!({ "all": true }))).await;
    }
    let first = asking.ask("GET", "/v1/audit-log?limit=2", Some(&admin), None).await.json();
    assert_eq!(first["entries"].as_array().map(Vec::len), Some(2));
    let uri = format!("/v1/audit-log?limit=2&before={}", first["before"]);
    let last = asking.ask("GET", &uri, Some(&admin), None).await.json();
    assert_eq!(last["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(last["before"], Value::Null);
    let wrong = asking.ask("GET", "/v1/audit-log?limit=many", Some(&admin), None).await;
    assert_eq!(wrong.code(), "invalid_query");
}
