//! Changes that plain clients make reach the readings by themselves.
//!
//! `CAPTURE_TRANSACTIONS` asks for a longer walk than a run has by itself, `CAPTURE_SEED` for another one.

mod shop;
mod walk;

use samovar_testkit::{RedisServer, wait};
use serde_json::Value;

use self::{shop::Shop, walk::Walk};
use crate::{
    http::get,
    shop::{LIMIT, Served},
};

const READING: &str = "/v1/widgets/latest?tenant=north&range=2026-11-01..2026-11-10";

fn orders(served: &Served) -> u64 {
    let rows = get(&served.address, READING, &[]).json()["data"]["rows"].take();
    rows[0]["orders"].as_u64().unwrap_or(0)
}

async fn reaches(shop: Shop) {
    shop.install();
    let served = shop.serve();
    assert_eq!(orders(&served), 0);
    let mut client = shop.client().await;
    for id in 1..=3 {
        let order = format!("({id}, 0, 'north', 'web', '2026-11-05 10:00:00', 5)");
        client.run(&format!("insert into orders values {order}")).await;
        let seen = || (orders(&served) == id).then_some(());
        wait::until(LIMIT, "the change to be seen", seen).expect("seen");
    }
    // Nothing was computed in vain: what did not change is still there.
    let shown = get(&served.address, "/v1/capture", &[]).json();
    let source = &shown["sources"][0];
    assert_eq!((&source["connected"], &source["leads"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(source["not_installed"], Value::Array(Vec::new()), "{source}");
    let (_, said) = shop.ending(&["status"]);
    assert!(said.contains("shop: applies, "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_sqlite_is_seen_though_nobody_tells() {
    reaches(Shop::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_postgres_is_seen_though_nobody_tells() {
    reaches(Shop::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_maria_db_is_seen_though_nobody_tells() {
    reaches(Shop::maria_db()).await;
}

#[expect(clippy::print_stdout, reason = "the figures, for whoever asks with --no-capture")]
async fn walks(shop: Shop) {
    let asked = |variable: &str| std::env::var(variable).ok()?.parse().ok();
    let transactions = asked("CAPTURE_TRANSACTIONS").unwrap_or(60);
    let seed = asked("CAPTURE_SEED").unwrap_or(1);
    let name = shop.name();
    let walk = Walk::begin(shop, seed as u64).await;
    println!("capture on {name}: {}", walk.go(transactions).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sqlite_no_reading_differs_after_transactions_and_kills() {
    walks(Shop::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_postgres_no_reading_differs_after_transactions_kills_and_cuts() {
    walks(Shop::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_maria_db_no_reading_differs_after_transactions_kills_and_cuts() {
    walks(Shop::maria_db()).await;
}

/// One of them applies. Stopped, it still holds the right to, and the other takes what lies there for too
/// long; killed, it has lost it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_one_applies_and_the_other_takes_its_place() {
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let shop = Shop::postgres();
    shop.configure(&format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url()));
    shop.install();
    let leads = |served: &Served| {
        let shown = get(&served.address, "/v1/capture", &[]).json();
        shown["sources"][0]["leads"].as_bool()
    };
    let one = shop.serve();
    wait::until(LIMIT, "the first to lead", || leads(&one).filter(|it| *it)).expect("it leads");
    let other = shop.serve();
    let mut client = shop.client().await;
    let mut order = async |id: u64| {
        assert_eq!(orders(&other), id - 1);
        let order = format!("({id}, 0, 'north', 'web', '2026-11-05 10:00:00', 5)");
        client.run(&format!("insert into orders values {order}")).await;
        let seen = || (orders(&other) == id).then_some(());
        wait::until(LIMIT, "the change to be seen", seen).expect("seen");
    };
    order(1).await;
    one.process.stop().expect("stopped");
    order(2).await;
    assert_eq!(leads(&other), Some(false));
    one.process.kill();
    wait::until(LIMIT, "the other to lead", || leads(&other).filter(|it| *it)).expect("it leads");
    order(3).await;
}

#[test]
fn commands_install_show_print_and_take_away() {
    let shop = Shop::sqlite();
    let (code, said) = shop.ending(&["capture", "status"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("samovar_outbox is MISSING") && said.contains("MISSING"), "{said}");
    let (code, script) = shop.ending(&["capture", "sql", "--source", "shop"]);
    assert_eq!(code, Some(0), "{script}");
    // Whoever may runs it.
    shop.execute(&script);
    let (code, said) = shop.ending(&["capture", "status"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("has 1 rows"), "{said}");
    let (code, said) = shop.ending(&["capture", "install"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("installed in shop: everything is there already"), "{said}");
    let (_, said) = shop.ending(&["capture", "sql"]);
    assert_eq!(said.trim(), "-- nothing has to be done in shop");
    let (code, said) = shop.ending(&["capture", "uninstall"]);
    assert_eq!(code, Some(2), "nobody can be asked: {said}");
    let (code, said) = shop.ending(&["capture", "uninstall", "--force"]);
    assert_eq!(code, Some(0), "{said}");
    let (_, said) = shop.ending(&["capture", "status", "--json"]);
    let status: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(status["outbox"]["exists"], false);
    for (arguments, expected) in [
        (&["capture", "status", "--source", "shp"][..], "there is no source `shp`"),
        (&["capture", "status", "--url", "mysql://me:secret@db/x"], "of another kind"),
        (&["capture", "status", "--url", "secret"], "names no database"),
    ] {
        let (code, said) = shop.ending(arguments);
        assert!(code == Some(2) && said.contains(expected) && !said.contains("secret@"), "{said}");
    }
}
