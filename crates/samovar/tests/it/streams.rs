//! Streams over HTTP: told of real changes, resumed, ended.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::{
    http::{get, post},
    shop::{LIMIT, Shop},
};

const SALES: &str = "sales?tenant=north";
const LOG: &str = "log?tenant=south";

/// An open stream. HTTP/1.0, so that its body comes as it is.
pub(crate) struct Stream(BufReader<TcpStream>);

#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    id: String,
    data: Value,
}

impl Stream {
    pub(crate) fn open(address: &str, last: &str) -> Self {
        let escape = |reading: &str| reading.replace('?', "%3F").replace('=', "%3D");
        let path = format!("/v1/stream?reading={}&reading={}", escape(SALES), escape(LOG));
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let head = format!("GET {path} HTTP/1.0\r\nlast-event-id: {last}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("taken");
        let mut stream = Self(BufReader::new(stream));
        assert_eq!(stream.line().as_deref(), Some("HTTP/1.0 200 OK"));
        while stream.line().is_some_and(|line| !line.is_empty()) {}
        stream
    }

    /// `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).expect("within the limit");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut id = String::new();
        loop {
            let line = self.line()?;
            if let Some(given) = line.strip_prefix("id: ") {
                given.clone_into(&mut id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some(Event { id, data: serde_json::from_str(data).expect("JSON") });
            }
        }
    }

    /// The first of each reading, in any order: what they are, and the last id.
    pub(crate) fn both(&mut self) -> (Vec<Value>, String) {
        let [first, second] = [(); 2].map(|()| self.next().expect("an event"));
        let mut data = vec![first.data, second.data];
        data.sort_by_key(|it| it["reading"] != json!(SALES));
        (data, second.id)
    }
}

fn change_orders(address: &str) {
    let change = json!({ "tenant": "north", "tags": ["orders"] });
    assert_eq!(post(address, "/v1/invalidate", &change).status, 200);
}

fn etag(address: &str, reading: &str) -> String {
    get(address, &format!("/v1/widgets/{reading}"), &[]).header("etag").to_owned()
}

#[test]
fn a_stream_tells_of_each_real_change_and_of_nothing_else() {
    let shop = Shop::new();
    let served = shop.serve();
    let mut stream = Stream::open(&served.address, "");
    let (first, _) = stream.both();
    let expected = |reading: &str| {
        let etag = etag(&served.address, reading);
        json!({ "reading": reading, "etag": etag, "state": "fresh" })
    };
    assert_eq!(first, [expected(SALES), expected(LOG)]);

    // Computed anew, and equal: had anybody been told, it would come before what follows.
    change_orders(&served.address);
    let statistics = || get(&served.address, "/v1/cache/stats", &[]).json();
    samovar_testkit::wait::until(LIMIT, "the refresh", || {
        (statistics()["widgets"]["sales"]["computes"] == 2).then_some(())
    })
    .expect("what is watched is refreshed");
    shop.order(10);
    change_orders(&served.address);
    let second = stream.next().expect("an event").data;
    assert_eq!(second, expected(SALES));
    assert_ne!(second, first[0]);
}

#[test]
fn who_comes_back_is_told_what_has_changed_meanwhile() {
    let shop = Shop::new();
    let served = shop.serve();
    let (first, id) = Stream::open(&served.address, "").both();
    shop.order(10);
    change_orders(&served.address);
    let mut stream = Stream::open(&served.address, &id);
    let event = stream.next().expect("an event");
    assert_eq!(event.data["reading"], SALES);
    assert_ne!(event.data["etag"], first[0]["etag"]);
    // Of the other reading nothing was said in between.
    shop.order(20);
    change_orders(&served.address);
    assert_eq!(stream.next().expect("an event").data["reading"], SALES);
}

#[test]
fn streams_end_with_the_server_and_do_not_hold_it_up() {
    let shop = Shop::new();
    let served = shop.serve();
    let mut streams: Vec<_> = (0..20).map(|_| Stream::open(&served.address, "")).collect();
    for stream in &mut streams {
        stream.both();
    }
    served.process.terminate().expect("it runs");
    for stream in &mut streams {
        assert_eq!(stream.next(), None);
    }
    served.process.wait_for_success(LIMIT).expect("a good end");
    assert!(!served.process.stderr().contains("given up"), "{}", served.process.stderr());
}

#[test]
fn a_reading_that_is_none_is_told_with_its_place() {
    let shop = Shop::new();
    let served = shop.serve();
    let refused = |query: &str, status| {
        get(&served.address, &format!("/v1/stream?{query}"), &[]).error(status)
    };
    assert_eq!(refused("", 400)["code"], "missing_param");
    assert_eq!(refused("widget=sales", 400)["code"], "unknown_param");
    assert_eq!(refused("reading=sales", 400)["code"], "missing_tenant");
    let error = refused("reading=sales?tenant=north&reading=sale?tenant=north", 404);
    assert_eq!((&error["code"], &error["index"]), (&json!("unknown_widget"), &json!(1)));
    let many = vec!["reading=sales?tenant=north"; 101].join("&");
    assert_eq!(refused(&many, 400)["code"], "too_many_readings");
}
