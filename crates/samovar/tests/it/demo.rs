//! `samovar demo` in a folder of its own.

use serde_json::json;

use crate::{
    http::{get, post},
    shop::{LIMIT, Served, Shop},
};

fn demo(shop: &Shop, orders: &str) -> Served {
    let folder = shop.path("demo").display().to_string();
    let options = ["demo", "--orders", orders, "--data-dir", &folder, "--listen", "127.0.0.1:0"];
    Served::of(shop.start(&options))
}

fn orders(demo: &Served) -> u64 {
    let answer = get(&demo.address, "/v1/widgets/sales_by_day?tenant=north&range=180d", &[]);
    let rows = answer.json()["data"]["rows"].as_array().cloned().expect("rows");
    rows.iter().filter_map(|row| row["orders"].as_u64()).sum()
}

#[test]
fn the_calls_that_the_demo_prints_work_as_printed() {
    let shop = Shop::new();
    let demo = demo(&shop, "500");
    for _ in 0..6 {
        demo.process.hear("  curl ", LIMIT).expect("six calls are printed");
    }
    let said = demo.process.stdout();
    let gets = said.lines().filter_map(|line| line.split_once('\'')?.1.strip_suffix('\''));
    let prefix = format!("http://{}", demo.address);
    let gets: Vec<_> = gets.filter_map(|url| url.strip_prefix(&prefix)).collect();
    assert_eq!(gets.len(), 4, "{said}");
    let (board, widgets) = gets.split_last().expect("four");
    for tier in ["computed", "local"] {
        for path in widgets {
            let answer = get(&demo.address, path, &[]);
            assert_eq!((answer.status, answer.header("samovar-tier")), (200, tier));
            assert!(!answer.json()["data"]["rows"].as_array().expect("rows").is_empty());
        }
    }
    let (_, token) = said.split_once("Authorization: ").expect("a token");
    let header = format!("authorization: {}", token.split('\'').next().expect("it ends"));
    let who = get(&demo.address, "/v1/sessions/current", &[&header]).json();
    assert_eq!((&who["kind"], &who["role"]), (&json!("token"), &json!("admin")));
    let board = get(&demo.address, board, &[]).json();
    assert_eq!(board["widgets"].as_array().map(Vec::len), Some(3));
    assert_eq!(board["agree"], true, "of one state, as it says");
    assert!(said.contains(r#"--json '{"tenant":"north","tags":["orders"]}'"#), "{said}");
    let change = json!({ "tenant": "north", "tags": ["orders"] });
    assert_eq!(post(&demo.address, "/v1/invalidate", &change).status, 200);
    assert_eq!(get(&demo.address, gets[0], &[]).header("samovar-tier"), "computed");
    let order = json!({ "name": "order.created", "tenant": "north" });
    assert_eq!(post(&demo.address, "/v1/events", &order).status, 200);
    assert_eq!(get(&demo.address, gets[0], &[]).header("samovar-tier"), "computed");
}

#[test]
fn other_orders_are_not_hidden_by_what_was_cached_of_the_first() {
    let shop = Shop::new();
    let first = demo(&shop, "500");
    let few = orders(&first);
    first.process.terminate().expect("it runs");
    first.process.wait_for_success(LIMIT).expect("a good end");
    let second = demo(&shop, "5000");
    assert!(orders(&second) > few * 5, "{few} before");
}
