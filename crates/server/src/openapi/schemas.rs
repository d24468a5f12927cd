//! Schemas of bodies and headers.

use serde_json::{Value, json};

pub(super) fn all() -> Value {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let texts = json!({ "type": "array", "items": text });
    let params = json!({ "type": "object", "additionalProperties": text });
    let flag = json!({ "type": "boolean" });
    let exactly = |fields: Value| json!({ "type": "object", "additionalProperties": false, "properties": fields });
    let needed = |names: &[&str], fields: Value| {
        let mut exactly = exactly(fields);
        exactly["required"] = json!(names);
        exactly
    };
    let role = json!({ "type": "string", "enum": ["viewer", "manager", "owner", "admin"] });
    let listed = |name: &str, fields: &[&str]| {
        let of = json!({ "type": "object", "required": fields });
        json!({ "type": "object", "required": [name],
                "properties": { name: { "type": "array", "items": of } } })
    };
    let event = exactly(json!({ "name": text, "tenant": maybe, "data": {} }));
    let mut events = event.clone();
    events["required"] = json!(["name"]);
    let mut raise = event;
    raise["properties"]["name"] = maybe.clone();
    raise["properties"]["events"] = json!({ "type": ["array", "null"], "items": events });
    let tile = json!({ "type": "object", "required": ["widget"] });
    json!({
        "Object": { "type": "object" },
        // Whatever the other system sends.
        "Any": {},
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": {
                "type": "object",
                "required": ["code", "message", "hint", "field"],
                "properties": {
                    "code": { "type": "string", "pattern": "^[a-z_]+$" },
                    "message": text, "hint": maybe, "field": maybe,
                    "index": { "type": "integer", "minimum": 0 },
                },
            } },
        },
        "Reading": {
            "type": "object",
            "required": ["widget", "tenant", "params", "data"],
            "properties": { "widget": text, "tenant": text, "params": params, "data": {} },
        },
        "Board": {
            "type": "object",
            "required": ["board", "title", "tenant", "agree", "widgets"],
            "properties": {
                "board": text, "title": text, "tenant": text, "agree": flag,
                "widgets": { "type": "array", "items": tile },
            },
        },
        "Alerts": {
            "type": "object",
            "required": ["watching", "instance", "alerts", "webhooks"],
            "properties": {
                "watching": flag, "instance": maybe,
                "alerts": { "type": "array", "items": {
                    "type": "object",
                    "required": ["name", "says", "state", "value", "detail", "side", "threshold", "unit",
                                 "for_ms", "since_ms", "shared", "notify"],
                    "properties": {
                        "name": text, "says": text, "detail": maybe, "unit": text, "shared": flag,
                        "state": { "type": "string", "enum": ["fine", "pending", "firing", "off"] },
                        "side": { "type": "string", "enum": ["above", "below"] },
                        "value": { "type": ["number", "null"] }, "threshold": { "type": "number" },
                        "for_ms": { "type": "integer" }, "since_ms": { "type": "integer" },
                        "notify": { "type": ["array", "null"], "items": text },
                    },
                } },
                "webhooks": { "type": "array", "items": {
                    "type": "object",
                    "required": ["name", "to", "sent", "failed", "waiting", "last_error"],
                } },
            },
        },
        "Memory": {
            "type": "object",
            "required": ["at_ms", "system", "process", "allocator", "unattributed", "budget", "jobs",
                         "purges", "queues", "firing"],
            "properties": {
                "at_ms": { "type": "integer" }, "purges": { "type": "integer" }, "firing": texts,
                "jobs": { "type": "array", "items": {
                    "type": "object", "required": ["job", "need_bytes", "usage", "child_bytes"],
                } },
                "queues": { "type": ["array", "null"], "items": {
                    "type": "object",
                    "required": ["name", "waiting", "scheduled", "running", "failed", "oldest_waiting_ms"],
                } },
                "history": { "type": "array", "items": {
                    "type": "object",
                    "required": ["at_ms", "rss_bytes", "available_bytes", "promised_bytes", "held_bytes",
                                 "running"],
                } },
            },
        },
        "Widgets": listed("widgets", &["name", "title", "freshness", "params", "values", "ranges"]),
        "Boards": listed("boards", &["name", "title", "widgets"]),
        "Values": {
            "type": "object",
            "required": ["widget", "param", "tenant", "values"],
            "properties": { "values": { "type": ["array", "null"], "items": text } },
        },
        "Raise": raise,
        "Invalidate": exactly(json!({
            "tenant": maybe, "tags": texts, "widget": maybe, "class": maybe, "over": maybe,
        })),
        "Clear": exactly(json!({
            "tenant": maybe, "widget": maybe, "params": params, "pattern": maybe, "all": flag,
        })),
        "CleanUp": exactly(json!({ "expired": flag, "leases": flag, "dry_run": flag })),
        "WarmUp": exactly(json!({
            "widgets": texts, "ranges": texts, "tenants": texts, "force": flag,
            "parallel": { "type": ["integer", "null"], "minimum": 0 },
            "queue": maybe, "name": maybe,
        })),
        "Verify": exactly(json!({ "sample": { "type": "integer", "minimum": 1 } })),
        "SignIn": needed(&["user", "password"], json!({ "user": text, "password": text })),
        "OwnPassword": needed(&["current", "password"], json!({ "current": text, "password": text })),
        "Password": needed(&["password"], json!({ "password": text })),
        "NewToken": needed(
            &["role"],
            json!({ "name": text, "role": role, "tenants": texts, "expires": maybe }),
        ),
        "NewUser": needed(
            &["name", "password", "role"],
            json!({ "name": text, "password": text, "role": role, "tenants": texts }),
        ),
    })
}

/// Of a reading.
pub(super) fn headers() -> Value {
    let header =
        |says: &str, kind: &str| json!({ "description": says, "schema": { "type": kind } });
    let one_of = |says: &str, values: &[&str]| json!({ "description": says, "schema": { "type": "string", "enum": values } });
    json!({
        "Age": header("Seconds since its data was read.", "integer"),
        "Cache-Status": header("As RFC 9211 has it.", "string"),
        "ETag": header("Equal for equal content in one coding.", "string"),
        "Samovar-State": one_of("What it is worth.", &["fresh", "stale"]),
        "Samovar-Tier": one_of("Where it came from.", &["local", "shared", "computed"]),
        "Samovar-Fresh-For": header("Milliseconds.", "integer"),
        "Samovar-Computed-At": header("When its data was read, in UTC.", "string"),
        "Samovar-Compute-Ms": header("How long that took.", "integer"),
        "Samovar-Queries": header("Of its source.", "integer"),
        "Vary": header("`Accept-Encoding`.", "string"),
    })
}
