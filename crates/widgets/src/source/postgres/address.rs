//! What a url says: where the server is, who asks, how far it is trusted, and how every session
//! begins.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_postgres::{Config, config::SslMode};

use crate::{SourceUrl, nearest};

/// Where to connect, and as whom.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) config: Config,
    pub(super) trust: Trust,
}

/// Which server a connection that is encrypted may lead to.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// Any: who asks for encryption only where it is to be had has no protection against somebody
    /// in between anyway.
    Anyone,
    /// One that an authority vouches for which this machine trusts.
    Machine,
    /// One that these certificates vouch for.
    File(PathBuf),
}

/// A server waits so long for a lock before it gives up, or for the whole time of a short query.
pub(super) const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// A session that has nothing to do within its transaction is ended so long after the query's time.
const IDLE_MARGIN: Duration = Duration::from_secs(5);
/// Idle connections are kept alive through gateways, which forget them after minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const DRIVER_KEEPALIVE_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

const OPTIONS: [&str; 20] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// Of other clients.
const OTHER_OPTIONS: [&str; 15] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "passfile",
    "replication",
    "require_auth",
    "service",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslkey",
    "sslpassword",
    "sslsni",
];

impl Address {
    /// # Errors
    /// A reason that repeats nothing of the url: with a quote forgotten, any part of it may be the
    /// password.
    pub(crate) fn parse(url: &SourceUrl, folder: &Path, timeout: Duration) -> Result<Self, String> {
        let url = url.exposed();
        // The driver looks for the end of the password first, too.
        let credentials = url.find('@').unwrap_or(0);
        let question = url[credentials..].find('?').map(|at| credentials + at);
        let (base, options) = question.map_or((url, ""), |at| (&url[..at], &url[at + 1..]));
        let (mut kept, mut root, mut has_mode) = (Vec::new(), None, false);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or("an option has no value")?;
            match name {
                "sslrootcert" => root = Some(folder.join(decoded(value)?)),
                "sslmode" => {
                    has_mode = true;
                    // A server that is required is verified in full.
                    kept.push(if value == "verify-full" { "sslmode=require" } else { option });
                }
                name if OPTIONS.contains(&name) => kept.push(option),
                name => return Err(unknown(name)),
            }
        }
        let url = format!("{base}?{}", kept.join("&"));
        let mut config: Config = url.parse().map_err(|error| reason(&error))?;
        if root.is_some() && !has_mode {
            config.ssl_mode(SslMode::Require);
        }
        let trust = match (root, config.get_ssl_mode()) {
            (Some(file), _) => Trust::File(file),
            (None, SslMode::Require) => Trust::Machine,
            (None, _) => Trust::Anyone,
        };
        begin_sessions(&mut config, timeout);
        Ok(Self { config, trust })
    }

    /// Its sessions are for more than reading.
    pub(crate) fn writing(mut self) -> Self {
        let options = self.config.get_options().unwrap_or_default();
        let options = format!("{options} -c default_transaction_read_only=off");
        self.config.options(options);
        self
    }
}

/// All by the first message, so that nothing has to be asked before the first query. What comes
/// last wins, so the url cannot undo it.
fn begin_sessions(config: &mut Config, timeout: Duration) {
    if config.get_application_name().is_none() {
        config.application_name("samovar");
    }
    if config.get_keepalives_idle() == DRIVER_KEEPALIVE_IDLE {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    let ms = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX).max(1);
    let mut options = config.get_options().unwrap_or_default().to_owned();
    for (name, value) in [
        ("default_transaction_read_only", "on".to_owned()),
        ("statement_timeout", ms(timeout).to_string()),
        ("lock_timeout", ms(timeout.min(LOCK_LIMIT)).to_string()),
        (
            "idle_in_transaction_session_timeout",
            ms(timeout.saturating_add(IDLE_MARGIN)).to_string(),
        ),
        ("TimeZone", "UTC".to_owned()),
        ("DateStyle", "ISO".to_owned()),
        // The query was read by these rules when it was checked.
        ("standard_conforming_strings", "on".to_owned()),
        // What functions have to say is for nobody, and may repeat data.
        ("client_min_messages", "error".to_owned()),
    ] {
        options.push_str(&format!(" -c {name}={value}"));
    }
    config.options(options.trim_start());
}

fn unknown(name: &str) -> String {
    let other = OTHER_OPTIONS.iter().find(|other| **other == name);
    match (other, nearest(name, OPTIONS)) {
        (Some(other), _) => format!("the option `{other}` of the url is not supported"),
        (None, Some(meant)) => format!("an option of the url is not known: is it `{meant}`?"),
        (None, None) => "an option of the url is not known".to_owned(),
    }
}

/// Only what the driver says by heart.
fn reason(error: &tokio_postgres::Error) -> String {
    let told = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match told.starts_with("invalid value for option") {
        true => told,
        false => "the url cannot be read: write it like \
                  postgres://user:password@host:5432/database, with %40 for @ in a password"
            .to_owned(),
    }
}

/// Of `%2F` and the like.
fn decoded(value: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match (first, after) {
            (b'%', [high, low, ..]) => {
                (*high as char).to_digit(16).zip((*low as char).to_digit(16))
            }
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "sslrootcert is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Address, String> {
        let url = format!("postgres://me:s3cret@db{rest}").parse().expect("a source");
        Address::parse(&url, Path::new("conf"), Duration::from_millis(1500))
    }

    #[test]
    fn sessions_begin_with_limits_that_the_url_cannot_undo() {
        let address = parse("/shop?options=-c%20statement_timeout=0&application_name=tv");
        let config = address.expect("sound").config;
        assert_eq!(
            config.get_options(),
            Some(
                "-c statement_timeout=0 -c default_transaction_read_only=on \
                 -c statement_timeout=1500 -c lock_timeout=1500 \
                 -c idle_in_transaction_session_timeout=6500 -c TimeZone=UTC -c DateStyle=ISO \
                 -c standard_conforming_strings=on -c client_min_messages=error"
            )
        );
        assert_eq!(config.get_application_name(), Some("tv"));
        assert_eq!(parse("").expect("sound").config.get_application_name(), Some("samovar"));
    }

    #[test]
    fn trust_follows_the_mode_and_the_file() {
        let told = |rest: &str| {
            let address = parse(rest).expect("sound");
            format!("{:?} {:?}", address.config.get_ssl_mode(), address.trust)
        };
        assert_eq!(told("/shop"), "Prefer Anyone");
        assert_eq!(told("/shop?sslmode=disable"), "Disable Anyone");
        assert_eq!(told("/shop?sslmode=require"), "Require Machine");
        assert_eq!(told("/shop?sslmode=verify-full"), "Require Machine");
        assert_eq!(told("/shop?sslrootcert=our%20ca.pem"), "Require File(\"conf/our ca.pem\")");
        assert_eq!(
            told("?sslmode=prefer&sslrootcert=%2Fetc%2Fca.pem"),
            "Prefer File(\"/etc/ca.pem\")"
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_without_secrets() {
        for (rest, expected) in [
            ("/shop?sslcert=x", "the option `sslcert` of the url is not supported"),
            ("/shop?sslmod=require", "an option of the url is not known: is it `sslmode`?"),
            ("/shop?s3cret=1", "an option of the url is not known"),
            ("/shop?s3cret", "an option has no value"),
            ("/shop?sslmode=s3cret", "invalid value for option `sslmode`"),
            (":s3cret/shop", "invalid value for option `port`"),
        ] {
            assert_eq!(parse(rest).map(drop), Err(expected.to_owned()), "{rest}");
        }
        let broken = parse("%ff/shop").map(drop).expect_err("no text");
        assert!(broken.starts_with("the url cannot be read") && !broken.contains("s3cret"));
    }
}
