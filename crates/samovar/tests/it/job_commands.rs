//! The commands about jobs, with a server and without one, on a folder and on Redis: both ways they
//! say the same.

use samovar_testkit::{RedisServer, wait};
use serde_json::{Value, json};

use crate::{
    application::Application,
    http::{get, post},
    shop::{LIMIT, Shop},
};

fn on(redis: &RedisServer) -> String {
    format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url())
}

fn durable() -> RedisServer {
    RedisServer::builder().config("appendonly yes").start().expect("a Redis")
}

fn push(shop: &Shop, application: &Application, order: u32) -> Value {
    let payload = application.payload(order);
    let pushed = shop.json(&["jobs", "push", "http", "--payload", &payload, "--tenant", "north"]);
    assert_eq!((&pushed["queue"], &pushed["pushed"]), (&json!("default"), &json!(true)));
    pushed["id"].clone()
}

/// All of a job's life, told by commands.
fn lives(store: &str) {
    let application = Application::start("500 Broken");
    let shop = application.shop(store);
    assert!(shop.said(&["jobs", "list"]).starts_with("there are no such jobs\n"));
    let id = push(&shop, &application, 7);
    let id = id.as_str().expect("an id");
    let listed = shop.said(&["jobs", "list", "--state", "waiting"]);
    assert!(listed.contains(id) && listed.contains("north"), "{listed}");
    let shown = shop.json(&["jobs", "show", id]);
    assert_eq!(
        (&shown["payload"]["body"]["order"], &shown["policy"]["tries"]),
        (&json!(7), &json!(2))
    );

    shop.said(&["queues", "pause", "default"]);
    let queues = shop.said(&["queues"]);
    assert!(
        queues.lines().any(|line| line.contains("default") && line.contains("paused")),
        "{queues}"
    );
    shop.said(&["queues", "resume", "default"]);
    let (code, said) = shop.ending(&["queues", "clear", "default"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("1 waiting or scheduled job of default") && said.contains("--force"),
        "{said}"
    );
    let cleared = shop.said(&["queues", "clear", "default", "--force"]);
    assert!(cleared.starts_with("cancelled 1 job of default"), "{cleared}");
    let (code, said) = shop.ending(&["jobs", "cancel", id]);
    assert_eq!((code, said.contains("it is cancelled")), (Some(1), true), "{said}");
    assert!(shop.said(&["jobs", "retry", id]).contains("waits on default again"));

    // Somebody who runs it, and the application is broken.
    let served = shop.serve();
    let failed = || {
        let jobs = get(&served.address, "/v1/jobs?state=failed", &[]).json();
        jobs["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1).then_some(())
    };
    wait::until(LIMIT, "the job to fail", failed).expect("after its tries");
    let posted = application.next();
    let head = &posted.head;
    assert!(head.contains("authorization: bearer s3cr3t") && head.contains("samovar-attempt: 1"));
    assert_eq!(posted.body, r#"{"order":7}"#);
    let shown = shop.said(&["jobs", "show", id]);
    assert!(shown.contains("answered with 500") && shown.contains("2 of 2"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert!(shop.said(&["workers"]).contains("working"));

    let figures = shop.json(&["queues", "show", "default"]);
    let of_kind = &figures["kinds"][0];
    assert_eq!(
        (&of_kind["kind"], &of_kind["failed"], &of_kind["retried"]),
        (&json!("http"), &json!(1), &json!(1))
    );
    assert_eq!((&of_kind["success_rate"], of_kind["ran_ms"]["p99"].is_u64()), (&json!(0.0), true));
    assert!(shop.said(&["queues", "show", "default", "--hours", "48"]).contains("last 48 hours"));

    let (code, said) = shop.ending(&["jobs", "flush", "--all"]);
    assert_eq!((code, said.contains("This forgets 1 failed job.")), (Some(2), true), "{said}");
    let retried = shop.json(&["jobs", "retry", "--queue", "default"]);
    assert_eq!(retried, json!({ "retried": 1, "key_taken": 0, "more": false }));
    wait::until(LIMIT, "the job to fail again", failed).expect("after its tries");
    assert!(shop.said(&["jobs", "forget", id]).starts_with(&format!("{id} is forgotten\n")));
    let (code, _) = shop.ending(&["jobs", "show", id]);
    assert_eq!(code, Some(1));
    assert!(shop.said(&["jobs", "flush", "--all", "--force"]).starts_with("forgot 0 failed jobs"));
    assert!(
        shop.said(&["jobs", "prune", "--older-than", "1d", "--force"])
            .starts_with("forgot 0 ended jobs")
    );

    let warming = shop.json(&["warm", "--widget", "sales", "--detach"]);
    let batch = warming["batch"].as_str().expect("a batch");
    let ended = || {
        let shown = shop.json(&["batches", "show", batch]);
        shown["finished_ms"].is_u64().then_some(shown)
    };
    let shown = wait::until(LIMIT, "the batch to finish", ended).expect("it does");
    assert_eq!(shown["pending"], 0);
    let listed = shop.said(&["batches"]);
    assert!(listed.contains(batch) && listed.contains("warm"), "{listed}");
    let (code, said) = shop.ending(&["batches", "cancel", "00000000000000ff"]);
    assert_eq!((code, said.contains("there is no batch")), (Some(1), true), "{said}");

    let told = shop.said(&["workers", "restart"]);
    assert!(told.starts_with("told to restart: "), "{told}");
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
}

#[test]
fn a_job_lives_through_all_commands_on_a_folder() {
    lives("");
}

#[test]
fn a_job_lives_through_all_commands_on_redis() {
    let redis = durable();
    lives(&on(&redis));
}

#[test]
fn schedules_are_shown_and_run_with_a_server_and_without() {
    let shop = Shop::new();
    let schedule =
        "[schedule.nightly]\ncron = \"0 3 * * *\"\nwarm = \"all\"\n[warm]\nusual = false\n[cache]";
    shop.change_config("[cache]", schedule);
    let (code, said) = shop.ending(&["schedules", "run", "nightli"]);
    assert_eq!((code, said.contains("did you mean `nightly`?")), (Some(1), true), "{said}");
    let ran = shop.json(&["schedules", "run", "nightly"]);
    assert_eq!((&ran["pushed"], &ran["queue"]), (&json!(true), &json!("cache")));
    let again = shop.said(&["schedules", "run", "nightly"]);
    assert!(again.contains("has not ended"), "{again}");
    let served = shop.serve();
    let done = || {
        let shown = shop.json(&["jobs", "show", ran["id"].as_str().expect("an id")]);
        (shown["state"] == "done").then_some(())
    };
    wait::until(LIMIT, "the job to be done", done).expect("the server works");
    let listed = shop.json(&["schedules"]);
    assert_eq!(listed["schedules"][0]["name"], "nightly");
    assert_eq!(listed["schedules"][0]["next_ms"].as_array().map(Vec::len), Some(5));
    assert!(shop.said(&["schedules", "list"]).contains("0 3 * * *"));
    drop(served);
}

#[test]
fn what_is_pushed_over_http_is_pushed_once_and_where_it_may() {
    let application = Application::start("200 OK");
    let shop = application.shop("");
    let served = shop.serve();
    let payload: Value = serde_json::from_str(&application.payload(1)).expect("JSON");
    let job = |more: Value| {
        let mut job = json!({ "kind": "http", "payload": payload, "tenant": "north" });
        for (name, value) in more.as_object().expect("fields") {
            job[name] = value.clone();
        }
        post(&served.address, "/v1/jobs", &job)
    };
    let first = job(json!({ "id": "00000000000000aa" }));
    assert_eq!((first.status, &first.json()["id"]), (201, &json!("00000000000000aa")));
    let again = job(json!({ "id": "00000000000000aa" }));
    assert_eq!((again.status, &again.json()["pushed"]), (200, &json!(false)));
    assert_eq!(application.next().job(), "00000000000000aa");

    // A key is one tenant's.
    let keyed =
        |tenant: &str| job(json!({ "unique_key": "report", "delay": "1h", "tenant": tenant }));
    let (north, south) = (keyed("north").json(), keyed("south").json());
    assert_eq!((&north["pushed"], &south["pushed"]), (&json!(true), &json!(true)));
    assert_eq!(keyed("north").json()["id"], north["id"]);
    let shown =
        get(&served.address, &format!("/v1/jobs/{}", north["id"].as_str().expect("an id")), &[]);
    assert_eq!(
        (&shown.json()["state"], &shown.json()["kind"]),
        (&json!("scheduled"), &json!("http"))
    );

    for (more, status, code) in [
        (
            json!({ "payload": { "url": "http://127.0.0.1:1/jobs/", "body": 1 } }),
            422,
            "invalid_payload",
        ),
        (json!({ "payload": { "url": "http://127.0.0.1:1/jobs/" } }), 422, "invalid_payload"),
        (json!({ "queue": "lwo" }), 404, "unknown_queue"),
        (json!({ "tenant": "west" }), 404, "unknown_tenant"),
        (json!({ "id": "7" }), 422, "invalid_value"),
        (json!({ "delay": "soon" }), 422, "invalid_value"),
        (json!({ "tries": 0 }), 422, "invalid_job"),
        (json!({ "memory": "1TB" }), 422, "invalid_value"),
        (
            json!({ "id": "00000000000000aa", "payload": { "url": application.payload(1), "body": 1 } }),
            422,
            "invalid_payload",
        ),
    ] {
        let answer = job(more.clone());
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (status, &json!(code)),
            "{more}"
        );
    }
    let mut other = payload.clone();
    other["body"] = json!("another");
    let taken = job(json!({ "id": "00000000000000aa", "payload": other }));
    assert_eq!((taken.status, &taken.json()["error"]["code"]), (409, &json!("id_taken")));
    let large = json!("x".repeat(1 << 20));
    let mut other = payload.clone();
    other["body"] = large;
    let refused = job(json!({ "payload": other }));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (422, &json!("invalid_job")));
}

/// Jobs of these would have been nobody's, which whoever is bound could neither see nor cancel; and the
/// keys of one tenant ran into those of another whose name goes on with a slash.
#[test]
fn jobs_are_pushed_for_tenants_whose_jobs_can_be_theirs_and_keys_of_two_are_two() {
    let application = Application::start("200 OK");
    let shop = application.shop("");
    let tenants =
        "list = [{ id = \"a\" }, { id = \"a/b\" }, { id = \"a b\" }, { id = \"system\" }]";
    shop.change_again("list = [{ id = \"north\" }, { id = \"south\" }]", tenants);
    let served = shop.serve();
    let payload: Value = serde_json::from_str(&application.payload(1)).expect("JSON");
    let push = |tenant: &str, key: &str| {
        let job = json!({ "kind": "http", "payload": payload, "tenant": tenant, "unique_key": key, "delay": "1h" });
        post(&served.address, "/v1/jobs", &job)
    };
    for nameless in ["a b", "system"] {
        let error = push(nameless, "report").error(422);
        assert_eq!((&error["code"], &error["field"]), (&json!("invalid_value"), &json!("tenant")));
    }
    let pushed = [push("a", "b/c"), push("a/b", "c"), push("a", "b/c")];
    assert_eq!(pushed.each_ref().map(|it| it.status), [201, 201, 200]);
    assert_eq!(pushed[2].json()["id"], pushed[0].json()["id"]);
    let listed = get(&served.address, "/v1/jobs?tenant=a%2Fb", &[]).json();
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(1));
}

/// It stands in every reason: what was meant for some jobs was done to all of them.
#[test]
fn an_empty_reason_matches_nothing_by_being_refused() {
    let shop = Shop::new();
    for what in [&["list"][..], &["retry"], &["flush", "--force"]] {
        let (code, said) = shop.ending(&[&["jobs"], what, &["--reason", ""]].concat());
        assert_eq!((code, said.contains("--reason")), (Some(2), true), "{what:?}: {said}");
    }
}
