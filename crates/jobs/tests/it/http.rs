//! Jobs that are posted to a server that answers as it likes.

use samovar_clock::Random;
use samovar_jobs::{
    JobDetails, Policy, State,
    http::{Http, Target, Targets},
    run::{Registry, new_job},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::bench::Bench;

/// Answers each request with the next of `answers`, and tells what it was sent.
async fn server(answers: Vec<&'static str>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has one");
    let (sends, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("somebody connects");
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let read = stream.read_buf(&mut request).await.expect("it is sent");
                assert_ne!(read, 0, "{}", String::from_utf8_lossy(&request));
            }
            sends.send(String::from_utf8_lossy(&request).into_owned()).expect("somebody listens");
            let head = format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\nthe body");
            stream.write_all(head.as_bytes()).await.expect("somebody reads");
        }
    });
    (format!("http://{address}"), requests)
}

/// Posts one job there and waits for its end.
async fn post(to: &str, allowed: &str) -> JobDetails {
    let target =
        Target::new(allowed).expect("sound").authorization("Bearer s3cret").expect("plain");
    let targets = Targets::new(vec![target]).expect("a client");
    let registry = Registry::default().service(targets).with::<Http>().expect("one of its name");
    let bench = Bench::new().await;
    let worker = bench.work(registry, |_| {});
    let http = Http::new(to, &serde_json::json!({"order": 7})).expect("sound");
    let http = http.header("X-Shop", "9").expect("sound");
    let mut job = new_job(&http, &Random::System).expect("a job");
    job.policy = Policy { tries: 2, backoff: vec![].into(), ..Policy::DEFAULT };
    let details = bench.until_ended(bench.push_new(job).await).await;
    worker.drain().await;
    details
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_is_posted_until_the_answer_is_good() {
    let (url, mut requests) = server(vec!["500 Oh", "200 Fine"]).await;
    let details = post(&format!("{url}/jobs/invoice"), &url).await;
    assert_eq!((details.job.state, details.job.attempt), (State::Done, 2));
    let result = details.result.expect("the answer");
    assert_eq!(String::from_utf8_lossy(&result), r#"{"status":200,"body":"the body"}"#);
    assert!(details.history[0].reason.contains("500 Internal Server Error: the body"));
    let request = requests.recv().await.expect("it came").to_lowercase();
    let id = details.job.id;
    assert!(request.starts_with("post /jobs/invoice http/1.1\r\n"), "{request}");
    for header in [
        "x-shop: 9",
        "content-type: application/json",
        "authorization: bearer s3cret",
        "samovar-attempt: 1",
        &format!("samovar-job: {id}"),
        &format!("samovar-tenant: {}", details.job.tenant),
        &format!("idempotency-key: {id}"),
    ] {
        assert!(request.contains(header), "{header} is missing: {request}");
    }
    assert!(request.ends_with(r#"{"order":7}"#), "{request}");
    let second = requests.recv().await.expect("it came").to_lowercase();
    assert!(second.contains(&format!("idempotency-key: {id}")), "the same for both");
    assert!(second.contains("samovar-attempt: 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_allowed_is_not_even_tried_and_redirects_lead_nowhere() {
    let (url, _requests) = server(vec![]).await;
    let details = post(&format!("{url}/admin?key=k3y"), &format!("{url}/jobs/")).await;
    assert_eq!((details.job.state, details.job.attempt), (State::Failed, 1));
    let reason = details.job.reason.expect("a reason");
    assert!(reason.contains("/admin is none of the allowed targets"), "{reason}");
    assert!(!reason.contains("k3y"), "{reason}");

    let (url, _requests) =
        server(vec!["302 Found\r\nlocation: /", "302 Found\r\nlocation: /"]).await;
    let details = post(&url, &url).await;
    assert_eq!(details.job.state, State::Failed);
    assert!(details.job.reason.expect("a reason").contains("302"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_is_gone_later_is_later_and_nobody_there_is_an_error() {
    let (url, _requests) = server(vec!["410 Gone"]).await;
    let details = post(&url, &url).await;
    assert_eq!((details.job.state, details.job.attempt), (State::Failed, 1));

    let (url, _requests) = server(vec!["429 Slow\r\nretry-after: 0", "200 Fine"]).await;
    let details = post(&url, &url).await;
    assert_eq!((details.job.state, details.job.exceptions), (State::Done, 0));

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let url = format!("http://{}", listener.local_addr().expect("it has one"));
    drop(listener);
    let details = post(&format!("{url}/?key=k3y"), &url).await;
    assert_eq!((details.job.state, details.job.attempt), (State::Failed, 2));
    let reason = details.job.reason.expect("a reason");
    assert!(reason.contains("onnect") && !reason.contains("k3y"), "{reason}");
}
