//! Readings over HTTP: computed, found again, computed anew after a change.

use samovar_testkit::wait;
use serde_json::json;

use crate::{
    http::{get, post, send},
    shop::{LIMIT, Shop},
};

const SALES: &str = "/v1/widgets/sales?tenant=north";

#[test]
fn a_reading_is_computed_then_local_then_anew_after_an_invalidation() {
    let shop = Shop::new();
    let served = shop.serve();
    let first = get(&served.address, SALES, &[]);
    assert_eq!(first.status, 200);
    let head = |name| first.header(name);
    assert_eq!(head("samovar-tier"), "computed");
    assert_eq!(head("samovar-state"), "fresh");
    assert_eq!(head("cache-status"), "samovar; fwd=miss; stored");
    assert_eq!(head("content-type"), "application/json");
    assert_eq!(head("vary"), "Accept-Encoding");
    assert!(head("samovar-fresh-for").parse::<u64>().is_ok_and(|ms| ms > 0));
    let rows =
        json!([{ "channel": "till", "revenue": 1250 }, { "channel": "web", "revenue": 1200 }]);
    assert_eq!(
        first.json(),
        json!({
            "widget": "sales", "tenant": "north",
            "params": { "channel": "all" }, "data": { "rows": rows }
        })
    );

    shop.order(10);
    let second = get(&served.address, SALES, &[]);
    assert_eq!(second.header("samovar-tier"), "local");
    assert!(second.header("cache-status").starts_with("samovar; hit; ttl="));
    assert_eq!(second.body, first.body);

    let change = json!({ "tenant": "north", "tags": ["orders"] });
    let invalidated = post(&served.address, "/v1/invalidate", &change);
    assert_eq!(invalidated.status, 200);
    assert_eq!(invalidated.json()["invalidated"]["tags"], json!(["orders"]));
    let third = get(&served.address, SALES, &[]);
    assert_eq!(third.header("samovar-tier"), "computed");
    assert_eq!(third.json()["data"]["rows"][1], json!({ "channel": "web", "revenue": 1210 }));

    let statistics = get(&served.address, "/v1/cache/stats", &[]).json();
    assert_eq!(statistics["widgets"]["sales"]["computes"], 2);
    assert_eq!(statistics["widgets"]["sales"]["local_hits"], 1);
    assert_eq!(statistics["store"]["kind"], "embedded");
}

#[test]
fn a_client_that_has_the_bytes_gets_none() {
    let shop = Shop::new();
    let served = shop.serve();
    let first = get(&served.address, SALES, &[]);
    let tag = first.header("etag").to_owned();
    let again = get(&served.address, SALES, &[&format!("if-none-match: {tag}")]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    assert_eq!(again.header("samovar-tier"), "local");
    let other = get(&served.address, SALES, &["if-none-match: \"other\""]);
    assert_eq!((other.status, other.body), (200, first.body));
}

#[test]
fn stored_bytes_go_out_compressed_to_those_who_take_them() {
    let shop = Shop::new();
    let served = shop.serve();
    let path = "/v1/widgets/log?tenant=south";
    let plain = get(&served.address, path, &[]);
    assert_eq!(plain.header("content-encoding"), "");
    let packed = get(&served.address, path, &["accept-encoding: gzip, zstd"]);
    assert_eq!(packed.header("content-encoding"), "zstd");
    assert_ne!(packed.header("etag"), plain.header("etag"));
    assert!(packed.body.len() < plain.body.len() / 4);
    let unpacked = zstd::bulk::decompress(&packed.body, 1 << 20).expect("it is zstd");
    assert_eq!(unpacked, plain.body);
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    let shop = Shop::new();
    let served = shop.serve();
    let refused = |path: &str, status: u16| get(&served.address, path, &[]).error(status);
    let unknown = refused("/v1/widgets/sails?tenant=north", 404);
    assert_eq!(unknown["code"], "unknown_widget");
    assert_eq!(unknown["hint"], "did you mean `sales`?");
    assert_eq!(refused("/v1/widgets/sales?tenant=east", 404)["code"], "unknown_tenant");
    assert_eq!(refused("/v1/widgets/sales", 400)["code"], "missing_tenant");
    let unknown = refused("/v1/widgets/sales?tenant=north&chanel=web", 400);
    assert_eq!((&unknown["code"], &unknown["field"]), (&json!("unknown_param"), &json!("chanel")));
    assert_eq!(
        refused("/v1/widgets/sales?tenant=north&tenant=south", 400)["code"],
        "repeated_param"
    );
    let odd = refused("/v1/widgets/ranged?tenant=north&range=soon", 400);
    assert_eq!((&odd["code"], &odd["field"]), (&json!("invalid_range"), &json!("range")));
    let other = refused("/v1/widgets/ranged?tenant=north&size=larger", 400);
    assert_eq!(
        (&other["code"], &other["hint"]),
        (&json!("unknown_value"), &json!("did you mean `large`?"))
    );
    let unranged = refused("/v1/widgets/sales?tenant=north&range=7d", 400);
    assert_eq!(unranged["code"], "unknown_param");
    let ranged =
        get(&served.address, "/v1/widgets/ranged?tenant=north&range=2026-11-01..2026-11-02", &[]);
    assert_eq!(
        ranged.json()["params"],
        json!({ "range": "2026-11-01..2026-11-02", "size": "any" })
    );
    assert_eq!(refused("/v1/widgets/%ff?tenant=north", 400)["code"], "invalid_path");
    let long = "x".repeat(2000);
    let too_long = refused(&format!("/v1/widgets/sales?tenant=north&channel={long}"), 422);
    assert_eq!(too_long["code"], "invalid_reading");
    assert_eq!(refused("/v2", 404)["code"], "unknown_route");
    assert_eq!(refused("/v1/invalidate", 405)["code"], "wrong_method");

    let post = |body: &serde_json::Value| post(&served.address, "/v1/invalidate", body);
    let wrong = post(&json!({ "tenant": "north", "tag": "orders" })).error(422);
    assert!(
        wrong["message"].as_str().is_some_and(|it| it.contains("unknown field `tag`")),
        "{wrong}"
    );
    assert_eq!(post(&json!({})).error(422)["code"], "nothing_named");
    assert_eq!(post(&json!({ "tags": ["orders"] })).error(422)["code"], "missing_tenant");
    let soon = json!({ "class": "medium", "over": "soon" });
    assert_eq!(post(&soon).error(422)["code"], "invalid_duration");
    let huge = json!({ "tenant": "north", "tags": ["x".repeat(300_000)] });
    assert_eq!(post(&huge).error(413)["code"], "body_too_large");
    let form = send(&served.address, "POST /v1/invalidate", &[], "tags=orders").answer();
    assert_eq!(form.error(400)["code"], "not_json");
    let header = format!("x-long: {}", "x".repeat(20_000));
    assert_eq!(get(&served.address, SALES, &[&header]).status, 431);
}

#[test]
fn a_query_that_fails_is_told_once_and_then_backed_off() {
    let shop = Shop::new();
    let served = shop.serve();
    let broken = || get(&served.address, "/v1/widgets/broken?tenant=north", &[]);
    let first = broken();
    assert_eq!(first.error(503)["code"], "compute_failed");
    assert!(first.json()["error"]["message"].as_str().is_some_and(|it| it.contains("malformed")));
    // Where the machine is slower than the wait, it is computed and fails again, and waits longer.
    let backed_off = || Some(broken()).filter(|it| it.error(503)["code"] == "backing_off");
    let second = wait::until(LIMIT, "a back-off", backed_off).expect("it backs off");
    assert!(second.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    assert_eq!(get(&served.address, SALES, &[]).status, 200);
}

#[test]
fn a_new_reader_sees_what_can_be_read_and_for_whom() {
    let shop = Shop::new();
    let served = shop.serve();
    let list = get(&served.address, "/v1/widgets", &[]).json();
    let ranged = json!({
        "name": "ranged", "title": "ranged", "freshness": "medium", "params": { "size": "any" },
        "values": { "size": ["any", "large"] }, "ranges": ["7d"],
    });
    let sales = json!({
        "name": "sales", "title": "sales", "freshness": "medium", "params": { "channel": "all" }, "values": {},
        "ranges": [],
    });
    assert_eq!((&list["widgets"][2], &list["widgets"][3]), (&ranged, &sales));
    assert_eq!(list["tenants"][0], json!({ "id": "north", "name": "north" }));
    assert_eq!(get(&served.address, "/healthz", &[]).body, b"ok\n");
    assert_eq!(get(&served.address, "/readyz", &[]).body, b"ready\n");
}
