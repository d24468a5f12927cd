//! SIGHUP: the engine before ends with the last that was begun with it.
//!
//! The story: whoever announced where a server listens kept the first engine as long as the process
//! lived, and with it a pool of connections and all that looks after readings, once more with each
//! reload. What an engine holds is seen at its source: its connections are its own.

use std::collections::BTreeSet;

use samovar_testkit::{PostgresServer, Process, RedisServer, wait};
use serde_json::{Value, json};

use crate::{
    application::Application,
    http::{get, post},
    shop::{LIMIT, Shop},
};

const TOTAL: &str = "/v1/widgets/total?tenant=north";
const QUERY: &str = "select sum(total) as total";

fn shop(application: &Application, postgres: &PostgresServer, store: &str) -> Shop {
    postgres.execute("create table orders (tenant text, total int)").expect("a table");
    postgres.execute("insert into orders values ('north', 7)").expect("a row");
    let total = format!(
        "{store}[source.orders]\nurl = \"{}\"\n[widget.total]\nsource = \"orders\"\n\
         query = \"{QUERY} from orders where tenant = :tenant\"\n",
        postgres.url()
    );
    application.shop(&total)
}

/// Other definitions, and another engine.
fn reload(shop: &Shop, process: &Process) {
    shop.change_again(QUERY, "select count(*) as total");
    process.reload().expect("it runs");
    let taken = || process.stderr().contains("other definitions are served").then_some(());
    wait::until(LIMIT, "other definitions", taken).expect("they are taken");
}

/// The connections at the source.
fn connections(postgres: &PostgresServer) -> BTreeSet<String> {
    let all = "select pid from pg_stat_activity where application_name = 'samovar'";
    postgres.query(all).expect("rows").into_iter().flatten().collect()
}

fn until_gone(postgres: &PostgresServer, before: &BTreeSet<String>) {
    let gone = || connections(postgres).is_disjoint(before).then_some(());
    wait::until(LIMIT, "the connections of the engine before to end", gone).expect("they do");
}

#[test]
fn in_a_server_it_goes_with_its_last_job() {
    let postgres = PostgresServer::start().expect("a PostgreSQL");
    let application = Application::start_closed("200 OK");
    let shop = shop(&application, &postgres, "");
    let served = shop.serve();
    assert_eq!(get(&served.address, TOTAL, &[]).json()["data"]["rows"][0]["total"], 7);
    let payload: Value = serde_json::from_str(&application.payload(1)).expect("JSON");
    let job = json!({ "kind": "http", "payload": payload });
    assert_eq!(post(&served.address, "/v1/jobs", &job).status, 201);
    application.next();
    let before = connections(&postgres);
    assert!(!before.is_empty());

    reload(&shop, &served.process);
    assert_eq!(get(&served.address, TOTAL, &[]).json()["data"]["rows"][0]["total"], 1);
    let both = connections(&postgres);
    assert!(!both.is_disjoint(&before), "its job runs");
    assert!(!both.is_subset(&before), "the next engine has its own");
    application.open();
    until_gone(&postgres, &before);
    assert_eq!(get(&served.address, TOTAL, &[]).status, 200);
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
}

#[test]
fn in_a_worker_it_goes_at_once_when_nothing_runs() {
    let (postgres, application) =
        (PostgresServer::start().expect("a PostgreSQL"), Application::start("200 OK"));
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let shop = shop(&application, &postgres, &store);
    let worker = shop.start(&["work"]);
    worker.hear("working on ", LIMIT).expect("it works");
    // Of the check of its definitions.
    let before = connections(&postgres);
    assert!(!before.is_empty());
    reload(&shop, &worker);
    until_gone(&postgres, &before);
    worker.terminate().expect("it runs");
    worker.wait_for_success(LIMIT).expect("a good end");
}
