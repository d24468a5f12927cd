//! Alerts of real processes, told to a real server.

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobId, Kind, NewJob, QueueName, Store,
    store::{Durability, RedisStore},
};
use samovar_testkit::{Receiver, RedisServer, wait};
use serde_json::Value;

use crate::{
    http::get,
    shop::{LIMIT, Served, Shop},
};

/// A shop on Redis that tells of its alerts.
fn shop(redis: &RedisServer, receiver: &Receiver, alert: &str) -> Shop {
    let shop = Shop::new();
    let config = format!(
        "[store]\nkind = \"redis\"\nurl = \"{}\"\n[webhook.ops]\nurl = \"{}/alerts\"\n\
         secret = \"long-enough\"\n{alert}\n[cache]",
        redis.url(),
        receiver.url()
    );
    shop.change_config("[cache]", &config);
    shop
}

fn alert(served: &Served, name: &str) -> Value {
    let alerts = get(&served.address, "/v1/alerts", &[]).json();
    let listed = alerts["alerts"].as_array().into_iter().flatten();
    listed.into_iter().find(|it| it["name"] == name).cloned().unwrap_or_default()
}

fn until(served: &Served, name: &str, state: &str) {
    let is_so = || (alert(served, name)["state"] == state).then_some(());
    wait::until(LIMIT, state, is_so).expect("it comes");
}

fn told(receiver: &Receiver) -> (String, String) {
    let told = receiver.next(LIMIT).expect("somebody tells");
    let body: Value = serde_json::from_slice(&told.body).expect("it is JSON");
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (text("alert"), text("state"))
}

fn pair(alert: &str, state: &str) -> (String, String) {
    (alert.to_owned(), state.to_owned())
}

#[test]
fn of_two_servers_that_see_the_same_one_tells() {
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let receiver = Receiver::start(Vec::new()).expect("it listens");
    let shop = shop(&redis, &receiver, "[alert.queue_wait]\nabove = \"1ms\"\nfor = \"0s\"");
    let (one, other) = (shop.serve(), shop.serve());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = redis.url();
    let jobs = RedisStore::connect(&url, Durability::Local, Clock::System, Random::System);
    let jobs = Store::Redis(runtime.block_on(jobs).expect("it answers"));
    // Nobody serves this queue.
    let (queue, kind) = (QueueName::new("nobodys"), Kind::new("waits"));
    let id = JobId::draw(&Random::System);
    let job = NewJob::new(id, queue.expect("a name"), kind.expect("a name"), b"{}".to_vec());
    runtime.block_on(jobs.push(vec![job])).expect("pushed");
    for served in [&one, &other] {
        until(served, "queue_wait", "firing");
        assert_eq!(alert(served, "queue_wait")["detail"], "nobodys");
    }
    assert_eq!(told(&receiver), pair("queue_wait", "firing"));
    runtime.block_on(jobs.cancel(vec![id])).expect("cancelled");
    for served in [&one, &other] {
        until(served, "queue_wait", "fine");
    }
    assert_eq!(told(&receiver), pair("queue_wait", "resolved"));
    assert!(receiver.try_next().is_none(), "told twice");
}

#[test]
fn a_store_that_goes_away_is_told_while_it_is_away_and_when_it_is_back() {
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let receiver = Receiver::start(Vec::new()).expect("it listens");
    let shop = shop(&redis, &receiver, "[alert.store_unreachable]\nfor = \"1s\"");
    let served = shop.serve();
    until(&served, "store_unreachable", "fine");
    redis.kill();
    assert_eq!(told(&receiver), pair("store_unreachable", "firing"));
    let firing = "samovar_alert_firing{alert=\"store_unreachable\"} 1\n";
    let metrics = get(&served.address, "/metrics", &[]);
    assert!(String::from_utf8_lossy(&metrics.body).contains(firing));
    redis.restart().expect("started again");
    assert_eq!(told(&receiver), pair("store_unreachable", "resolved"));
    until(&served, "store_unreachable", "fine");
    let said = served.process.stderr();
    assert!(said.contains("an alert fires") && said.contains("an alert is over"), "{said}");
    assert!(!said.contains("long-enough"), "{said}");
}

#[test]
fn the_command_shows_how_alerts_stand_where_somebody_looks() {
    let shop = Shop::new();
    let off = "[alert.memory_split]\nenabled = false\n[cache]";
    shop.change_config("[cache]", off);
    let nobody = shop.said(&["status", "--alerts"]);
    assert!(nobody.contains("start `samovar serve`"), "{nobody}");
    let served = shop.serve();
    until(&served, "hit_rate", "fine");
    let said = shop.said(&["status", "--alerts"]);
    assert!(
        said.contains("store_unreachable  fine") && said.contains("below 90 %, for 5.0 min"),
        "{said}"
    );
    let split = said.lines().find(|line| line.contains("memory_split")).expect("a line");
    assert!(split.contains(" off "), "{split}");
    let json = shop.json(&["status", "--alerts"]);
    assert_eq!(json["alerts"].as_array().map(Vec::len), Some(13));
    let overview = shop.said(&["status"]);
    assert!(overview.contains("none fires"), "{overview}");
    served.process.terminate().expect("told");
    assert!(served.process.wait(LIMIT).expect("it ends").success());
}
