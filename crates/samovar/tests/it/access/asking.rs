//! One connection to a server, over which one request after the other is sent.

use std::net::SocketAddr;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) struct Asking {
    address: SocketAddr,
    sender: SendRequest<Body>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    sender
}

impl Asking {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { address, sender: connect(address).await }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(uri);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.sender.ready().await.expect("still connected");
        let answer = self.sender.send_request(request.body(body).expect("a request")).await;
        let (parts, body) = answer.expect("an answer").into_parts();
        let body = match parts.headers.get(header::CONTENT_TYPE) {
            // It has no end: the connection has to go.
            Some(kind) if kind == "text/event-stream" => {
                self.sender = connect(self.address).await;
                Bytes::new()
            }
            _ => body.collect().await.expect("all of it").to_bytes(),
        };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// With a token, where there is one.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        uri: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let line = token.map(|token| format!("Bearer {token}"));
        let line = line.as_deref().map(|line| ("authorization", line));
        self.send(method, uri, line.as_slice(), body).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("it is JSON")
    }

    /// Of an error; empty where it is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn text(&self) -> String {
        format!("{:?} {}", self.headers, String::from_utf8_lossy(&self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }
}
