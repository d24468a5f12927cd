//! How a command reaches what it is about: through the socket of the server that owns the folder, or
//! with an engine of its own. Both answer the same requests.

use std::{io, path::Path, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use samovar_clock::Clock;
use samovar_engine::Ask;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tower::ServiceExt;

use crate::{
    arguments::{Global, ServerArguments},
    config::{Config, Store},
    failure::Failure,
    serve::DRAIN,
    state::State,
    working::Working,
};

/// The name of the owner's socket in its folder.
pub(crate) const SOCKET: &str = "samovar.sock";
/// Bytes of an answer. More is not what a command can show.
const MOST_BYTES: usize = 64 << 20;
/// A server that does not take a connection within this time is not there.
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) enum Reach {
    Server(Server),
    Own(Own),
}

/// A running server that is looked at, again and again.
#[derive(Debug)]
pub(crate) enum Watched {
    /// That owns the folder of this configuration.
    Owner(Box<Config>),
    At {
        url: String,
        token: Option<String>,
    },
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Server {
    sender: hyper::client::conn::http1::SendRequest<Body>,
    host: String,
    /// None is needed at the owner's socket.
    token: Option<HeaderValue>,
}

/// An engine for one command.
#[derive(Debug)]
pub(crate) struct Own {
    router: Router,
    state: State,
    /// Its jobs run here as well.
    working: Option<Working>,
}

impl Reach {
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        Self::open_as(config, false).await
    }

    /// [`Reach::open`], and where there is no server to do it jobs run here until this is closed.
    /// Schedules are left to servers.
    pub(crate) async fn open_working(config: &Config) -> Result<Self, Failure> {
        Self::open_as(config, true).await
    }

    async fn open_as(config: &Config, working: bool) -> Result<Self, Failure> {
        if let Some(owner) = Self::owner(config).await? {
            return Ok(owner);
        }
        let catalogue = config.catalogue(Ask::Nobody).await?;
        let state = State::open(config).await?;
        let started = state.engine(config, catalogue).and_then(|engine| {
            let start = || Working::start(Some(&config.workers), &engine, &state, None);
            Ok((
                working.then(start).transpose()?,
                samovar_server::Server::router(engine.clone(), state.access.clone()),
            ))
        });
        match started {
            Ok((working, router)) => Ok(Reach::Own(Own { router, state, working })),
            Err(failure) => {
                state.close().await;
                Err(failure)
            }
        }
    }

    /// The server that owns the folder; nothing where there is none, or no folder.
    pub(crate) async fn owner(config: &Config) -> Result<Option<Self>, Failure> {
        let Store::Embedded { folder } = &config.store else { return Ok(None) };
        let Some(stream) = connect(&folder.join(SOCKET)).await? else { return Ok(None) };
        let server = Server::over(stream, "localhost".to_owned(), None).await?;
        Ok(Some(Reach::Server(server)))
    }

    /// A server somewhere, by what it is called in a browser.
    pub(crate) async fn at(url: &str, token: Option<&str>) -> Result<Self, Failure> {
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let Some(host) = host.filter(|host| !host.is_empty() && !host.contains(['/', '@'])) else {
            return Err(Failure::Use(format!(
                "`{url}` is no address: write it like http://127.0.0.1:7070"
            )));
        };
        let bearer = |token: &str| {
            let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Failure::Use("what was given as a token is none".to_owned()))?;
            bearer.set_sensitive(true);
            Ok(bearer)
        };
        let token = token.map(bearer).transpose()?;
        let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let connected = Clock::System.timeout(CONNECT, TcpStream::connect(&address)).await;
        let silent = |_| Err(io::ErrorKind::TimedOut.into());
        let stream = connected.unwrap_or_else(silent);
        let stream =
            stream.map_err(|error| Failure::failed(format!("connecting to {url}"), error))?;
        Ok(Reach::Server(Server::over(stream, host.to_owned(), token).await?))
    }

    /// [`Reach::get`], with what is said where it is refused.
    pub(crate) async fn get_or_refusal(&mut self, path: &str) -> Result<Value, Failure> {
        match self.get(path, &[]).await {
            Err(Failure::Refused { error }) => Ok(error),
            answer => answer,
        }
    }

    pub(crate) async fn get(
        &mut self,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Value, Failure> {
        let uri = if query.is_empty() {
            path.to_owned()
        } else {
            let pairs =
                query.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
            format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
        };
        self.send(Method::GET, &uri, Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Body::from(body.to_string())).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    async fn send(&mut self, method: Method, uri: &str, body: Body) -> Result<Value, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| Failure::failed("making a request", error))?;
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::Failed(anyhow::anyhow!("reading the answer: {error}"))
        };
        let (status, bytes) = match self {
            Reach::Server(Server { sender, host, token }) => {
                let failed = |error| Failure::failed("asking the server", error);
                let host = HeaderValue::try_from(host.as_str());
                let host = host.map_err(|error| Failure::failed("making a request", error))?;
                request.headers_mut().insert(header::HOST, host);
                if let Some(token) = token {
                    request.headers_mut().insert(header::AUTHORIZATION, token.clone());
                }
                // A moment ago it may have carried another answer.
                sender.ready().await.map_err(failed)?;
                let answer = sender.send_request(request).await.map_err(failed)?;
                let status = answer.status();
                (status, Limited::new(answer.into_body(), MOST_BYTES).collect().await)
            }
            Reach::Own(own) => {
                let answer = match own.router.clone().oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                let status = answer.status();
                (status, Limited::new(answer.into_body(), MOST_BYTES).collect().await)
            }
        };
        read(status, &bytes.map_err(failed)?.to_bytes())
    }

    /// Leaves the store in good order.
    pub(crate) async fn close(self) {
        if let Reach::Own(Own { state, working, .. }) = self {
            if let Some(working) = working {
                working.stop(Clock::System.now() + DRAIN).await;
            }
            state.close().await;
        }
    }
}

impl Watched {
    pub(crate) fn meant(global: &Global, arguments: &ServerArguments) -> Result<Self, Failure> {
        let ServerArguments { url, token } = arguments;
        match url {
            Some(url) => Ok(Watched::At { url: url.clone(), token: token.clone() }),
            None => Ok(Watched::Owner(Box::new(Config::load(&global.config)?))),
        }
    }

    pub(crate) async fn reach(&self) -> Result<Reach, Failure> {
        match self {
            Watched::At { url, token } => Reach::at(url, token.as_deref()).await,
            Watched::Owner(config) => Reach::owner(config).await?.ok_or_else(|| {
                let message = match config.store {
                    Store::Embedded { .. } => {
                        "no server runs here that could be looked at: start `samovar serve`, or name \
                         another one with --url http://HOST:PORT"
                    }
                    Store::Redis { .. } => {
                        "servers on Redis have no socket to be asked through: name one with --url \
                         http://HOST:PORT"
                    }
                };
                Failure::Use(message.to_owned())
            }),
        }
    }
}

impl Server {
    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: String,
        token: Option<HeaderValue>,
    ) -> Result<Self, Failure> {
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let failed = |error| Failure::failed("speaking with the server", error);
        let (sender, connection) = shaken.map_err(failed)?;
        tokio::spawn(connection);
        Ok(Self { sender, host, token })
    }
}

/// `None` where nobody listens.
async fn connect(socket: &Path) -> Result<Option<UnixStream>, Failure> {
    match UnixStream::connect(socket).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            // It was left behind, or there never was one.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            // It is longer than a socket's may be: then no server listens there either.
            io::ErrorKind::InvalidInput => Ok(None),
            _ => Err(Failure::failed(format!("connecting to {}", socket.display()), error)),
        },
    }
}

fn read(status: StatusCode, bytes: &[u8]) -> Result<Value, Failure> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Failure::failed(format!("reading an answer of status {status}"), error))?;
    if status.is_success() {
        return Ok(value);
    }
    Err(Failure::Refused { error: value })
}

/// What may stand in a part of a path or a query.
pub(crate) fn escape(text: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let escaped = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_in_a_url_is_escaped() {
        assert_eq!(escape("a b/ü&=?"), "a%20b%2F%C3%BC%26%3D%3F");
        assert_eq!(escape("2026-11-01..2026-11-21_~"), "2026-11-01..2026-11-21_~");
    }
}
