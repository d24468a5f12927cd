//! Signed hooks over HTTP, where everybody else has to say who he is.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    http::{Response, send},
    shop::{LIMIT, Shop},
};

const SECRET: &str = "s3cr3t-of-the-shop";
const RULES: &str = r#"
[access]
mode = "tokens"

[event."order.created"]
invalidates = ["orders", "day/{day}"]
at = "received_at"

[hook.shop]
event = "order.created"
secret = "s3cr3t-of-the-shop"
header = "X-Signature"
prefix = "sha256="
tenant = "/shop_id"
when = { "/type" = "created" }
data = { received_at = "/order/created_at" }

[cache]"#;
const WIDGET: &str = "sales";

fn shop() -> Shop {
    let shop = Shop::new();
    shop.change_config("[cache]", RULES);
    shop
}

fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    let digits = mac.finalize().into_bytes();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn post(address: &str, hook: &str, body: &str, signature: &str) -> Response {
    let header = format!("x-signature: sha256={signature}");
    send(address, &format!("POST /v1/hooks/{hook}"), &[&header], body).answer()
}

fn signed(address: &str, body: &Value) -> Response {
    let body = body.to_string();
    post(address, "shop", &body, &signature(&body))
}

fn created() -> Value {
    let order = json!({ "created_at": "2026-11-19T08:30:00Z" });
    json!({ "type": "created", "shop_id": "north", "order": order })
}

fn state(shop: &Shop) -> Value {
    shop.json(&["why", WIDGET, "--tenant", "north"])["state"].clone()
}

#[test]
fn what_is_signed_invalidates_and_stands_in_the_audit_log() {
    let shop = shop();
    let served = shop.serve();
    shop.said(&["warm", "--widget", WIDGET]);
    assert_eq!(state(&shop), "fresh");
    let answer = signed(&served.address, &created());
    assert_eq!(answer.status, 200, "{}", answer.json());
    let invalidated = json!([{ "tenant": "north", "tags": ["day/2026/11/19", "orders"] }]);
    assert_eq!(answer.json()["invalidated"], invalidated);
    assert_ne!(state(&shop), "fresh");
    let audit = shop.json(&["audit"]);
    let entry = audit["entries"].as_array().into_iter().flatten();
    let entry = entry.into_iter().find(|it| it["who"] == "hook shop").expect("an entry");
    assert_eq!(
        (&entry["what"], &entry["tenants"]),
        (&json!("POST /v1/hooks/shop"), &json!(["north"]))
    );

    let mut other = created();
    other["type"] = json!("deleted");
    let answer = signed(&served.address, &other);
    assert_eq!((answer.status, &answer.json()["events"]), (200, &json!(0)));
}

#[test]
fn what_is_not_signed_is_told_nothing_and_leaves_nothing() {
    let shop = shop();
    let served = shop.serve();
    let (address, body) = (served.address.as_str(), created().to_string());
    let right = signature(&body);
    let wrong = [
        post(address, "shop", &body, &signature("{}")),
        post(address, "shop", &format!("{body} "), &right),
        post(address, "shop", &body, ""),
        post(address, "nobodys", &body, &right),
        send(address, "POST /v1/hooks/shop", &[], &body).answer(),
        send(
            address,
            "POST /v1/hooks/shop",
            &[&format!("x-signature: sha256={right}"), "x-signature: sha256=00"],
            &body,
        )
        .answer(),
    ];
    for answer in &wrong {
        assert_eq!(answer.error(401)["code"], "unsigned");
        assert_eq!(answer.body, wrong[0].body, "nobody is told why");
    }
    let audit = shop.json(&["audit"]).to_string();
    assert!(!audit.contains("/v1/hooks"), "{audit}");
    assert!(!served.process.stderr().contains(SECRET));
}

#[test]
fn what_a_signed_body_lacks_is_told_by_its_place() {
    let shop = shop();
    let served = shop.serve();
    let address = served.address.as_str();
    let without = |field: &str| {
        let mut body = created();
        body[field] = Value::Null;
        signed(address, &body).error(422)
    };
    let (order, tenant) = (without("order"), without("shop_id"));
    assert_eq!(
        (&order["code"], &order["field"]),
        (&json!("invalid_hook"), &json!("/order/created_at"))
    );
    assert_eq!((&tenant["code"], &tenant["field"]), (&json!("invalid_hook"), &json!("/shop_id")));
    assert!(order["hint"].is_string());
    let mut soon = created();
    soon["order"]["created_at"] = json!("soon");
    assert_eq!(signed(address, &soon).error(422)["code"], "invalid_event");
    let mut unknown = created();
    unknown["shop_id"] = json!("west");
    assert_eq!(signed(address, &unknown).error(404)["code"], "unknown_tenant");
    assert_eq!(post(address, "shop", "{", &signature("{")).error(400)["code"], "not_json");
    let large = " ".repeat(300 << 10);
    assert_eq!(post(address, "shop", &large, "00").error(413)["code"], "body_too_large");
}

#[test]
fn its_owner_tries_a_hook_without_signing_with_a_server_and_without() {
    let shop = shop();
    let body = created().to_string();
    let command = ["invalidate", "--hook", "shop", "--data", &body];
    let done = "invalidated tag day/2026/11/19, tag orders of north\n";
    assert_eq!(shop.said(&command), done);
    let served = shop.serve();
    assert_eq!(shop.said(&command), done);
    let said = shop.said(&["invalidate", "--hook", "shop", "--data", "{}"]);
    assert!(said.contains("no event follows"), "{said}");
    let (code, said) = shop.ending(&["invalidate", "--hook", "shp", "--data", &body]);
    assert!(code == Some(1) && said.contains("did you mean `shop`?"), "{said}");
    let (code, _) = shop.ending(&["invalidate", "--hook", "shop"]);
    assert_eq!(code, Some(2));
    served.process.terminate().expect("told");
    assert!(served.process.wait(LIMIT).expect("it ends").success());
}
