//! Servers run jobs: their workers are seen, told to end, and end with them.

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobId, Kind, NewJob, QueueName, Store, WorkerName,
    store::{Durability, Order, RedisStore},
};
use samovar_testkit::{RedisServer, wait};
use serde_json::{Value, json};

use crate::{
    http::get,
    shop::{LIMIT, Served, Shop},
};

impl Shop {
    fn on_redis(&self, redis: &RedisServer, more: &str) {
        let store =
            format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n{more}\n[cache]", redis.url());
        self.change_config("[cache]", &store);
    }
}

impl Served {
    fn workers(&self) -> Vec<Value> {
        let answer = get(&self.address, "/v1/workers", &[]).json();
        answer["workers"].as_array().cloned().expect("a list")
    }

    /// Of this process, once it has been seen.
    fn worker(&self) -> Value {
        let own = || self.workers().into_iter().find(|it| it["pid"] == self.process.pid());
        wait::until(LIMIT, "its worker", own).expect("it beats")
    }

    fn end(self) {
        self.process.terminate().expect("it runs");
        self.process.wait_for_success(LIMIT).expect("a good end");
    }
}

fn durable() -> RedisServer {
    RedisServer::builder().config("appendonly yes").start().expect("a Redis")
}

#[test]
fn a_server_on_a_folder_works_and_ends_in_good_order() {
    let shop = Shop::new();
    let workers = "[workers]\nslots = { min = 2, max = 3 }\nmemory_budget = \"256MB\"\n[cache]";
    shop.change_config("[cache]", workers);
    let served = shop.serve();
    let worker = served.worker();
    assert_eq!((&worker["slots"], &worker["most_slots"]), (&json!(2), &json!(3)));
    assert_eq!(worker["memory"]["budget_bytes"], 256 << 20);
    assert_eq!(worker["queues"], json!(["high", "default", "low", "cache"]));
    assert_eq!((&worker["lost"], &worker["draining"]), (&json!(false), &json!(false)));

    let (code, said) = shop.ending(&["status"]);
    assert_eq!(code, Some(0), "{said}");
    let name = worker["name"].as_str().expect("a name");
    assert!(said.contains(name) && said.contains("2 of 3"), "{said}");
    assert!(said.contains("of 256.0 MB"), "{said}");
    assert!(said.contains("an acknowledged one survives kill -9"), "{said}");
    assert!(!served.process.stderr().contains("what SQLite holds is not counted"));
    served.end();
    assert!(shop.path("samovar-data/jobs.db").exists());
    assert!(!shop.path("samovar-data/jobs.db-wal").exists(), "it was closed");

    // Beside nothing a command opens the jobs itself, and works for nobody.
    let (code, said) = shop.ending(&["status", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let status: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(status["workers"], json!([]));
    let queues = status["queues"].as_array().expect("a list");
    assert!(queues.iter().all(|it| it["waiting"] == 0 && it["done"] == 0), "{queues:?}");
    assert_eq!(status["jobs"]["kind"], "embedded");
    shop.serve().end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_told_to_restart_and_to_drain_and_the_server_goes_on() {
    let (redis, shop) = (durable(), Shop::new());
    shop.on_redis(&redis, "");
    let served = shop.serve();
    let (url, durability) = (redis.url(), Durability::Local);
    let store = RedisStore::connect(&url, durability, Clock::System, Random::System).await;
    let store = Store::Redis(store.expect("connects"));
    let name = |worker: &Value| worker["name"].as_str().expect("a name").to_owned();
    let order = async |worker: &Value, order| {
        let known = store.order(WorkerName::new(name(worker)).expect("a name"), order).await;
        assert_eq!(known, Ok(true));
    };
    let first = served.worker();
    order(&first, Order::Restart).await;
    let next = || served.workers().into_iter().find(|it| name(it) != name(&first));
    let second =
        wait::until(LIMIT, "another worker", next).expect("it takes the first one's place");
    assert_eq!(second["pid"], first["pid"]);

    // A kind that nobody here knows fails for good: it was claimed.
    let queue = QueueName::new("default").expect("a name");
    let kind = Kind::new("of.nobody").expect("a name");
    let job = NewJob::new(JobId::draw(&Random::System), queue, kind, *b"{}");
    store.push(vec![job]).await.expect("pushed");
    let failed = || {
        let answer = get(&served.address, "/v1/queues", &[]).json();
        let queues = answer["queues"].as_array()?;
        queues.iter().any(|it| it["name"] == "default" && it["failed"] == 1).then_some(answer)
    };
    let answer = wait::until(LIMIT, "the job to fail", failed).expect("it is claimed");
    assert_eq!(answer["store"]["durability"], "local");

    order(&second, Order::Drain).await;
    wait::until(LIMIT, "the worker to end", || served.workers().is_empty().then_some(()))
        .expect("it ends");
    assert_eq!(get(&served.address, "/healthz", &[]).status, 200);
    let (code, said) = shop.ending(&["status"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("redis, durability local; an acknowledged one survives"), "{said}");
    store.close().await;
    served.end();
}

#[test]
fn servers_on_one_redis_see_each_others_workers_and_who_ends_leaves() {
    let (redis, shop) = (durable(), Shop::new());
    shop.on_redis(&redis, "");
    let (one, other) = (shop.serve(), shop.serve());
    let both = || (one.workers().len() == 2).then_some(());
    wait::until(LIMIT, "both workers", both).expect("they share the jobs");
    let pid = other.process.pid();
    other.end();
    assert!(one.workers().iter().all(|it| it["pid"] != pid));
}

#[test]
fn a_redis_that_cannot_keep_jobs_is_refused_with_the_way_out() {
    let (forgetful, shop) = (RedisServer::start().expect("a Redis"), Shop::new());
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    shop.on_redis(&forgetful, "");
    let (code, said) = shop.ending(&serve);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("opening the store of jobs"), "{said}");
    assert!(said.contains("durability = \"none\""), "{said}");
    shop.on_redis(&forgetful, "durability = \"none\"");
    shop.serve().end();

    let evicting = RedisServer::builder().config("maxmemory-policy allkeys-lru").start();
    let evicting = evicting.expect("a Redis");
    shop.on_redis(&evicting, "durability = \"none\"");
    let (code, said) = shop.ending(&serve);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("`[cache] url`"), "{said}");
    let durable = durable();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", durable.url());
    let cache = format!("[cache]\nurl = \"{}\"", evicting.url());
    shop.change_config("[cache]", &(store + &cache));
    let served = shop.serve();
    assert_eq!(get(&served.address, "/v1/widgets/sales?tenant=north", &[]).status, 200);
    let keys = |redis: &RedisServer, pattern| {
        let keys = redis.command(&["KEYS", pattern]).expect("an answer");
        keys.items().len()
    };
    assert!(keys(&evicting, "*sales*") > 0 && keys(&durable, "*sales*") == 0);
    served.end();
}
