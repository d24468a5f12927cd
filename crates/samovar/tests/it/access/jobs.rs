//! Jobs are shown to those whose they are, what they were given and said to owners, and what is done
//! to many touches those of the asker's tenants.

use samovar_access::Role;
use serde_json::{Value, json};

use super::{asking::Asking, server::Shop};

const REASON: &str = "card declined: 4111";

async fn ids(asking: &mut Asking, token: &str, uri: &str) -> Vec<String> {
    let answer = asking.ask("GET", uri, Some(token), None).await;
    assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
    let jobs = answer.json()["jobs"].as_array().cloned().expect("a list");
    jobs.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_was_given_and_said_is_for_owners() {
    let shop = Shop::closed().await;
    let id = shop.push_job(Some("north")).await;
    shop.fail_all("low", REASON).await;
    let mut asking = shop.asking().await;
    for (role, tenants, is_told) in [
        (Role::Manager, &["north"][..], false),
        (Role::Manager, &[], false),
        (Role::Owner, &["north"], true),
        (Role::Admin, &[], true),
    ] {
        let token = shop.token(role, tenants).await;
        let list = asking.ask("GET", "/v1/jobs?state=failed", Some(&token), None).await;
        assert_eq!(list.json()["jobs"][0]["id"], *id, "{role}");
        let one = asking.ask("GET", &format!("/v1/jobs/{id}"), Some(&token), None).await;
        let shown = one.json();
        assert_eq!((&shown["state"], &shown["redacted"]), (&json!("failed"), &json!(!is_told)));
        assert_eq!(shown["history"].as_array().map(Vec::len), Some(1), "{role}");
        assert_eq!(list.text().contains("4111"), is_told, "{role}");
        assert_eq!(one.text().contains("declined"), is_told, "{role}");
        assert_eq!(shown["payload"] == json!({ "card": "4111" }), is_told, "{role}");
        // Nor is it to be found out by trying.
        let probed = asking.ask("GET", "/v1/jobs?reason=41", Some(&token), None).await;
        assert_eq!(probed.status == 200, is_told, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_sees_and_changes_jobs_of_his_tenants_alone() {
    let shop = Shop::closed().await;
    let north = shop.push_job(Some("north")).await;
    let south = shop.push_job(Some("south")).await;
    let nobodys = shop.push_job(None).await;
    let owner = shop.token(Role::Owner, &["north"]).await;
    let admin = shop.token(Role::Admin, &[]).await;
    let mut asking = shop.asking().await;
    assert_eq!(ids(&mut asking, &owner, "/v1/jobs").await, [north.as_str()]);
    assert_eq!(ids(&mut asking, &owner, "/v1/jobs?tenant=north").await, [north.as_str()]);
    let all = [north.as_str(), &south, &nobodys];
    assert_eq!(ids(&mut asking, &admin, "/v1/jobs?state=waiting").await, all);
    assert_eq!(ids(&mut asking, &admin, "/v1/jobs?tenant=south").await, [south.as_str()]);
    let other = asking.ask("GET", "/v1/jobs?tenant=south", Some(&owner), None).await;
    assert_eq!((other.status.as_u16(), &*other.code()), (403, "forbidden_tenant"));

    shop.fail_all("low", REASON).await;
    let own = json!({ "tenants": ["north"] });
    for (uri, body) in [
        ("/v1/jobs/retry", json!({})),
        ("/v1/jobs/flush", json!({})),
        ("/v1/jobs/flush", json!({ "tenants": ["north", "south"] })),
        ("/v1/queues/low/clear", json!({})),
    ] {
        let answer = asking.ask("POST", uri, Some(&owner), Some(&body)).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "forbidden_tenant"), "{uri}");
    }
    let ask = async |asking: &mut Asking, token: &str, uri: &str, body: &Value| {
        let answer = asking.ask("POST", uri, Some(token), Some(body)).await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
        answer.json()
    };
    let dry = json!({ "tenants": ["north"], "dry_run": true });
    let counted = ask(&mut asking, &owner, "/v1/jobs/retry", &dry).await;
    assert_eq!(counted, json!({ "matching": 1, "exact": true }));
    let retried = ask(&mut asking, &owner, "/v1/jobs/retry", &own).await;
    assert_eq!(retried, json!({ "retried": 1, "key_taken": 0, "more": false }));
    assert_eq!(ids(&mut asking, &admin, "/v1/jobs?state=waiting").await, [north.as_str()]);
    let cleared = ask(&mut asking, &owner, "/v1/queues/low/clear", &own).await;
    assert_eq!(cleared, json!({ "queue": "low", "cancelled": 1, "more": false }));
    let flushed = ask(&mut asking, &owner, "/v1/jobs/flush", &own).await;
    assert_eq!(flushed["forgotten"], 0, "its own was cancelled");
    let system = json!({ "tenants": ["system"] });
    let flushed = ask(&mut asking, &admin, "/v1/jobs/flush", &system).await;
    assert_eq!(flushed["forgotten"], 0, "the system is no tenant");
    let flushed = ask(&mut asking, &admin, "/v1/jobs/flush", &json!({})).await;
    assert_eq!(flushed, json!({ "forgotten": 2, "more": false }));
    assert_eq!(ids(&mut asking, &admin, "/v1/jobs").await, [north.as_str()]);

    let trail = asking.ask("GET", "/v1/audit-log", Some(&admin), None).await.json();
    let what: Vec<&str> = trail["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["outcome"] == "done")
        .filter_map(|it| it["what"].as_str())
        .collect();
    assert!(
        what.contains(&"POST /v1/jobs/retry") && what.contains(&"POST /v1/jobs/flush"),
        "{what:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_goes_through_all_that_can_be_done_to_it() {
    let shop = Shop::closed().await;
    let id = shop.push_job(Some("north")).await;
    let owner = shop.token(Role::Owner, &["north"]).await;
    let mut asking = shop.asking().await;
    let mut step = async |method: &str, what: &str| {
        let uri = format!("/v1/jobs/{id}{what}");
        let answer = asking.ask(method, &uri, Some(&owner), None).await;
        let state = answer.json()["state"].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), answer.code() + &state)
    };
    assert_eq!(step("POST", "/retry").await, (409, "not_failed".to_owned()));
    assert_eq!(step("DELETE", "").await, (409, "not_failed".to_owned()));
    assert_eq!(step("POST", "/cancel").await, (200, "cancelled".to_owned()));
    assert_eq!(step("POST", "/cancel").await, (409, "already_ended".to_owned()));
    assert_eq!(step("POST", "/retry").await, (200, "waiting".to_owned()));
    shop.fail_all("low", REASON).await;
    assert_eq!(step("GET", "").await, (200, "failed".to_owned()));
    assert_eq!(step("DELETE", "").await, (200, "failed".to_owned()));
    assert_eq!(step("GET", "").await, (404, "unknown_job".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_told_what_to_do() {
    let shop = Shop::closed().await;
    let admin = shop.token(Role::Admin, &[]).await;
    let mut asking = shop.asking().await;
    let push = |more: Value| {
        let mut body =
            json!({ "kind": "http", "payload": { "url": "https://a.example/", "body": 1 } });
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        Some(body)
    };
    for (method, uri, body, status, code) in [
        ("GET", "/v1/jobs?state=runing", None, 422, "unknown_state"),
        ("GET", "/v1/jobs?after=x", None, 422, "invalid_cursor"),
        ("GET", "/v1/jobs?queue=a%20b", None, 422, "invalid_name"),
        ("GET", "/v1/jobs?sate=done", None, 400, "invalid_query"),
        ("GET", "/v1/jobs?reason=", None, 422, "invalid_value"),
        ("POST", "/v1/jobs/retry", Some(json!({ "reason": "" })), 422, "invalid_value"),
        ("POST", "/v1/jobs/flush", Some(json!({ "reason": "" })), 422, "invalid_value"),
        ("GET", "/v1/batches?after=e1.2", None, 422, "invalid_cursor"),
        ("GET", "/v1/jobs/xyz", None, 404, "unknown_job"),
        ("POST", "/v1/jobs", push(json!({})), 422, "no_targets"),
        ("POST", "/v1/jobs", push(json!({ "kind": "samovar.warm" })), 404, "unknown_kind"),
        ("POST", "/v1/jobs", push(json!({ "payload": 7 })), 422, "invalid_payload"),
        ("POST", "/v1/jobs", Some(json!({ "kind": "http" })), 422, "invalid_body"),
        ("POST", "/v1/jobs/prune", Some(json!({ "older_than": "soon" })), 422, "invalid_duration"),
        ("POST", "/v1/queues/lwo/pause", None, 404, "unknown_queue"),
        ("POST", "/v1/workers/nobody/drain", None, 404, "unknown_worker"),
        ("POST", "/v1/schedules/nightly/run", None, 404, "unknown_schedule"),
    ] {
        let answer = asking.ask(method, uri, Some(&admin), body.as_ref()).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{uri} {body:?}");
    }
    let told = asking.ask("POST", "/v1/workers/restart", Some(&admin), None).await;
    assert_eq!(told.json(), json!({ "order": "restart", "workers": [] }), "nobody works here");
}
