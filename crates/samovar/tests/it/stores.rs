//! Two servers on one Redis are one cache.

use samovar_testkit::{RedisServer, wait};
use serde_json::json;

use crate::{
    http::{get, post},
    shop::{LIMIT, Served, Shop},
};

#[test]
fn what_one_server_computed_the_other_finds_and_what_one_invalidates_both_forget() {
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let shop = Shop::new();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n[cache]", redis.url());
    shop.change_config("[cache]", &store);
    let (one, other) = (shop.serve(), shop.serve());
    let path = "/v1/widgets/sales?tenant=north";
    let tier = |served: &Served| get(&served.address, path, &[]).header("samovar-tier").to_owned();
    assert_eq!(tier(&one), "computed");
    assert_eq!(tier(&other), "shared");
    // A local value is trusted once a heartbeat has come back after it was loaded.
    wait::until(LIMIT, "trust", || (tier(&other) == "local").then_some(())).expect("trusted");
    shop.order(77);
    let change = json!({ "tenant": "north", "tags": ["orders"] });
    assert_eq!(post(&one.address, "/v1/invalidate", &change).status, 200);
    let revenue = || get(&other.address, path, &[]).json()["data"]["rows"][1]["revenue"].as_u64();
    wait::until(LIMIT, "the news to arrive", || (revenue() == Some(1277)).then_some(()))
        .expect("the other server computes anew");
}
