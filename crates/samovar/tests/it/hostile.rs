//! What clients should not send: refused in the client's words or by closing, never by an error of ours.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
};

use samovar_testkit::Process;

use crate::{
    http::{get, post, send},
    shop::{LIMIT, Served, Shop},
};

/// Everything that comes back until the connection ends.
fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    // It may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[test]
fn malformed_requests_are_refused() {
    let shop = Shop::new();
    let served = shop.serve();
    let long = "x".repeat(20_000);
    let cases: &[(String, &[&str])] = &[
        ("\r\n\r\n\r\n".into(), &["closed"]),
        ("hello\r\n\r\n".into(), &["400"]),
        ("\u{0}\u{1}\u{2}\u{16}\u{3}\u{1}".into(), &["400", "closed"]),
        ("GET / HTTP/9.9\r\n\r\n".into(), &["400"]),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n".into(), &["400"]),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\na: b\r\n c: d\r\n\r\n".into(), &["400"]),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), &["414", "431"]),
        (format!("GET / HTTP/1.1\r\nhost: x\r\na: {long}\r\n\r\n"), &["431"]),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200)), &["431"]),
        (post_with("content-length: 5\r\ncontent-length: 6\r\n", "{}   "), &["400"]),
        (post_with("content-length: -1\r\n", "{}"), &["400"]),
        (post_with("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), &["400"]),
        (post_with("transfer-encoding: gzip\r\n", "{}"), &["400", "411"]),
        (post_with("content-length: 2\r\ncontent-encoding: gzip\r\n", "{}"), &["422"]),
        (post_with("content-length: 2\r\ncontent-type: text/plain\r\n", "{}"), &["400"]),
    ];
    for (bytes, allowed) in cases {
        let answer = raw(&served.address, bytes.as_bytes());
        assert!(allowed.contains(&status(&answer)), "{bytes:.80?}: {answer:.200?}");
    }
    assert_eq!(get(&served.address, "/healthz", &[]).status, 200);
}

fn post_with(headers: &str, body: &str) -> String {
    let kind = match headers.contains("content-type") {
        true => "",
        false => "content-type: application/json\r\n",
    };
    format!("POST /v1/invalidate HTTP/1.1\r\nhost: x\r\n{kind}{headers}\r\n{body}")
}

#[test]
fn paths_and_parameters_play_no_tricks() {
    let shop = Shop::new();
    let served = shop.serve();
    for path in [
        "/v1/widgets/../../../etc/passwd",
        "/v1/widgets/..%2f..%2fetc%2fpasswd?tenant=north",
        "//v1/widgets",
        "/v1/widgets/",
        "/v1//widgets",
        "/V1/widgets",
        "/v1/widgets/sales/?tenant=north",
        "/v1/widgets/sales%00?tenant=north",
        "/v1/widgets/%73ales%0d%0aset-cookie:%20a=b?tenant=north",
        "/v1/widgets/sales?tenant=north%0d%0aset-cookie:%20a=b",
        "/v1/widgets/sales?tenant=..%2f..%2f",
        "/v1/widgets/sales?tenant=*",
        "/v1/boards/%F0%9F%AB%96?tenant=north",
    ] {
        let answer = get(&served.address, path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("set-cookie"), "", "{path}");
        assert!(answer.json()["error"]["code"].is_string(), "{path}");
    }
    for path in [
        "/v1/widgets/%ff%fe?tenant=north",
        "/v1/widgets/sales?tenant=north&tenant=south",
        "/v1/widgets/sales?tenant=north&channel=%00",
        "/v1/widgets/sales?tenant=north&chanel=web",
        "/v1/widgets/ranged?tenant=north&range=1..2..3",
    ] {
        let answer = get(&served.address, path, &[]);
        assert_eq!(answer.status, 400, "{path}: {}", answer.json());
    }
}

#[test]
fn sql_in_parameters_is_a_value() {
    let shop = Shop::new();
    let served = shop.serve();
    let all = get(&served.address, "/v1/widgets/sales?tenant=north", &[]).json();
    for value in ["'%20or%20'1'='1", "web'--", "'%3Bdrop%20table%20orders%3B--", "%22", "%25"] {
        let path = format!("/v1/widgets/sales?tenant=north&channel={value}");
        let answer = get(&served.address, &path, &[]);
        assert_eq!(answer.status, 200, "{value}");
        assert_eq!(answer.json()["data"]["rows"], serde_json::json!([]), "{value}");
    }
    assert_eq!(get(&served.address, "/v1/widgets/sales?tenant=north", &[]).json(), all);
}

#[test]
fn bodies_have_a_size_and_a_depth() {
    let shop = Shop::new();
    let served = shop.serve();
    let address = &served.address;
    let large = serde_json::json!({ "tags": ["x".repeat(300 << 10)] });
    assert_eq!(post(address, "/v1/invalidate", &large).error(413)["code"], "body_too_large");
    let deep = format!("{{\"name\":\"x\",\"data\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let kind = ["content-type: application/json"];
    let answer = send(address, "POST /v1/events", &kind, &deep).answer();
    assert_eq!(answer.status, 400, "{}", answer.json());
}

#[test]
fn the_first_page_links_to_what_can_be_read_and_runs_nothing() {
    let shop = Shop::new();
    shop.change_config("[widget.log]\n", "[widget.log]\ntitle = \"<script>alert(1)</script>\"\n");
    let served = shop.serve();
    let page = get(&served.address, "/?tenant=south", &[]);
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none';"));
    let text = String::from_utf8(page.body).expect("text");
    assert!(text.contains("&lt;script&gt;alert(1)") && !text.contains("<script"), "{text}");
    for link in text.split("href=\"").skip(1).filter_map(|it| it.split('"').next()) {
        if link.starts_with("/v1/widgets/broken") {
            continue; // Its query fails, as it should.
        }
        let answer = get(&served.address, &link.replace("&amp;", "&"), &[]);
        assert_eq!(answer.status, 200, "{link}");
    }
}

/// The story: whoever had said nothing of connections was told to raise a limit that was high enough.
#[test]
fn too_few_descriptors_are_told_to_whoever_asked_for_more_connections() {
    let shop = Shop::new();
    let serve = || {
        let mut shell = Command::new("sh");
        let line = "ulimit -n 1024 && exec \"$0\" serve --listen 127.0.0.1:0";
        shell.args(["-c", line, env!("CARGO_BIN_EXE_samovar")]).current_dir(shop.path("."));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let served = Served::of(Process::spawn(shell).expect("it starts"));
        assert_eq!(get(&served.address, "/healthz", &[]).status, 200);
        served.process.terminate().expect("it runs");
        served.process.wait_for_success(LIMIT).expect("a good end");
        served.process.stderr()
    };
    let said = serve();
    assert!(!said.contains("descriptors"), "{said}");
    shop.change_config("[cache]", "[server]\nmax_connections = 2000\n[cache]");
    let said = serve();
    let told = said.lines().filter(|line| line.contains("lower [server] max_connections"));
    assert_eq!(told.count(), 1, "{said}");
}
