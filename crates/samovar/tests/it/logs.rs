//! The log, as programs read it.

use serde_json::Value;

use crate::shop::{LIMIT, Served, Shop};

#[test]
fn each_line_of_a_log_for_programs_is_an_object() {
    let shop = Shop::new();
    let options = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];
    let served = Served::of(shop.start(&options));
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
    let log = served.process.stderr();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let is_stopping = |line: &&Value| {
        line["message"].as_str().is_some_and(|message| message.starts_with("stopping: "))
    };
    let stopping = lines.iter().find(is_stopping).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(stopping["level"], "INFO");
    assert!(stopping["timestamp"].is_string() && stopping["target"].is_string(), "{stopping}");
}
