//! Clients that take their time: with what they ask, with its body, with its answer. The server's clock is
//! the test's, so that nobody waits for any of it.

use std::{io, sync::Arc, time::Duration};

use samovar_access::Settings;
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_server::limits;
use samovar_testkit::wait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::server::Shop;

const LIMIT: Duration = Duration::from_secs(60);

/// One whose answer is more than what the system keeps for a client.
const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }]

[source.shop]
url = "sqlite://shop.db"

[widget.long]
source = "shop"
query = "select hex(zeroblob(3900000)) as zeros where :tenant <> ''"
"#;

const LONG: &[u8] = b"GET /v1/widgets/long?tenant=north HTTP/1.1\r\nhost: x\r\n\r\n";

struct Slow {
    shop: Shop,
    clock: Arc<ManualClock>,
}

impl Slow {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
        let its = Clock::Manual(clock.clone());
        let shop = Shop::start_of(DEFINITIONS, Settings::default(), its).await;
        Self { shop, clock }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.shop.address).await.expect("it listens")
    }

    /// Lets a second of the server pass again and again, and each time does what a client does, until that
    /// says that the connection has ended. How much time had passed by then, at least.
    async fn seconds_until(&self, mut client: impl FnMut() -> bool) -> Duration {
        let mut passed = Duration::ZERO;
        let (clock, passing) = (&self.clock, &mut passed);
        wait::until_async(LIMIT, "the connection to end", || {
            let has_ended = client();
            if !has_ended {
                clock.advance(Duration::from_secs(1));
                *passing += Duration::from_secs(1);
            }
            std::future::ready(has_ended.then_some(()))
        })
        .await
        .expect("it ends");
        passed
    }

    /// Sends a byte each second, until the other side has said something, or has ended.
    async fn drip(&self, stream: &TcpStream) -> Duration {
        self.seconds_until(|| {
            let mut said = [0];
            match stream.try_read(&mut said) {
                // The first letter of an answer is put back by whoever reads on.
                Ok(_) => return true,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return true,
                Err(_) => {}
            }
            let _ = stream.try_write(b"x");
            false
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_ends_its_connection() {
    let slow = Slow::start().await;
    let mut stream = slow.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await.expect("taken");
    let passed = slow.drip(&stream).await;
    assert!(passed >= limits::HEADER_TIME, "after {passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_refused() {
    let slow = Slow::start().await;
    let mut stream = slow.connect().await;
    let head = "POST /v1/invalidate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("taken");
    let passed = slow.drip(&stream).await;
    assert!(passed >= limits::BODY_TIME, "after {passed:?}");
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).await.expect("an answer");
    // Its first letter was read above.
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("TTP/1.1 408 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_is_given_up() {
    let slow = Slow::start().await;
    let stream = slow.connect().await;
    // Their answers are far more than what the system keeps for a client.
    let mut requests = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000).into_bytes();
    let passed = slow
        .seconds_until(|| match stream.try_write(&requests) {
            Ok(count) => {
                requests.drain(..count);
                // Whatever comes behind the last request shows whether anybody is there.
                requests.push(b'x');
                false
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        })
        .await;
    assert!(passed >= limits::WRITE_TIME, "after {passed:?}");
}

/// The answer of `long`, known by its bytes: it is sent and not read, but for the first of it.
async fn untaken(slow: &Slow) -> (TcpStream, Vec<u8>) {
    let mut stream = slow.connect().await;
    let mut known = Vec::new();
    // By the router, by words that are new, by words, and in a piece of its own.
    for _ in 0..5 {
        stream.write_all(LONG).await.expect("taken");
        known = take_answer(&mut stream).await;
    }
    let its_date = "date: Thu, 31 Jul 2025 22:13:20 GMT";
    assert!(String::from_utf8_lossy(&known[..1024]).contains(its_date), "HTTP has written it");
    // One whose system has kept little so far.
    let mut stream = slow.connect().await;
    stream.write_all(LONG).await.expect("taken");
    stream.readable().await.expect("the first of it");
    (stream, known)
}

async fn take_answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut whole = None;
    while whole != Some(answer.len()) {
        assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0);
        whole = whole.or_else(|| {
            let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
            let head = String::from_utf8_lossy(&answer[..end]);
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            Some(end + 4 + length?.parse::<usize>().expect("a number"))
        });
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_that_nobody_takes_is_given_up() {
    let slow = Slow::start().await;
    let (stream, _) = untaken(&slow).await;
    let passed = slow
        .seconds_until(|| match stream.try_write(b"x") {
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        })
        .await;
    assert!(passed >= limits::WRITE_TIME, "after {passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_that_is_taken_late_is_whole() {
    let slow = Slow::start().await;
    let (mut stream, known) = untaken(&slow).await;
    slow.clock.advance(limits::WRITE_TIME / 2);
    assert!(take_answer(&mut stream).await == known);
    stream.write_all(LONG).await.expect("taken");
    take_answer(&mut stream).await;
}
