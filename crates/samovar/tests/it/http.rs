//! One request over one connection, and its answer in full.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A request that was sent, and is not yet answered.
pub(crate) struct Pending(TcpStream);

pub(crate) fn get(address: &str, path: &str, headers: &[&str]) -> Response {
    send(address, &format!("GET {path}"), headers, "").answer()
}

pub(crate) fn post(address: &str, path: &str, body: &Value) -> Response {
    let headers = ["content-type: application/json"];
    send(address, &format!("POST {path}"), &headers, &body.to_string()).answer()
}

pub(crate) fn send(address: &str, line: &str, headers: &[&str], body: &str) -> Pending {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    let mut request = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    request.push_str(&format!("content-length: {}\r\n", body.len()));
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str(&format!("\r\n{body}"));
    stream.write_all(request.as_bytes()).expect("the request is taken");
    Pending(stream)
}

impl Pending {
    pub(crate) fn answer(mut self) -> Response {
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).expect("an answer within the limit");
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..end].to_vec()).expect("a readable head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Response {
            status: status.parse().expect("a number"),
            headers: headers.map(|(name, value)| (name.into(), value.into())).collect(),
            body: answer[end + 4..].to_vec(),
        }
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The code of an error, its status checked.
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json());
        self.json()["error"].clone()
    }
}
