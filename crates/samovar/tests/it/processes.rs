//! Several processes on one store: servers that are one cache, workers that share the jobs, whoever
//! of them is killed; and a folder, which one process owns.

use std::collections::BTreeSet;

use samovar_testkit::{Process, RedisServer, wait};
use serde_json::{Value, json};

use crate::{
    application::Application,
    http::{get, post},
    shop::{LIMIT, Served, Shop},
};

/// Longer than the lease of a worker that was killed.
const LEASES_END: std::time::Duration = std::time::Duration::from_secs(150);

fn redis() -> RedisServer {
    let lines = ["appendonly yes".to_owned(), "appendfsync always".to_owned()];
    RedisServer::builder().configs(&lines).start().expect("a Redis")
}

/// Servers leave the jobs to workers.
fn on(redis: &RedisServer) -> String {
    format!(
        "[store]\nkind = \"redis\"\nurl = \"{}\"\n[workers]\nslots = 4\nmemory_budget = \"4GB\"\nin_server = false\n\
         [event.\"order.created\"]\ninvalidates = [\"orders\"]",
        redis.url()
    )
}

fn work(shop: &Shop, arguments: &[&str]) -> Process {
    let worker = shop.start(&[&["work"], arguments].concat());
    worker.hear("working on ", LIMIT).expect("it works");
    worker
}

fn push(served: &Served, application: &Application, queue: &str, order: u32) -> String {
    let payload: Value = serde_json::from_str(&application.payload(order)).expect("JSON");
    let job = json!({ "kind": "http", "payload": payload, "queue": queue });
    let pushed = post(&served.address, "/v1/jobs", &job);
    assert_eq!(pushed.status, 201);
    pushed.json()["id"].as_str().expect("an id").to_owned()
}

fn state(served: &Served, job: &str) -> String {
    let shown = get(&served.address, &format!("/v1/jobs/{job}"), &[]).json();
    shown["state"].as_str().expect("a state").to_owned()
}

fn pids(served: &Served) -> BTreeSet<u64> {
    let workers = get(&served.address, "/v1/workers", &[]).json();
    let workers = workers["workers"].as_array().cloned().expect("a list");
    workers.iter().filter_map(|it| it["pid"].as_u64()).collect()
}

fn sales(served: &Served) -> (String, Option<u64>) {
    let answer = get(&served.address, "/v1/widgets/sales?tenant=north", &[]);
    assert_eq!(answer.status, 200);
    let tier = answer.header("samovar-tier").to_owned();
    (tier, answer.json()["data"]["rows"][1]["revenue"].as_u64())
}

#[test]
fn two_servers_and_two_workers_share_a_redis_and_outlive_each_others_kills() {
    let (redis, application) = (redis(), Application::start_closed("200 OK"));
    let shop = application.shop(&on(&redis));
    let (one, other) = (shop.serve(), shop.serve());
    let workers = [work(&shop, &[]), work(&shop, &[])];
    let both: BTreeSet<u64> = workers.iter().map(|it| u64::from(it.pid())).collect();
    let seen = || (pids(&one) == both && pids(&other) == both).then_some(());
    wait::until(LIMIT, "the workers, and no server among them", seen).expect("they beat");

    // What is trusted is not asked for: without news it would be served for minutes.
    sales(&one);
    let trusted = || (sales(&other).0 == "local").then_some(());
    wait::until(LIMIT, "a value that is trusted", trusted).expect("it is");
    let (_, before) = sales(&other);
    shop.order(77);
    let event = json!({ "name": "order.created", "tenant": "north" });
    assert_eq!(post(&one.address, "/v1/events", &event).status, 200);
    let expected = before.map(|revenue| revenue + 77);
    let news = || (sales(&other).1 == expected).then_some(());
    wait::until(LIMIT, "the news", news).expect("the other server computes anew");

    let warming = post(&one.address, "/v1/warm", &json!({ "widgets": ["sales"], "force": true }));
    let batch = warming.json()["batch"].as_str().expect("a batch").to_owned();
    let path = format!("/v1/batches/{batch}");
    let warmed = || {
        let shown = get(&other.address, &path, &[]).json();
        shown["finished_ms"].is_u64().then_some(shown)
    };
    let shown = wait::until(LIMIT, "the warm-up", warmed).expect("workers do it");
    assert_eq!(shown["state"], "done");

    // Both workers hold jobs when one of them is killed, and a server with it.
    let mut jobs: BTreeSet<String> =
        (0..16).map(|it| push(&one, &application, "low", it)).collect();
    let mut begun = vec![application.next()];
    // A slot of four is kept for `high`.
    while begun.len() < 6 {
        begun.push(application.next());
    }
    let [killed, rest] = workers;
    killed.kill();
    one.process.kill();
    jobs.insert(push(&other, &application, "high", 99));
    application.open();
    let done = || {
        let queues = get(&other.address, "/v1/queues", &[]).json();
        let queues = queues["queues"].as_array().cloned().expect("a list");
        let done = |name: &str| {
            let queue = queues.iter().find(|it| it["name"] == name);
            queue.and_then(|it| it["done"].as_u64()).unwrap_or(0)
        };
        (done("low") + done("high") == jobs.len() as u64).then_some(())
    };
    wait::until(LEASES_END, "all jobs to be done", done).expect("nothing is lost");
    let posted: Vec<_> = begun.into_iter().chain(application.rest()).collect();
    let distinct: BTreeSet<String> = posted.iter().map(|it| it.job().to_owned()).collect();
    assert_eq!(distinct, jobs);
    // What ran in the one that was killed ran again, and nothing else did.
    assert!(posted.len() <= jobs.len() + 4, "{} of {}", posted.len(), jobs.len());
    assert_eq!(sales(&other).1, expected);

    rest.terminate().expect("it runs");
    rest.wait_for_success(LIMIT).expect("a good end");
    other.process.terminate().expect("it runs");
    other.process.wait_for_success(LIMIT).expect("a good end");
}

#[test]
fn a_worker_serves_the_queues_it_is_told_and_drains() {
    let (redis, application) = (redis(), Application::start_closed("200 OK"));
    let shop = application.shop(&on(&redis));
    let served = shop.serve();
    let worker = work(&shop, &["--queues", "high,low", "--slots", "1", "--timeout", "60"]);
    let elsewhere = push(&served, &application, "default", 1);
    let (held, waits) =
        (push(&served, &application, "high", 2), push(&served, &application, "high", 3));
    assert_eq!(application.next().job(), held);
    // The only slot is taken, and a queue that is not served gives nothing.
    assert_eq!([&elsewhere, &waits].map(|job| state(&served, job)), ["waiting", "waiting"]);
    worker.terminate().expect("it runs");
    let told = || worker.stderr().contains("stopping").then_some(());
    wait::until(LIMIT, "the signal to be heard", told).expect("it is told");
    application.open();
    worker.wait_for_success(LIMIT).expect("a good end");
    assert_eq!([&held, &waits].map(|job| state(&served, job)), ["done", "waiting"]);
    assert_eq!(pids(&served), BTreeSet::new(), "it has left");

    // By command, the process ends with its worker.
    let worker = work(&shop, &["--queues", "high"]);
    let name = || {
        let workers = get(&served.address, "/v1/workers", &[]).json();
        workers["workers"][0]["name"].as_str().map(str::to_owned)
    };
    let name = wait::until(LIMIT, "the worker", name).expect("it beats");
    let told = shop.said(&["workers", "drain", &name]);
    assert!(told.contains(&name), "{told}");
    worker.wait_for_success(LIMIT).expect("a good end");
    assert_eq!(state(&served, &elsewhere), "waiting", "nobody serves its queue");
}

#[test]
fn a_job_that_leaves_it_open_is_tried_as_often_as_its_worker_is_told() {
    let (redis, application) = (redis(), Application::start("500 Broken"));
    let shop = application.shop(&on(&redis));
    let served = shop.serve();
    let _worker = work(&shop, &["--tries", "1"]);
    let payload: Value = serde_json::from_str(&application.payload(1)).expect("JSON");
    for (tries, attempts) in [(3, 1), (4, 4)] {
        let job = json!({ "kind": "http", "payload": payload, "tries": tries });
        let id = post(&served.address, "/v1/jobs", &job).json()["id"].clone();
        let path = format!("/v1/jobs/{}", id.as_str().expect("an id"));
        let failed = || {
            let shown = get(&served.address, &path, &[]).json();
            (shown["state"] == "failed").then(|| shown["attempt"].clone())
        };
        let attempt = wait::until(LIMIT, "the job to fail", failed).expect("it does");
        assert_eq!(attempt, attempts, "3 is the default, which leaves it to the worker");
    }
}

#[test]
fn wrong_uses_of_a_worker_are_told() {
    let shop = Shop::new();
    let (code, said) = shop.ending(&["work"]);
    assert_eq!((code, said.contains("kind = \"redis\"")), (Some(2), true), "{said}");
    let redis = redis();
    shop.change_config("[cache]", &format!("{}\n[cache]", on(&redis)));
    for (arguments, what) in [
        (&["--queues", "hihg"][..], "there is no queue `hihg`"),
        (&["--slots", "0"], "between 1 and 1000"),
        (&["--tries", "0"], "1..=1000"),
        (&["--timeout", "8d"], "7d at most"),
    ] {
        let (code, said) = shop.ending(&[&["work"], arguments].concat());
        assert_eq!((code, said.contains(what)), (Some(2), true), "{arguments:?}: {said}");
    }
}

#[test]
fn a_folder_is_one_process_and_says_what_to_do_for_more() {
    let shop = Shop::new();
    let served = shop.serve();
    for (arguments, code) in [(&["work"][..], 2), (&["serve", "--listen", "127.0.0.1:0"], 1)] {
        let (ended, said) = shop.ending(arguments);
        assert_eq!(
            (ended, said.contains("kind = \"redis\"")),
            (Some(code), true),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(get(&served.address, "/healthz", &[]).status, 200, "the first one goes on");
}
