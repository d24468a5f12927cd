//! How a server ends, and that there is one per folder.

use std::net::TcpStream;

use samovar_testkit::wait;

use crate::{
    http::{get, send},
    shop::{LIMIT, Shop},
};

#[test]
fn a_request_that_was_begun_is_answered_before_the_end() {
    let shop = Shop::new();
    let served = shop.serve();
    // Until the lock is released the query waits.
    let lock = shop.database();
    lock.execute_batch("begin exclusive").expect("locked");
    let pending = send(&served.address, "GET /v1/widgets/sales?tenant=north", &[], "");
    wait::until(LIMIT, "the compute to begin", || {
        let statistics = get(&served.address, "/v1/cache/stats", &[]).json();
        (statistics["local"]["in_flight"] == 1).then_some(())
    })
    .expect("it is in flight");
    served.process.terminate().expect("it runs");
    wait::until(LIMIT, "the listener to close", || TcpStream::connect(&served.address).err())
        .expect("it takes no more connections");
    assert!(served.process.is_running());
    lock.execute_batch("rollback").expect("released");
    let answer = pending.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("samovar-tier"), "computed");
    served.process.wait_for_success(LIMIT).expect("a good end");
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_with_advice() {
    let shop = Shop::new();
    let served = shop.serve();
    let (code, said) = shop.ending(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1), "{said}");
    let owner = format!("is owned by process {}", served.process.pid());
    assert!(said.contains(&owner) && said.contains("kind = \"redis\""), "{said}");
    assert_eq!(get(&served.address, "/healthz", &[]).status, 200);
}

#[test]
fn values_outlive_a_server_that_ended_well() {
    let shop = Shop::new();
    let path = "/v1/widgets/sales?tenant=north";
    let first = shop.serve();
    assert_eq!(get(&first.address, path, &[]).header("samovar-tier"), "computed");
    first.process.terminate().expect("it runs");
    first.process.wait_for_success(LIMIT).expect("a good end");
    let second = shop.serve();
    assert_eq!(get(&second.address, path, &[]).header("samovar-tier"), "shared");
    assert_eq!(get(&second.address, path, &[]).header("samovar-tier"), "local");
}
