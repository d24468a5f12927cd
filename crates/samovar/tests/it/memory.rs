//! `samovar memory watch` beside a server that works, fails, goes away and comes back.

use std::{fs, path::Path};

use samovar_testkit::{Process, wait};
use serde_json::{Value, json};

use crate::{
    http::{get, post},
    shop::{LIMIT, Shop},
};

/// Whole lines.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Lines like this beyond the first `seen`.
fn until(file: &Path, seen: usize, what: &str, is_so: impl Fn(&Value) -> bool) -> usize {
    let more = || {
        let lines = lines(file);
        lines.iter().skip(seen).any(&is_so).then_some(lines.len())
    };
    wait::until(LIMIT, what, more).expect("it comes")
}

fn interrupt(process: &Process) {
    let pid = i32::try_from(process.pid()).ok().and_then(rustix::process::Pid::from_raw);
    let sent = rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::INT);
    sent.expect("sent");
}

#[test]
fn without_a_server_there_is_nothing_to_watch() {
    let shop = Shop::new();
    let (code, said) = shop.ending(&["memory", "watch", "--duration", "1"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no server runs here") && said.contains("--url"), "{said}");
    for wrong in [["--threshold", "0"], ["--interval", "1ms"], ["--duration", "soon"]] {
        let (code, said) = shop.ending(&[&["memory", "watch"][..], &wrong].concat());
        assert_eq!(code, Some(2), "{said}");
    }
}

#[test]
fn samples_are_lines_with_system_process_jobs_and_queues() {
    let shop = Shop::new();
    let served = shop.serve();
    let file = shop.path("memory.jsonl");
    fs::write(&file, "{\"cut\":").expect("written");
    let output = file.display().to_string();
    let watch =
        ["memory", "watch", "--interval", "100ms", "--duration", "500ms", "--output", &output];
    let said = shop.said(&watch);
    assert!(said.contains(" samples and 0 failures in "), "{said}");
    let text = fs::read_to_string(&file).expect("a file");
    let (cut, rest) = text.split_once('\n').expect("lines");
    assert_eq!(cut, "{\"cut\":", "what stood there stays");
    let samples: Vec<Value> =
        rest.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    assert!((2..=6).contains(&samples.len()), "{}", samples.len());
    for sample in &samples {
        assert!(
            sample["system"]["total_bytes"].is_u64() && sample["process"]["rss_bytes"].is_u64()
        );
        assert_eq!(sample["budget"]["total_bytes"], 512 << 20);
        assert_eq!((&sample["jobs"], &sample["alerts"]), (&json!([]), &json!([])));
        assert!(sample["queues"].is_array() && sample["firing"].is_array(), "{sample}");
    }
    // By its address, as one on Redis is reached.
    let url = format!("http://{}", served.address);
    let said = shop.said(&["memory", "watch", "--duration", "10ms", "--url", &url]);
    let sample = said.lines().next().expect("a sample");
    let sample: Value = serde_json::from_str(sample).expect("JSON");
    assert!(sample["process"]["rss_bytes"].is_u64(), "{sample}");
    let history = get(&served.address, "/v1/memory?history=true", &[]).json();
    assert!(history["history"][0]["rss_bytes"].is_u64(), "{history}");
}

/// A warm-up that takes long enough to be seen, and fails in the end: it holds more than a hundred
/// thousandth of its limit.
#[test]
fn a_threshold_that_is_crossed_ends_with_3_and_jobs_that_fail_end_nothing() {
    let shop = Shop::new();
    let slow = "query = \"with recursive n(i) as (select 1 union all select i + 1 from n where i < \
                3000000) select (select max(i) from n) as n, json_extract(note, '$.x') as x from \
                orders where :tenant <> ''\"";
    let broken =
        "query = \"select json_extract(note, '$.x') as x from orders where :tenant <> ''\"";
    shop.change_config(broken, slow);
    let served = shop.serve();
    let file = shop.path("memory.jsonl");
    let output = file.display().to_string();
    let watch = shop.start(&[
        "memory",
        "watch",
        "--interval",
        "20ms",
        "--threshold",
        "0.00001",
        "--output",
        &output,
    ]);
    until(&file, 0, "a sample", |it| it["process"].is_object());
    let body = json!({ "widgets": ["broken"], "tenants": ["north"] });
    assert_eq!(post(&served.address, "/v1/warm", &body).status, 202);
    let near = |it: &Value| it["alerts"][0]["alert"] == "near_limit";
    let seen = until(&file, 0, "the alert", near);
    // The job has failed, and is seen no more.
    let seen = until(&file, seen, "its end", |it| it["jobs"] == json!([]));
    until(&file, seen, "another sample", |it| it["process"].is_object());
    interrupt(&watch);
    let status = watch.wait(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(3), "{}", watch.stderr());
    let line = served.process.stderr();
    let line =
        line.lines().find_map(|line| line.split_once("samovar::memory: ")).expect("a line").1;
    let fields = line.split(' ').filter_map(|field| field.split_once('=')).map(|(name, _)| name);
    let names = [
        "job",
        "operation",
        "current_memory_mb",
        "peak_memory_mb",
        "memory_limit_mb",
        "usage_percentage",
    ];
    assert_eq!(fields.collect::<Vec<_>>(), names, "these and no others: {line}");
    let text = fs::read_to_string(&file).expect("a file");
    assert!(text.ends_with('\n') && lines(&file).len() == text.lines().count());
}

#[test]
fn watching_goes_on_while_the_server_is_away() {
    let shop = Shop::new();
    let served = shop.serve();
    let file = shop.path("memory.jsonl");
    let output = file.display().to_string();
    let watch = shop.start(&["memory", "watch", "--interval", "50ms", "--output", &output]);
    let seen = until(&file, 0, "a sample", |it| it["process"].is_object());
    served.process.terminate().expect("told");
    assert!(served.process.wait(LIMIT).expect("it ends").success());
    let seen = until(&file, seen, "a failure", |it| it["error"].is_string());
    let _served = shop.serve();
    until(&file, seen, "a sample of the next server", |it| it["process"].is_object());
    interrupt(&watch);
    assert_eq!(watch.wait(LIMIT).expect("it ends").code(), Some(0), "{}", watch.stderr());
}
