//! What the README shows is what happens.

use crate::{
    http::get,
    shop::{LIMIT, Served, Shop},
};

const README: &str = include_str!("../../../../README.md");
const ADDRESS: &str = "127.0.0.1:7070";

/// The first block of a kind, without its fences.
fn block(kind: &str) -> &'static str {
    let (_, after) = README.split_once(&format!("```{kind}\n")).expect("there is one");
    after.split_once("```").expect("it ends").0
}

#[test]
fn the_calls_are_those_of_the_demo_and_so_are_the_answers() {
    let shop = Shop::new();
    let folder = shop.path("demo").display().to_string();
    let demo = shop.start(&["demo", "--data-dir", &folder, "--listen", "127.0.0.1:0"]);
    let demo = Served::of(demo);
    for call in 0..5 {
        let call = demo.process.hear("  curl ", LIMIT).unwrap_or_else(|_| panic!("call {call}"));
        let call = call.replace(&demo.address, ADDRESS);
        let shown = README.contains(&format!("$ curl {call}\n"))
            || README.contains(&format!("$ curl {}\n", call.trim_start_matches("-i ")));
        assert!(shown, "{call}");
    }
    let said = demo.process.stdout();
    let orders = said.split(" in ").next().expect("a first line");
    assert!(README.contains(orders), "{orders}");

    // Whole up to the place where the README leaves something out.
    let answers: Vec<_> = README.lines().filter(|line| line.starts_with("{\"widget\"")).collect();
    assert_eq!(answers.len(), 2);
    for (path, shown) in [
        ("sales_by_channel?tenant=north", answers[0]),
        ("top_products?tenant=north&channel=web", answers[1]),
    ] {
        let answer = get(&demo.address, &format!("/v1/widgets/{path}"), &[]);
        let (start, end) = shown.split_once('…').expect("it is shortened");
        let body = String::from_utf8(answer.body.clone()).expect("it is JSON");
        assert!(body.starts_with(start) && body.ends_with(end), "{shown}\n{body}");
        if path.starts_with("sales") {
            assert!(README.contains(&format!("etag: {}", answer.header("etag"))));
        }
    }
}

#[test]
fn the_configuration_passes_the_check_and_its_mistake_is_told_as_shown() {
    let shop = Shop::new();
    let database = shop.database();
    database.execute("alter table orders add column day text", []).expect("a column");
    shop.write_config(block("toml"));
    assert_eq!(shop.ending(&["check"]).0, Some(0));
    shop.write_config(&block("toml").replace("params.since", "parms.since"));
    let (code, said) = shop.ending(&["check"]);
    assert_eq!(code, Some(3));
    assert!(README.contains(&said), "{said}");
}
