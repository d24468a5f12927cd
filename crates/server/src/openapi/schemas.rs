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
    let count = json!({ "type": "integer", "minimum": 0 });
    let shown = |names: &[&str], fields: Value| json!({ "type": "object", "required": names, "properties": fields });
    let job = json!({
        "id": text, "queue": text, "kind": text, "tenant": maybe, "batch": maybe, "reason": maybe,
        "state": { "type": "string", "enum":
            ["scheduled", "waiting", "claimed", "running", "done", "failed", "cancelled"] },
        "suspect": flag, "attempt": count, "exceptions": count, "kills": count,
        "pushed_ms": count, "at_ms": count,
    });
    let of_job = [
        "id",
        "queue",
        "kind",
        "tenant",
        "state",
        "attempt",
        "batch",
        "pushed_ms",
        "at_ms",
        "reason",
    ];
    let mut details = job.clone();
    for (name, kind) in [
        ("redacted", json!({ "type": "boolean" })),
        ("policy", json!({ "type": "object" })),
        ("history", json!({ "type": "array", "items": { "type": "object" } })),
    ] {
        details[name] = kind;
    }
    for name in ["payload", "progress", "checkpoint", "result"] {
        details[name] = json!({});
    }
    let batch =
        ["id", "name", "queue", "tenant", "state", "total", "pending", "failed", "cancelled"];
    let schedule = ["name", "queue", "kind", "cron", "words", "time_zone", "catch_up", "next_ms"];
    let paged = |name: &str, of: Value| {
        shown(&[name, "next"], json!({ name: { "type": "array", "items": of }, "next": maybe }))
    };
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
        "Job": shown(&of_job, job.clone()),
        "JobDetails": shown(&[&of_job[..], &["payload", "policy", "history"]].concat(), details),
        "Jobs": paged("jobs", shown(&of_job, job)),
        "Batches": paged("batches", shown(&batch, json!({}))),
        "NewJob": needed(&["kind", "payload"], json!({
            "kind": text, "payload": {}, "id": maybe, "queue": maybe, "tenant": maybe, "delay": maybe,
            "unique_key": maybe, "tries": { "type": ["integer", "null"], "minimum": 0 },
            "backoff": { "type": ["array", "null"], "items": text }, "timeout": maybe,
            "max_exceptions": { "type": ["integer", "null"], "minimum": 0 },
            "delete_when_missing": { "type": ["boolean", "null"] }, "memory": maybe,
        })),
        "Pushed": shown(
            &["id", "queue", "kind", "pushed"],
            json!({ "id": text, "queue": text, "kind": text, "pushed": flag }),
        ),
        "FailedJobs": exactly(json!({
            "queue": maybe, "kind": maybe, "batch": maybe, "tenants": texts, "reason": maybe,
            "dry_run": flag,
        })),
        "Counted": { "type": "object", "properties": {
            "matching": count, "exact": flag, "retried": count, "key_taken": count,
            "forgotten": count, "more": flag,
        } },
        "Prune": needed(&["older_than"], json!({ "older_than": text })),
        "Queue": shown(&["queue", "hours", "kinds"], json!({
            "queue": text, "hours": count,
            "oldest_waiting_ms": { "type": ["integer", "null"], "minimum": 0 },
            "kinds": { "type": "array", "items": shown(
                &["kind", "done", "failed", "success_rate", "per_second", "waited_ms", "ran_ms", "points"],
                json!({ "kind": maybe }),
            ) },
        })),
        "QueuePaused": shown(&["queue", "paused"], json!({ "queue": text, "paused": flag })),
        "ClearQueue": exactly(json!({ "tenants": texts })),
        "QueueCleared": shown(
            &["queue", "cancelled", "more"],
            json!({ "queue": text, "cancelled": count, "more": flag }),
        ),
        "Told": shown(&["order", "workers"], json!({ "order": text, "workers": texts })),
        "Schedules": listed("schedules", &schedule),
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
