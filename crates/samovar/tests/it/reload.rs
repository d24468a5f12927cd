//! SIGHUP: other definitions are served, or the old ones still.

use samovar_testkit::wait;
use serde_json::json;

use crate::{
    http::{get, post},
    shop::{LIMIT, Served, Shop},
    streams::Stream,
};

const SALES: &str = "/v1/widgets/sales?tenant=north";
const TOTAL: &str = "/v1/widgets/total?tenant=north";

/// One more widget, and another query of `sales`.
const MORE: &str = "[widget.total]\nsource = \"shop\"\n\
                    query = \"select sum(total) as total from orders where tenant = :tenant\"\n\
                    [widget.sales]\n";

/// What it says on standard error, once that is there.
fn told(served: &Served, what: &str) {
    let said = || served.process.stderr().contains(what).then_some(());
    wait::until(LIMIT, what, said).expect("it says so");
}

#[test]
fn other_definitions_are_served_and_what_they_leave_alone_is_still_at_hand() {
    let shop = Shop::new();
    let served = shop.serve();
    let get = |path: &str| get(&served.address, path, &[]);
    let log = "/v1/widgets/log?tenant=north";
    let before = [get(SALES), get(log)];
    assert_eq!(get(TOTAL).status, 404);
    let mut stream = Stream::open(&served.address, "");
    stream.both();

    shop.change_config("[widget.sales]\n", MORE);
    shop.change_again(
        "select channel, sum(total) as revenue",
        "select channel, count(*) as orders",
    );
    served.process.reload().expect("it runs");
    told(&served, "other definitions are served");
    assert_eq!(stream.next(), None, "whoever listens asks again");
    assert_eq!(get(TOTAL).json()["data"], json!({ "rows": [{ "total": 2450 }] }));
    let sales = get(SALES);
    assert_ne!(sales.body, before[0].body);
    assert_eq!(sales.header("samovar-tier"), "computed");
    let kept = get(log);
    assert_eq!(kept.body, before[1].body);
    assert_ne!(kept.header("samovar-tier"), "computed", "its definition is the same");

    // The new ones are told of changes, by jobs and commands as well.
    shop.order(10_000);
    let change = json!({ "tenant": "north", "tags": ["shop"] });
    assert_eq!(post(&served.address, "/v1/invalidate", &change).status, 200);
    assert_eq!(get(TOTAL).json()["data"], json!({ "rows": [{ "total": 12_450 }] }));
    shop.said(&["warm", "--widget", "total"]);
    let south = get("/v1/widgets/total?tenant=south");
    assert_ne!(south.header("samovar-tier"), "computed");
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
}

#[test]
fn a_wrong_file_is_refused_with_all_that_is_wrong_and_the_old_one_stays() {
    let shop = Shop::new();
    let served = shop.serve();
    shop.change_config("from orders\n", "from ordres\n");
    served.process.reload().expect("it runs");
    told(&served, "no such table: ordres");
    told(&served, "what was served is served on");
    assert_eq!(get(&served.address, SALES, &[]).status, 200);
    // Half a file, as an editor may leave it for a moment, and none at all.
    shop.write_config("[widget.sales");
    served.process.reload().expect("it runs");
    told(&served, "samovar.toml:1");
    std::fs::remove_file(shop.path("samovar.toml")).expect("it is there");
    served.process.reload().expect("it runs");
    told(&served, "reading the configuration");
    assert_eq!(get(&served.address, "/v1/widgets/log?tenant=north", &[]).status, 200);

    shop.change_config("[widget.sales]\n", MORE);
    served.process.reload().expect("it runs");
    told(&served, "other definitions are served");
    assert_eq!(get(&served.address, TOTAL, &[]).status, 200);
}

#[test]
fn what_takes_a_restart_is_named_and_all_else_is_taken() {
    let shop = Shop::new();
    let served = shop.serve();
    let cache = "[server]\nlisten = \"127.0.0.1:1\"\n[cache]\nmemory = \"64MB\"\n";
    shop.change_config("[cache]\n", cache);
    shop.change_again("[widget.sales]\n", MORE);
    served.process.reload().expect("it runs");
    told(&served, "other definitions are served");
    told(&served, "[server], [cache]");
    assert_eq!(get(&served.address, TOTAL, &[]).status, 200);
}

/// A file that was written for workers on Redis left a folder without anybody to run its jobs.
#[test]
fn a_folder_keeps_its_worker_whatever_the_file_says() {
    let shop = Shop::new();
    let served = shop.serve();
    let elsewhere = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\n\
                     [workers]\nin_server = false\n[cache]\n";
    shop.change_config("[cache]\n", elsewhere);
    shop.change_again("[widget.sales]\n", MORE);
    served.process.reload().expect("it runs");
    told(&served, "other definitions are served");
    told(&served, "[store], `in_server` in [workers]");
    let warming = post(&served.address, "/v1/warm", &json!({ "widgets": ["total"] })).json();
    let batch = format!("/v1/batches/{}", warming["batch"].as_str().expect("a batch"));
    let ended = || {
        let shown = get(&served.address, &batch, &[]).json();
        shown["finished_ms"].is_u64().then_some(shown)
    };
    let shown = wait::until(LIMIT, "the warm-up", ended).expect("its worker is there");
    assert_eq!(shown["state"], "done");
}
