//! `samovar demo` in a folder of its own.

use std::process::{Command, Stdio};

use rusqlite::Connection;
use samovar_testkit::{Process, wait};
use serde_json::{Value, json};

use crate::{
    http::{Response, get, send},
    shop::{LIMIT, Served, Shop},
};

/// A running demo, with what it printed.
pub(crate) struct Demo {
    pub(crate) served: Served,
    pub(crate) said: String,
}

impl Demo {
    pub(crate) fn start(shop: &Shop, options: &[&str]) -> Self {
        let folder = shop.path("demo").display().to_string();
        let demo = ["demo", "--data-dir", &folder, "--listen", "127.0.0.1:0"];
        let served = Served::of(shop.start(&[&demo, options].concat()));
        // The last line.
        served.process.hear("How the cache fares:", LIMIT).expect("it is printed");
        served.process.hear("$ ", LIMIT).expect("one more");
        let said = served.process.stdout();
        Self { served, said }
    }

    /// Of the lines that a shell takes, what they are.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.said.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
    }

    pub(crate) fn token(&self) -> String {
        let token = self.lines().into_iter().find_map(|line| line.strip_prefix("TOKEN="));
        token.expect("a token is printed").to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        let header = format!("authorization: Bearer {}", self.token());
        get(&self.served.address, path, &[&header])
    }

    fn total(&self, tenant: &str, range: &str) -> Value {
        let path = format!("/v1/widgets/sales_summary?tenant={tenant}&range={range}");
        self.get(&path).json()["data"]["totals"]["orders"].clone()
    }
}

/// One shell, in which variables hold from line to line; what it wrote.
pub(crate) fn in_a_shell(lines: &[&str]) -> Vec<String> {
    const MARK: &str = "-- the next line --";
    let script: String =
        lines.iter().map(|line| format!("{line} || exit 1\necho '{MARK}'\n")).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    let shell = Process::spawn(shell).expect("a shell");
    shell.wait_for_success(LIMIT).expect("each line is carried out");
    let said = shell.stdout();
    let parts: Vec<String> = said.split(MARK).map(|part| part.trim().to_owned()).collect();
    parts[..parts.len() - 1].to_vec()
}

/// The head of an answer and its body, as `curl -i` prints them.
fn head_and_body(answer: &str) -> (&str, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or(("", answer));
    (head, serde_json::from_str(body).unwrap_or_else(|_| panic!("it is JSON: {answer}")))
}

#[test]
fn a_shell_takes_the_lines_that_the_demo_prints_and_a_change_of_the_table_shows_by_itself() {
    let shop = Shop::new();
    let demo = Demo::start(&shop, &["--orders", "2000"]);
    assert!(demo.said.contains("2000 orders of north and 200 of south in "), "{}", demo.said);
    assert!(demo.said.contains("\neverything is warm, in "), "{}", demo.said);
    // Silent, and failing where the answer is no success.
    let lines: Vec<String> = demo
        .lines()
        .iter()
        .map(|it| it.replacen("curl ", "curl -sS --fail-with-body ", 1))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let [token, reading, product, board, change, changed, synced, fares] = lines[..] else {
        panic!("eight lines: {lines:?}")
    };
    let before = in_a_shell(&[token, reading, product, board, changed]);
    let (head, answer) = head_and_body(&before[1]);
    assert!(head.contains("samovar-state: fresh") && head.contains("samovar-tier: "), "{head}");
    assert!(!head.contains("samovar-tier: computed"), "it was warmed: {head}");
    assert!(answer["data"]["totals"]["orders"].as_u64() > Some(0), "{answer}");
    assert_eq!(head_and_body(&before[2]).1["params"]["channel"], "web");
    let tiles = head_and_body(&before[3]).1["widgets"].as_array().map(Vec::len);
    assert_eq!(tiles, Some(8));
    let revenue = |answer: &str| head_and_body(answer).1["data"]["totals"]["revenue"].as_f64();
    let old = revenue(&before[4]).expect("a sum");

    in_a_shell(&[change]);
    wait::until(LIMIT, "the change", || {
        let now = revenue(&in_a_shell(&[token, changed])[1]).expect("a sum");
        ((now - old - 1000.0).abs() < 0.01).then_some(())
    })
    .expect("it is seen");
    let after = in_a_shell(&[token, synced, fares]);
    assert!(head_and_body(&after[1]).1.is_object(), "{}", after[1]);
    assert!(head_and_body(&after[2]).1["widgets"].is_object(), "{}", after[2]);
}

#[test]
fn there_are_as_many_orders_as_promised_in_each_range() {
    let shop = Shop::new();
    let demo = Demo::start(&shop, &[]);
    let expected = [("1d", 237), ("yesterday", 226), ("7d", 1826), ("30d", 7658), ("90d", 10_834)];
    for (range, orders) in expected {
        assert_eq!(demo.total("north", range), json!(orders), "{range}");
    }
    assert_eq!(demo.total("north", "1100d"), json!(20_425));
}

#[test]
fn the_link_signs_a_browser_in_once() {
    let shop = Shop::new();
    let demo = Demo::start(&shop, &["--orders", "100"]);
    let address = &demo.served.address;
    assert_eq!(get(address, "/", &[]).status, 401);
    let prefix = format!("http://{address}/");
    let link = demo.said.lines().find_map(|line| line.strip_prefix(&prefix)).expect("a link");
    let link = format!("/{link}");
    let followed = get(address, &link, &[]);
    assert_eq!(followed.status, 200);
    assert!(String::from_utf8_lossy(&followed.body).contains("content=\"0;url=/\""));
    let cookie = followed.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let page = get(address, "/", &[&format!("cookie: {cookie}")]);
    assert_eq!(page.status, 200);
    assert_eq!(get(address, &link, &[]).error(401)["code"], "invalid_link");
    let audit = demo.get("/v1/audit-log").json();
    let newest: Vec<&Value> = audit["entries"].as_array().expect("a list").iter().take(2).collect();
    let told = |it: &Value| (it["what"].clone(), it["detail"].clone(), it["outcome"].clone());
    assert_eq!(told(newest[0]), (json!("GET /sign-in"), json!(null), json!("refused")));
    assert_eq!(told(newest[1]), (json!("GET /sign-in"), json!("user demo"), json!("done")));
}

#[test]
fn other_orders_are_not_hidden_by_what_was_cached_of_the_first_and_changes_outlive_a_restart() {
    let shop = Shop::new();
    let stop = |demo: Demo| {
        demo.served.process.terminate().expect("it runs");
        demo.served.process.wait_for_success(LIMIT).expect("a good end");
    };
    let first = Demo::start(&shop, &["--orders", "500"]);
    assert_eq!(first.total("north", "1100d"), json!(500));
    stop(first);
    let second = Demo::start(&shop, &["--orders", "1000"]);
    assert_eq!(second.total("north", "1100d"), json!(1000));
    stop(second);
    let database = Connection::open(shop.path("demo/shop.db")).expect("it opens");
    database.execute("delete from orders where id in (select id from orders where tenant_id = 'north' limit 10)", []).expect("deleted");
    let third = Demo::start(&shop, &["--orders", "1000"]);
    wait::until(LIMIT, "what changed meanwhile", || {
        (third.total("north", "1100d") == json!(990)).then_some(())
    })
    .expect("it is seen");
}

#[test]
fn what_was_synced_is_warmed_by_a_batch_of_that_name_on_low() {
    let shop = Shop::new();
    let demo = Demo::start(&shop, &["--orders", "100"]);
    let token = format!("authorization: Bearer {}", demo.token());
    let headers = [token.as_str(), "content-type: application/json"];
    let event = json!({ "name": "orders.synced", "tenant": "north" }).to_string();
    let raised = send(&demo.served.address, "POST /v1/events", &headers, &event).answer().json();
    let id = raised["warming"][0]["batch"].as_str().expect("a batch").to_owned();
    let finished = || {
        let batch = demo.get(&format!("/v1/batches/{id}")).json();
        batch["finished_ms"].is_u64().then_some(batch)
    };
    let batch = wait::until(LIMIT, "the batch", finished).expect("it ends");
    let shown = ["name", "queue", "tenant", "state"].map(|it| batch[it].clone());
    assert_eq!(shown, ["warm-metrics-cache", "low", "north", "done"].map(|it| json!(it)));
    let jobs = demo.get(&format!("/v1/jobs?batch={id}")).json();
    let job = jobs["jobs"][0]["id"].as_str().expect("a job").to_owned();
    let policy = demo.get(&format!("/v1/jobs/{job}")).json()["policy"].clone();
    let bounds = ["tries", "timeout", "max_exceptions"].map(|it| policy[it].clone());
    assert_eq!(bounds, [3, 120_000, 3].map(|it| json!(it)), "{policy}");
    // It is told with how many ranges there were.
    let completed = || {
        let said = demo.served.process.stderr();
        let mut lines = said.lines().filter(|it| it.contains("cache warming batch completed"));
        lines.any(|it| it.contains(&id) && it.contains("periods=")).then_some(())
    };
    wait::until(LIMIT, "its end to be told", completed).expect("it is logged");
}
