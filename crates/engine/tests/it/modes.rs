//! Widgets that are on, off, or in the shadow of what they are to replace.

use samovar_engine::ReadFailure;
use samovar_testkit::wait;

use crate::desk::{Desk, PATIENCE, data};

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south" }, { id = "east" }]

[source.shop]
url = "sqlite://shop.db"

[widget.orders]
source = "shop"
query = "select count(*) as orders from orders where :tenant <> ''"
tags = ["orders"]
mode = { "*" = "off", north = "on", south = "shadow" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_its_mode() {
    let desk = Desk::open(DEFINITIONS, "create table orders (id integer)").await;
    assert_eq!(data(&desk.read("orders", &[]).await)["rows"][0]["orders"], 0);
    let off = desk.try_read("orders", "east", &[]).await;
    assert!(matches!(off, Err(ReadFailure::Off)), "{off:?}");
    let shadow = desk.try_read("orders", "south", &[]).await;
    assert!(matches!(shadow, Err(ReadFailure::Shadow)), "{shadow:?}");
    let why = desk.engine.why("orders", "south", Vec::new()).await.expect("explained");
    assert_eq!(why.mode, "shadow");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_shadow_what_would_be_served_is_compared_with_the_source() {
    let desk = Desk::open(DEFINITIONS, "create table orders (id integer)").await;
    let compared = async |count: u64| {
        let seen = || async {
            let statistics = desk.engine.statistics().await;
            let shadow = statistics.widgets.get("orders")?.shadow.clone()?;
            (shadow.equal + shadow.different + shadow.failed == count).then_some(shadow)
        };
        wait::until_async(PATIENCE, "a comparison", seen).await.expect("compared")
    };
    let read = async || drop(desk.try_read("orders", "south", &[]).await);
    read().await;
    let seen = compared(1).await;
    assert_eq!((seen.equal, seen.different, seen.last_difference), (1, 0, None));
    // A change that nobody announced: it would have been served stale.
    desk.write("insert into orders values (1)");
    read().await;
    let seen = compared(2).await;
    assert_eq!((seen.equal, seen.different), (1, 1));
    let difference = seen.last_difference.expect("one");
    assert!(difference.fresh && difference.key.starts_with("widget:orders:south"));
    // One that was.
    desk.invalidate("south", "orders").await;
    read().await;
    assert_eq!(compared(3).await.equal, 2);
}
