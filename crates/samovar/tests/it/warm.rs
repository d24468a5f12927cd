//! Warm-ups and verifications by command, with a server and without.

use std::fs;

use serde_json::json;

use crate::{
    http::{get, post},
    shop::{LIMIT, Shop},
};

/// Nothing in it fails, and sales have a channel to be warmed for.
fn shop() -> Shop {
    shop_with("")
}

fn shop_with(more: &str) -> Shop {
    let shop = Shop::new();
    let config = fs::read_to_string(shop.path("samovar.toml")).expect("a file");
    let channel = "params.channel = { default = \"all\" }";
    assert!(config.contains(channel));
    let channels = "params.channel = { default = \"all\", values = [\"all\", \"web\"] }";
    let config = config.replace(channel, channels);
    let off = "[widget.broken]\nmode = \"off\"";
    shop.write_config(&format!("{}\n{more}", config.replace("[widget.broken]", off)));
    shop
}

#[test]
fn with_a_server_its_worker_warms_and_what_it_warmed_is_in_its_memory() {
    let shop = shop();
    let served = shop.serve();
    let warmed = shop.json(&["warm", "--all"]);
    assert_eq!((&warmed["state"], &warmed["total"]), (&json!("done"), &json!(2)));
    let path = "/v1/widgets/sales?tenant=south&channel=web";
    assert_eq!(get(&served.address, path, &[]).header("samovar-tier"), "local");
    let status = shop.said(&["status", "--detailed"]);
    assert!(status.contains("source") && status.contains("shop: 10 queries, "), "{status}");
    let said = shop.said(&["warm", "--widget", "log", "--tenant", "north", "--force"]);
    assert!(said.starts_with("1 of 1 jobs were done in "), "{said}");
    let said = shop.said(&["warm", "--all", "--detach"]);
    assert!(said.starts_with("2 tenants are warmed on cache: batch "), "{said}");
    let id = said.trim().rsplit(' ').next().expect("an id").to_owned();
    assert_eq!(get(&served.address, &format!("/v1/batches/{id}"), &[]).status, 200);
    let cancelled = post(&served.address, &format!("/v1/batches/{id}/cancel"), &json!({}));
    assert_eq!(cancelled.status, 200);
}

#[test]
fn without_a_server_a_command_works_by_itself_and_the_next_server_finds_what_it_made() {
    let shop = shop();
    let said = shop.said(&["warm", "--all", "--parallel", "1"]);
    assert!(said.starts_with("1 of 1 jobs were done in "), "{said}");
    let served = shop.serve();
    let answer = get(&served.address, "/v1/widgets/ranged?tenant=north&size=large", &[]);
    assert_eq!(answer.header("samovar-tier"), "shared");
}

#[test]
fn what_is_served_and_is_not_what_the_source_says_is_found() {
    let shop = shop();
    let served = shop.serve();
    let said = shop.said(&["verify"]);
    assert!(said.starts_with("nothing is kept"), "{said}");
    shop.json(&["warm", "--all"]);
    let found = shop.json(&["verify", "--sample", "4"]);
    assert_eq!((&found["equal"], &found["different"]), (&json!(4), &json!(0)));
    get(&served.address, "/v1/widgets/sales?tenant=north", &[]);
    let score = || get(&served.address, "/v1/cache/health", &[]).json()["health"]["score"].as_f64();
    let before = score().expect("a score");
    shop.database()
        .execute("update orders set total = 7000 where tenant = 'north'", [])
        .expect("it");
    let (code, said) = shop.ending(&["verify"]);
    assert_eq!(code, Some(3), "a check found problems: {said}");
    assert!(said.contains("differs: widget:sales:north") && said.contains("nobody told"), "{said}");
    assert!(score().expect("a score") < before - 15.0, "what is wrong counts as errors");
    assert_eq!(post(&served.address, "/v1/verify", &json!({ "sample": 0 })).status, 422);
}

#[test]
fn what_cannot_be_warmed_is_told_with_what_to_do() {
    let shop = shop();
    for (arguments, code, said) in [
        (&["warm"][..], 2, "--all"),
        (&["warm", "--all", "--widget", "log"], 2, "cannot be used with"),
        (&["warm", "--widget", "sale"], 1, "did you mean `sales`?"),
        (&["warm", "--tenant", "west"], 1, "there is no tenant `west`"),
        (&["warm", "--range", "7 days"], 1, "range"),
        (&["warm", "--all", "--parallel", "0"], 1, "between 1 and 10000"),
        (&["warm", "--all", "--queue", "a b"], 1, "letters, digits"),
    ] {
        let (ended, text) = shop.ending(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn what_is_to_be_warm_at_the_start_is() {
    let shop = shop_with("[warm]\nat_start = { widgets = [\"log\"] }");
    let served = shop.serve();
    let path = "/v1/queues";
    let done = || {
        let queues = get(&served.address, path, &[]).json();
        let done = |it: &serde_json::Value| it["done"].as_u64() >= Some(4) && it["waiting"] == 0;
        queues["queues"].as_array().is_some_and(|queues| queues.iter().any(done)).then_some(())
    };
    samovar_testkit::wait::until(LIMIT, "all of it is warmed", done).expect("it is");
    let answer = get(&served.address, "/v1/widgets/log?tenant=south", &[]);
    assert_eq!(answer.header("samovar-tier"), "local");
    let other = get(&served.address, "/v1/widgets/sales?tenant=south", &[]);
    assert_eq!(other.header("samovar-tier"), "computed");
}
