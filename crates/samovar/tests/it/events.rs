//! Events by HTTP and by command, with a server and without.

use std::fs;

use serde_json::{Value, json};

use crate::{
    http::{get, post},
    shop::{LIMIT, Shop},
};

const EVENTS: &str = r#"
[event."order.created"]
invalidates = ["orders", "day/{day}"]
at = "received_at"

[event."orders.synced"]
invalidates = ["orders"]
warm = { widgets = ["sales"] }
settle = "1ms"
"#;
const SALES: &str = "/v1/widgets/sales?tenant=north";

fn shop() -> Shop {
    let shop = Shop::new();
    let config = fs::read_to_string(shop.path("samovar.toml")).expect("a file");
    let zoned = "list = [{ id = \"north\", time_zone = \"Europe/Oslo\" }, { id = \"south\" }]";
    let config = config.replace("list = [{ id = \"north\" }, { id = \"south\" }]", zoned);
    assert!(config.contains(zoned));
    shop.write_config(&format!("{config}\n{EVENTS}"));
    shop
}

fn tier(address: &str) -> String {
    get(address, SALES, &[]).header("samovar-tier").to_owned()
}

fn created(tenant: &str) -> Value {
    json!({ "name": "order.created", "tenant": tenant, "data": { "received_at": "2026-11-19T23:30:00Z" } })
}

#[test]
fn an_event_says_what_it_touched_and_that_is_computed_anew() {
    let shop = shop();
    let served = shop.serve();
    let address = served.address.as_str();
    tier(address);
    assert_eq!(tier(address), "local");
    let answer = post(address, "/v1/events", &created("north"));
    assert_eq!(answer.status, 200);
    let north = json!({ "tenant": "north", "tags": ["day/2026/11/20", "orders"] });
    let nothing_else =
        json!({ "events": 1, "invalidated": [north], "warming": [], "settling": [] });
    assert_eq!(answer.json(), nothing_else);
    assert_eq!(tier(address), "computed");

    let both = json!({ "events": [created("north"), created("south"), created("north")] });
    let answer = post(address, "/v1/events", &both).json();
    let south = json!({ "tenant": "south", "tags": ["day/2026/11/19", "orders"] });
    assert_eq!((&answer["events"], &answer["invalidated"]), (&json!(3), &json!([north, south])));
    let why = shop.json(&["why", "sales", "--tenant", "north"]);
    assert_eq!(why["last_change"]["cause"], "event order.created");

    let listed = get(address, "/v1/events", &[]).json();
    let first = json!({
        "name": "order.created", "invalidates": ["orders", "day/{day}"], "at": "received_at",
        "warm": null, "settle_ms": null,
    });
    assert_eq!(listed["events"][0], first);
    let second = &listed["events"][1];
    assert_eq!((&second["settle_ms"], &second["warm"]["widgets"]), (&json!(1), &json!(["sales"])));
}

#[test]
fn what_is_wrong_with_an_event_is_told_by_code_field_and_place() {
    let shop = shop();
    let served = shop.serve();
    let address = served.address.as_str();
    tier(address);
    let of = |change: &dyn Fn(&mut Value)| {
        let mut event = created("north");
        change(&mut event);
        event
    };
    for (event, status, code, field) in [
        (of(&|it| it["name"] = json!("order.create")), 404, "unknown_event", "name"),
        (of(&|it| it["tenant"] = json!("west")), 404, "unknown_tenant", "tenant"),
        (of(&|it| it["tenant"] = json!(null)), 422, "missing_tenant", "tenant"),
        (of(&|it| it["data"] = json!({})), 422, "invalid_event", "data.received_at"),
        (
            of(&|it| it["data"]["received_at"] = json!("soon")),
            422,
            "invalid_event",
            "data.received_at",
        ),
    ] {
        let alone = post(address, "/v1/events", &event).error(status);
        let told = json!({ "code": code, "field": field, "message": alone["message"], "hint": alone["hint"] });
        assert_eq!(alone, told, "without a place in a list");
        assert!(alone["hint"].is_string(), "{alone}");
        let second = post(address, "/v1/events", &json!({ "events": [created("north"), event] }));
        let listed = second.error(status);
        assert_eq!((&listed["code"], &listed["field"]), (&json!(code), &json!(field)));
        assert_eq!(listed["index"], 1);
    }
    let many = vec![created("north"); 1001];
    for (body, code) in [
        (json!({}), "nothing_named"),
        (json!({ "events": [] }), "nothing_named"),
        (json!({ "tenant": "north" }), "nothing_named"),
        (json!({ "name": "order.created", "events": [] }), "too_much_named"),
        (json!({ "events": many }), "too_many_events"),
        (json!({ "name": "order.created", "dta": {} }), "invalid_body"),
    ] {
        let error = post(address, "/v1/events", &body).error(422);
        assert_eq!(error["code"], code, "{error}");
    }
    assert_eq!(tier(address), "local", "nothing was invalidated");
    let large = json!({ "name": "order.created", "data": { "note": "x".repeat(2 << 20) } });
    assert_eq!(post(address, "/v1/events", &large).error(413)["code"], "body_too_large");
}

#[test]
fn by_command_an_event_does_the_same_with_a_server_and_without() {
    let shop = shop();
    let data = r#"{"received_at": 1795215907}"#;
    let command = ["invalidate", "--event", "order.created", "--tenant", "north", "--data", data];
    let synced = ["invalidate", "--event", "orders.synced", "--tenant", "north"];
    let served = shop.serve();
    tier(&served.address);
    let done = "invalidated tag day/2026/11/21, tag orders of north\n";
    assert_eq!(shop.said(&command), done);
    assert_eq!(tier(&served.address), "computed");
    shop.order(7);
    let said = shop.said(&synced);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "invalidated tag orders of north");
    assert!(lines[1].starts_with("once more in 1 ms: job "), "{said}");
    assert!(lines[2].starts_with("north is warmed: batch "), "{said}");
    // It is settled, and warmed once more.
    let is_settled = || {
        let why = shop.json(&["why", "sales", "--tenant", "north"]);
        let is_settled = why["last_change"]["cause"] == "event orders.synced, once more";
        (is_settled && why["state"] == "fresh").then_some(())
    };
    samovar_testkit::wait::until(LIMIT, "it is settled and warm", is_settled).expect("it is");
    assert_eq!(tier(&served.address), "local", "nobody waited for it");
    served.process.terminate().expect("told");
    assert!(served.process.wait(LIMIT).expect("it ends").success());

    assert_eq!(shop.said(&command), done);
    let why = shop.json(&["why", "sales", "--tenant", "north"]);
    assert_eq!(
        (&why["state"], &why["last_change"]["cause"]),
        (&json!("stale"), &json!("event order.created"))
    );
    shop.order(8);
    // What is left to do waits for the next server.
    let begun = shop.json(&synced);
    assert_eq!(begun["settling"].as_array().map(Vec::len), Some(1));
    let served = shop.serve();
    samovar_testkit::wait::until(LIMIT, "it is settled and warm", is_settled).expect("it is");
    assert_eq!(tier(&served.address), "local");
}

#[test]
fn a_command_that_makes_no_event_says_what_to_do() {
    let shop = shop();
    let event = ["invalidate", "--event", "order.created"];
    for (arguments, code, said) in [
        (&["--data", "{"][..], 2, "write it like"),
        (&["--tag", "orders"], 2, "cannot be used with"),
        (&["--over", "1m"], 2, "cannot be used with"),
        (&[], 1, "say whose event it is"),
        (&["--tenant", "west"], 1, "there is no tenant `west`"),
        (&["--tenant", "north"], 1, "its data has no `received_at`"),
    ] {
        let (ended, text) = shop.ending(&[&event, arguments].concat());
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    let (ended, text) = shop.ending(&["invalidate", "--event", "order.create"]);
    assert!(ended == Some(1) && text.contains("did you mean `order.created`?"), "{text}");
    let (ended, text) = shop.ending(&["invalidate", "--tag", "a", "--data", "{}"]);
    assert!(ended == Some(2) && text.contains("cannot be used with"), "{text}");
}
