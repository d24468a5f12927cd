//! SIGTERM under load: what was begun is answered in full, what rests is closed.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::mpsc::channel,
    thread,
};

use samovar_testkit::wait;

use crate::{
    http::get,
    shop::{LIMIT, Shop},
};

const SALES: &str = "GET /v1/widgets/sales?tenant=north HTTP/1.1\r\nhost: x\r\n\r\n";

struct Client(TcpStream);

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        Self(stream)
    }

    fn send(&mut self, bytes: &str) -> bool {
        self.0.write_all(bytes.as_bytes()).is_ok()
    }

    /// The status line of a whole answer; `None` when the connection ended before its first byte. An
    /// answer that is cut off panics.
    fn answer(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) if head.is_empty() => return None,
                Err(error) if head.is_empty() && error.kind() == ErrorKind::ConnectionReset => {
                    return None;
                }
                cut => panic!("cut off: {cut:?} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).expect("text");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.expect("a length").parse().expect("a number");
        self.0.read_exact(&mut vec![0; length]).expect("the whole body");
        head.lines().next().map(str::to_owned)
    }
}

#[test]
fn what_was_begun_is_answered_and_what_rests_is_closed() {
    let shop = Shop::new();
    let served = shop.serve();
    assert_eq!(get(&served.address, "/v1/widgets/sales?tenant=north", &[]).status, 200);
    let connect = || Client::connect(&served.address);

    let (tell, begun_to_load) = channel();
    let loaded: Vec<_> = (0..32)
        .map(|_| {
            let (mut client, tell) = (connect(), tell.clone());
            thread::spawn(move || {
                let mut answers = 0;
                while client.send(SALES) {
                    match client.answer() {
                        Some(status) => assert_eq!(status, "HTTP/1.1 200 OK"),
                        // It was closed between two requests.
                        None => break,
                    }
                    answers += 1;
                    if answers == 1 {
                        tell.send(()).expect("it is waited for");
                    }
                }
                answers
            })
        })
        .collect();
    let mut resting: Vec<_> = (0..8).map(|_| connect()).collect();
    for client in &mut resting {
        assert!(client.send(SALES));
        assert!(client.answer().is_some());
    }
    let mut silent: Vec<_> = (0..8).map(|_| connect()).collect();
    let (begin, rest) = SALES.split_at(30);
    // The first bytes of a request, alone and behind another request.
    let mut begun: Vec<_> = (0..16).map(|_| connect()).collect();
    for (index, client) in begun.iter_mut().enumerate() {
        if index % 2 == 0 {
            assert!(client.send(begin));
        } else {
            assert!(client.send(&format!("{SALES}{begin}")));
            assert!(client.answer().is_some());
        }
    }

    for _ in &loaded {
        begun_to_load.recv_timeout(LIMIT).expect("all of them are answered");
    }
    served.process.terminate().expect("it runs");
    wait::until(LIMIT, "the listener to close", || TcpStream::connect(&served.address).err())
        .expect("it takes no more connections");
    for client in resting.iter_mut().chain(&mut silent) {
        assert_eq!(client.answer(), None);
    }
    for client in &mut begun {
        assert!(client.send(rest));
        assert_eq!(client.answer().as_deref(), Some("HTTP/1.1 200 OK"));
        assert_eq!(client.answer(), None, "and is closed then");
    }
    for client in loaded {
        assert!(client.join().expect("no answer was cut off") > 0);
    }
    served.process.wait_for_success(LIMIT).expect("a good end");
    assert!(!served.process.stderr().contains("given up"), "{}", served.process.stderr());
}
