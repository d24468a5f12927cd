//! Requests that are known by their bytes: answered as through HTTP and the router, and only while that
//! would answer them so. The server's clock is the test's and stands still, so that what was asked stays
//! known; and what the router answers has the date of the system, and what it did not has that of this clock.

use std::{sync::Arc, time::Duration};

use samovar_access::{Role, Settings};
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_server::limits;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};

use super::server::Shop;

const LIMIT: Duration = Duration::from_secs(60);
const NOW: WallTime = WallTime::from_millis(1_754_000_000_000);
const ITS_DATE: &str = "date: Thu, 31 Jul 2025 22:13:20 GMT";

struct Known {
    shop: Shop,
    clock: Arc<ManualClock>,
    token: String,
}

impl Known {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let settings = Settings { required: true, ..Settings::default() };
        let shop = Shop::start_by(settings, Clock::Manual(clock.clone())).await;
        let token = shop.token(Role::Viewer, &["north"]).await;
        Self { shop, clock, token }
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.shop.address).await.expect("it listens");
        Client(BufStream::new(stream))
    }

    /// A request for a reading, with more lines.
    fn asking(&self, lines: &str) -> String {
        self.asking_by("HTTP/1.1", lines)
    }

    fn asking_by(&self, version: &str, lines: &str) -> String {
        let token = &self.token;
        format!(
            "GET /v1/widgets/total?tenant=north {version}\r\nhost: x\r\n\
             authorization: Bearer {token}\r\n{lines}\r\n"
        )
    }

    /// Asks until its bytes are known.
    async fn learn(&self, request: &str) -> Client {
        let mut client = self.connect().await;
        client.ask_until_known(request).await;
        client
    }
}

struct Client(BufStream<TcpStream>);

#[derive(PartialEq, Eq, Debug)]
struct Answer {
    head: Vec<String>,
    body: String,
}

impl Answer {
    fn is_known(&self) -> bool {
        self.head.iter().any(|line| line == ITS_DATE)
    }

    fn status(&self) -> &str {
        self.head[0].split(' ').nth(1).expect("a status")
    }

    fn but_its_date(&self) -> (Vec<&String>, &str) {
        (self.head.iter().filter(|line| !line.starts_with("date: ")).collect(), &self.body)
    }
}

impl Client {
    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.expect("taken");
        self.0.flush().await.expect("taken");
    }

    /// `None` where the connection has ended.
    async fn answer(&mut self) -> Option<Answer> {
        Clock::System.timeout(LIMIT, self.next()).await.expect("in time")
    }

    async fn next(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.expect("a line") == 0 {
                assert_eq!(head, Vec::<String>::new(), "cut off");
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |it| it.parse().expect("a number"))];
        self.0.read_exact(&mut body).await.expect("all of it");
        Some(Answer { head, body: String::from_utf8(body).expect("text") })
    }

    /// The last answer that was given by its words, and the first one that was not.
    async fn ask_until_known(&mut self, request: &str) -> (Answer, Answer) {
        let mut before = self.ask(request).await;
        // By the router, by words that are seen for the first time, and in a piece that HTTP was at.
        for _ in 0..4 {
            let answer = self.ask(request).await;
            if answer.is_known() {
                return (before, answer);
            }
            before = answer;
        }
        panic!("it is never known: {request}");
    }

    async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await.expect("an answer")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_answered_as_the_router_answers_them() {
    let known = Known::start().await;
    for lines in ["", "connection: Keep-Alive\r\n", "accept-encoding: zstd\r\n"] {
        let (request, mut client) = (known.asking(lines), known.connect().await);
        let (before, answer) = client.ask_until_known(&request).await;
        assert_eq!((before.status(), before.is_known()), ("200", false), "{lines}");
        assert_eq!(answer.but_its_date(), before.but_its_date());
        // Whatever the connection.
        assert_eq!(known.connect().await.ask(&request).await, answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_is_not_sent_again() {
    let known = Known::start().await;
    let first = known.connect().await.ask(&known.asking("")).await;
    let tag = first.head.iter().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    let request = known.asking(&format!("if-none-match: {tag}\r\n"));
    let mut client = known.learn(&request).await;
    let answer = client.ask(&request).await;
    assert_eq!((answer.status(), answer.body.as_str()), ("304", ""));
    // A line more, which nobody knows.
    let routed = client.ask(&known.asking(&format!("if-none-match: {tag}\r\nx: y\r\n"))).await;
    assert!(!routed.is_known());
    assert_eq!(answer.but_its_date(), routed.but_its_date());
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_known_no_longer_than_their_words() {
    let known = Known::start().await;
    let request = known.asking("");
    let mut client = known.learn(&request).await;
    known.clock.advance(limits::REPEATED_FOR);
    let answer = client.ask(&request).await;
    assert_eq!(answer.status(), "200");
    let later = ITS_DATE.replace(":20 GMT", ":21 GMT");
    assert!(!answer.head.contains(&later), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_or_invalidated_is_not_answered() {
    let known = Known::start().await;
    let request = known.asking("");
    let mut client = known.learn(&request).await;
    let owner = known.shop.token(Role::Owner, &["north"]).await;
    let body = r#"{"tenant":"north","tags":["orders"]}"#;
    let change = format!(
        "POST /v1/invalidate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {owner}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(known.connect().await.ask(&change).await.status(), "200");
    let answer = client.ask(&request).await;
    assert!(answer.head.iter().any(|line| line == "samovar-tier: computed"), "{answer:?}");
    let mut client = known.learn(&request).await;
    for token in known.shop.access.tokens().await.expect("a list") {
        known.shop.access.revoke_token(token.id).await.expect("revoked");
    }
    assert_eq!(client.ask(&request).await.status(), "401");
}

/// Several in one piece, and one in several.
#[tokio::test(flavor = "multi_thread")]
async fn each_is_answered_once_however_it_comes() {
    let known = Known::start().await;
    let request = known.asking("");
    let mut client = known.learn(&request).await;
    for _ in 0..5 {
        client.send(&request.repeat(3)).await;
        for _ in 0..3 {
            assert_eq!(client.answer().await.expect("an answer").status(), "200");
        }
    }
    // Whoever knew the first piece by its bytes would answer it.
    for _ in 0..5 {
        let (begin, end) = request.split_at(20);
        client.send(begin).await;
        assert_eq!(known.connect().await.ask(&request).await.status(), "200");
        client.send(end).await;
        assert_eq!(client.answer().await.expect("an answer").status(), "200");
    }
    // Nothing more comes: the next answer is that to the next question.
    client.send("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let answer = client.answer().await.expect("an answer");
    assert!(!answer.body.contains("total"), "{answer:?}");
    assert_eq!(client.answer().await, None);
}

/// More than HTTP takes in at a time.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_of_what_comes_in_one_piece() {
    let known = Known::start().await;
    let short = known.asking("");
    let mut client = known.learn(&short).await;
    // It reads more at a time where it has just read much.
    for bytes in [800, 1600, 2400, 3200] {
        let long = known.asking(&format!("x: {}\r\n", "y".repeat(bytes)));
        known.learn(&long).await;
        client.send(&(long.repeat(15) + &short.repeat(300))).await;
        for number in 0..315 {
            assert_eq!(client.answer().await.expect("an answer").status(), "200", "{number}");
        }
    }
}

/// What comes behind a head belongs to it, or ends the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_more_than_its_head_is_never_known() {
    let known = Known::start().await;
    let with_body = known.asking("content-length: 5\r\n") + "hello";
    let mut client = known.connect().await;
    for _ in 0..6 {
        let answer = client.ask(&with_body).await;
        assert_eq!((answer.status(), answer.is_known()), ("200", false));
    }
    for (version, lines) in [("HTTP/1.1", "connection: close\r\n"), ("HTTP/1.0", "")] {
        let request = known.asking_by(version, lines);
        for _ in 0..5 {
            let mut client = known.connect().await;
            assert_eq!(client.ask(&request).await.status(), "200", "{version} {lines}");
            assert_eq!(client.answer().await, None, "{version} {lines}");
        }
    }
}
