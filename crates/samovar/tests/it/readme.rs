//! What the README shows is what happens.

use crate::{
    demo::{Demo, in_a_shell},
    shop::Shop,
};

const README: &str = include_str!("../../../../README.md");
const ADDRESS: &str = "127.0.0.1:7070";

/// The first block of a kind, without its fences.
fn block(kind: &str) -> &'static str {
    let (_, after) = README.split_once(&format!("```{kind}\n")).expect("there is one");
    after.split_once("```").expect("it ends").0
}

#[test]
fn a_shell_takes_the_calls_and_the_answer_is_the_one_that_is_shown() {
    let shop = Shop::new();
    let demo = Demo::start(&shop, &[]);
    let (_, section) = README.split_once("## Try it").expect("there is one");
    let (section, _) = section.split_once("The tests, in one command").expect("it ends");
    let orders = demo.said.split(" in ").next().expect("a first line");
    assert!(section.contains(orders), "{orders}");
    let database = shop.path("demo/shop.db").display().to_string();
    let calls = section.lines().filter_map(|line| line.strip_prefix("$ "));
    let calls: Vec<String> = calls
        .filter(|call| !call.starts_with("cargo "))
        .map(|call| call.replace(ADDRESS, &demo.served.address).replace("DATABASE", &database))
        .map(|call| call.replace("smv_...", &demo.token()))
        .map(|call| call.replacen("curl ", "curl -sS --fail-with-body ", 1))
        .collect();
    assert_eq!(calls.len(), 7, "{calls:?}");
    let answers = in_a_shell(&calls.iter().map(String::as_str).collect::<Vec<_>>());
    let (head, body) = answers[1].split_once("\r\n\r\n").expect("a head and a body");
    let shown = section.lines().find(|line| line.starts_with("{\"widget\"")).expect("it is shown");
    // Whole up to the place where the README leaves something out.
    let (start, end) = shown.split_once('…').expect("it is shortened");
    assert!(body.starts_with(start) && body.ends_with(end), "{shown}\n{body}");
    let shown_head = section.lines().skip_while(|line| !line.starts_with("HTTP/1.1 200"));
    let name = |line: &str| line.split(": ").next().unwrap_or_default().to_owned();
    let shown_head: Vec<String> =
        shown_head.take_while(|line| !line.is_empty()).map(name).collect();
    assert_eq!(head.lines().map(name).collect::<Vec<_>>(), shown_head, "{head}");
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
