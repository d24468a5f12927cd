//! The Redis protocol, as little of it as tests need, on a blocking socket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Integer(i64),
    /// A status or a bulk string.
    Bytes(Vec<u8>),
    /// Only inside of an array: an error that is the whole reply becomes an `Err`.
    Error(String),
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a status or bulk string, or an integer in digits; empty for the others.
    pub fn text(&self) -> String {
        match self {
            Reply::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Integer(integer) => integer.to_string(),
            Reply::Nil | Reply::Error(_) | Reply::Array(_) => String::new(),
        }
    }

    /// A status or bulk string; empty for the others.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Reply::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The integer, also when it came as a string.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Reply::Integer(integer) => Some(*integer),
            other => other.text().parse().ok(),
        }
    }

    pub fn is_nil(&self) -> bool {
        *self == Reply::Nil
    }

    /// The items of an array; none for the others.
    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) => items,
            _ => &[],
        }
    }

    /// The value after `name` in an array of names and values.
    pub fn field(&self, name: &str) -> Option<&Reply> {
        self.items().chunks_exact(2).find(|pair| pair[0].text() == name).map(|pair| &pair[1])
    }
}

/// One connection to one server.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// # Errors
    /// When nobody accepts within two seconds.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// # Errors
    /// When Redis answers with an error, or not within ten seconds.
    pub fn command(&mut self, arguments: &[impl AsRef<[u8]>]) -> Result<Reply> {
        let name = || {
            let names = arguments.iter().take(2).map(|name| String::from_utf8_lossy(name.as_ref()));
            names.collect::<Vec<_>>().join(" ")
        };
        self.send(arguments).with_context(name)?;
        match self.receive().with_context(name)? {
            Reply::Error(message) => Err(anyhow!(message).context(name())),
            reply => Ok(reply),
        }
    }

    fn send(&mut self, arguments: &[impl AsRef<[u8]>]) -> Result<()> {
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            let argument = argument.as_ref();
            write!(request, "${}\r\n", argument.len())?;
            request.extend_from_slice(argument);
            request.extend_from_slice(b"\r\n");
        }
        Ok(self.stream.get_mut().write_all(&request)?)
    }

    fn receive(&mut self) -> Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).context("an empty line in place of a reply")?;
        Ok(match kind {
            "+" => Reply::Bytes(rest.into()),
            "-" => Reply::Error(rest.into()),
            ":" => Reply::Integer(rest.parse()?),
            "$" => match usize::try_from(rest.parse::<i64>()?) {
                Err(_) => Reply::Nil,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Reply::Bytes(bytes)
                }
            },
            "*" => match usize::try_from(rest.parse::<i64>()?) {
                Err(_) => Reply::Nil,
                Ok(count) => {
                    Reply::Array((0..count).map(|_| self.receive()).collect::<Result<_>>()?)
                }
            },
            _ => bail!("not a reply: {line:?}"),
        })
    }
}
