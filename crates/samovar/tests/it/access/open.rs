//! Without access control: on this machine, for whoever is on it.

use samovar_access::{Role, Settings};
use samovar_server::{BindError, Server};
use serde_json::json;

use super::server::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_presents_nothing_may_do_everything_and_a_token_counts_all_the_same() {
    let shop = Shop::start(Settings::default()).await;
    let mut asking = shop.asking().await;
    let who = asking.ask("GET", "/v1/sessions/current", None, None).await.json();
    assert_eq!((&who["kind"], &who["role"]), (&json!("anyone"), &json!("admin")));
    let clear = json!({ "all": true });
    assert_eq!(asking.ask("POST", "/v1/clear", None, Some(&clear)).await.status, 200);
    let viewer = shop.token(Role::Viewer, &[]).await;
    let refused = asking.ask("POST", "/v1/clear", Some(&viewer), Some(&clear)).await;
    assert_eq!(refused.code(), "forbidden");
    assert_eq!(asking.ask("GET", "/v1/queues", Some("smv_wrong"), None).await.status, 401);
    // What a proxy in front has let in by its own means.
    let basic = [("authorization", "Basic dXNlcjpwYXNz")];
    assert_eq!(asking.send("GET", "/v1/queues", &basic, None).await.status, 200);
    let ended = format!("samovar_session=sms_{}", "a".repeat(36));
    assert_eq!(asking.send("GET", "/v1/queues", &[("cookie", &ended)], None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing() {
    let shop = Shop::start(Settings::default()).await;
    let mut asking = shop.asking().await;
    let uri = "/v1/batches/00000000000000ff/cancel";
    for site in ["cross-site", "same-site"] {
        let from = [("sec-fetch-site", site)];
        assert_eq!(asking.send("POST", uri, &from, None).await.code(), "cross_site");
        assert_eq!(asking.send("GET", "/v1/queues", &from, None).await.status, 200);
    }
    for site in ["same-origin", "none"] {
        let from = [("sec-fetch-site", site)];
        assert_eq!(asking.send("POST", uri, &from, None).await.code(), "unknown_batch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_for_other_machines_without_asking_who_they_are() {
    let shop = Shop::start(Settings::default()).await;
    let everywhere = "0.0.0.0:0".parse().expect("an address");
    let refused = Server::bind(everywhere, shop.engine.clone(), shop.access.clone()).await;
    assert!(matches!(refused, Err(BindError::NotLoopback { .. })), "{refused:?}");
    let closed = Shop::closed().await;
    let allowed = Server::bind(everywhere, closed.engine.clone(), closed.access.clone()).await;
    assert!(allowed.is_ok(), "{allowed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_methods_are_what_their_route_takes() {
    let shop = Shop::start(Settings::default()).await;
    let mut asking = shop.asking().await;
    let event = |bytes: usize| json!({ "name": "order.created", "tenant": "north", "data": { "x": "x".repeat(bytes) } });
    let clear = json!({ "pattern": "x".repeat(300 << 10) });
    assert_eq!(asking.ask("POST", "/v1/clear", None, Some(&clear)).await.status, 413);
    let many = asking.ask("POST", "/v1/events", None, Some(&event(300 << 10))).await;
    assert_eq!(many.status, 200, "events are sent many at a time");
    assert_eq!(asking.ask("PUT", "/v1/clear", None, None).await.code(), "wrong_method");
    assert_eq!(asking.ask("GET", "/v1/clean", None, None).await.code(), "unknown_route");
    let mut asking = shop.asking().await;
    let more = asking.ask("POST", "/v1/events", None, Some(&event(1 << 20))).await;
    assert_eq!((more.status.as_u16(), &*more.code()), (413, "body_too_large"));
}
