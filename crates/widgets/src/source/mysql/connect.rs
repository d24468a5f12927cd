//! From a url to a session: what may stand in it, what every session is set to, and what the
//! driver's errors mean.

use std::{fmt, time::Duration};

use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, UrlError, prelude::*};
use samovar_clock::Clock;

use super::super::SourceError;
use crate::SourceDefinition;

/// A server that takes longer to let somebody in is as good as down.
const CONNECT: Duration = Duration::from_secs(5);
/// Rows come whole: more than this in one row is an error.
const ROW_BYTES: usize = 64 << 20;
/// MySQL and MariaDB take no longer limits of time: some 49 days.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);

/// Options of the driver's own pool, which is not used here, and of what is decided here.
const MEANINGLESS: [&str; 11] = [
    "abs_conn_ttl",
    "abs_conn_ttl_jitter",
    "conn_ttl",
    "inactive_connection_ttl",
    "pool_max",
    "pool_min",
    "prefer_socket",
    "reset_connection",
    "stmt_cache_size",
    "ttl_check_interval",
    "wait_timeout",
];

/// Where sessions are opened.
pub(super) struct Server {
    /// Its url without secrets.
    place: String,
    pub(super) clock: Clock,
    /// Of one query.
    pub(super) timeout: Duration,
    session: Opts,
    /// Without the settings of a session.
    bare: Opts,
}

/// The options hold the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(definition: &SourceDefinition, clock: Clock) -> Result<Self, SourceError> {
        let (url, timeout) = (&definition.url.value, definition.timeout);
        let place = url.to_string();
        let bare = options(url.exposed())
            .map_err(|reason| SourceError::Unreachable { place: place.clone(), reason })?;
        // The driver sends them again whenever a session is reset.
        let session = OptsBuilder::from_opts(bare.clone()).setup(vec![settings(timeout)]);
        Ok(Self { place, clock, timeout, session: session.into(), bare })
    }

    /// Opens a session.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Conn, SourceError> {
        let limit = limit.min(CONNECT);
        match self.clock.timeout(limit, Conn::new(self.session.clone())).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(self.unreachable(reason(&error))),
            Err(_) => {
                let waited = limit.as_secs_f64();
                Err(self.unreachable(format!("no connection within {waited:.1} s")))
            }
        }
    }

    /// Ends a connection of ours and what runs on it, by way of another one.
    pub(super) async fn kill(&self, id: u32) -> Result<(), SourceError> {
        let kill = async {
            let mut conn = Conn::new(self.bare.clone()).await?;
            let killed = conn.query_drop(format!("kill {id}")).await;
            conn.disconnect().await?;
            killed
        };
        match self.clock.timeout(CONNECT, kill).await {
            Ok(Ok(())) => Ok(()),
            // It is gone already.
            Ok(Err(Error::Server(error))) if error.code == code::NO_SUCH_THREAD => Ok(()),
            Ok(Err(error)) => Err(self.unreachable(reason(&error))),
            Err(_) => Err(self.unreachable("no answer".to_owned())),
        }
    }

    pub(super) fn timed_out(&self) -> SourceError {
        SourceError::Timeout { seconds: self.timeout.as_secs_f64() }
    }

    /// Why a query failed on a connection that was there.
    pub(super) fn failure(&self, error: &Error) -> SourceError {
        match error {
            Error::Server(said) if code::TIMED_OUT.contains(&said.code) => self.timed_out(),
            Error::Server(said) if code::LOST.contains(&said.code) => {
                SourceError::Lost { reason: reason(error) }
            }
            Error::Server(_) => SourceError::query(reason(error)),
            Error::Driver(DriverError::StmtParamsNumberExceedsLimit { .. }) => {
                SourceError::query("it has more than 65535 values")
            }
            // The driver has parameters of its own, and looks for them in the text.
            Error::Driver(DriverError::Params(_) | DriverError::MixedParams) => SourceError::query(
                "a text with a colon in it follows an operator: put a space between the two",
            ),
            _ => SourceError::Lost { reason: reason(error) },
        }
    }

    fn unreachable(&self, reason: String) -> SourceError {
        SourceError::Unreachable { place: self.place.clone(), reason }
    }
}

/// What servers call their errors.
mod code {
    pub(super) const NO_SUCH_THREAD: u16 = 1094;
    /// Interrupted; MariaDB's limit; MySQL's limit.
    pub(super) const TIMED_OUT: [u16; 3] = [1317, 1969, 3024];
    /// Shutdown; aborted; killed; network errors; idle for too long.
    pub(super) const LOST: [u16; 8] = [1053, 1152, 1158, 1159, 1160, 1161, 1927, 4031];
}

/// One round trip. Each server takes what the other has under another name for a comment.
fn settings(timeout: Duration) -> String {
    let timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
    let (seconds, millis) = (timeout.as_secs_f64(), timeout.as_millis());
    let whole = seconds.ceil();
    format!(
        "set names utf8mb4, time_zone = '+00:00', sql_mode = '', \
         sql_select_limit = 18446744073709551615, group_concat_max_len = 1048576, \
         lock_wait_timeout = {whole}, innodb_lock_wait_timeout = {whole} \
         /*M!100101 , max_statement_time = {seconds:.3} */ \
         /*!50708 , max_execution_time = {millis} */; \
         set session transaction isolation level repeatable read, read only"
    )
}

/// # Errors
/// What is wrong, without anything of the url but the names of options.
fn options(url: &str) -> Result<Opts, String> {
    let url = match url.strip_prefix("mariadb://") {
        Some(rest) => format!("mysql://{rest}"),
        None => url.to_owned(),
    };
    let given = url.split_once('?').map_or("", |(_, options)| options).split('&');
    let mut names = given.map(|option| option.split('=').next().unwrap_or_default());
    if let Some(meaningless) = names.find_map(|name| MEANINGLESS.iter().find(|it| **it == name)) {
        return Err(format!("the option `{meaningless}` means nothing here: leave it out"));
    }
    let opts = Opts::from_url(&url).map_err(|error| match error {
        UrlError::InvalidParamValue { param, .. } => {
            format!("its option `{param}` has a value that is none")
        }
        // What looks like an option may be a piece of a password.
        UrlError::UnknownParameter { .. } => "it has an option that is not known".to_owned(),
        _ => "it is written like mysql://user:password@host:3306/database".to_owned(),
    })?;
    // Named by host and port, it is looked up without blocking. An address of six parts stands in
    // brackets only in a url.
    let host = opts.ip_or_hostname().trim_matches(['[', ']']).to_owned();
    let row_bytes = opts.max_allowed_packet().unwrap_or(ROW_BYTES);
    let builder = OptsBuilder::from_opts(opts)
        .ip_or_hostname(host)
        .prefer_socket(false)
        .stmt_cache_size(0)
        // With both of them known, the driver asks for nothing.
        .max_allowed_packet(Some(row_bytes))
        .wait_timeout(Some(0));
    Ok(builder.into())
}

/// In the words of whoever noticed.
fn reason(error: &Error) -> String {
    match error {
        Error::Server(said) => said.message.clone(),
        Error::Io(IoError::Io(error)) => error.to_string(),
        Error::Io(IoError::Tls(error)) => format!("TLS: {error}"),
        Error::Driver(error) => error.to_string().trim_end_matches('.').to_owned(),
        Error::Url(_) => "its url is not understood".to_owned(),
        Error::Other(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_secrets() {
        for (url, said) in [
            ("mysql://me:secret@db/shop?pool_max=3", "`pool_max` means nothing"),
            ("mysql://me:secret@db/shop?require_ssl=secret", "`require_ssl` has a value"),
            ("mysql://me:12?secret@db/shop", "an option that is not known"),
            ("mysql://me:se/secret@db/shop", "it is written like"),
            ("mysql://me:secret@db:port/shop", "it is written like"),
            ("mysql://", "it is written like"),
        ] {
            let reason = options(url).map(drop).expect_err(url);
            assert!(reason.contains(said) && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn both_names_and_all_kinds_of_hosts_are_taken() {
        for (url, host, port) in [
            ("mysql://me@db/shop", "db", 3306),
            ("mariadb://me:p%40w@db:33/shop?require_ssl=true&verify_ca=false", "db", 33),
            ("mysql://[::1]:3307/shop", "::1", 3307),
            ("mysql://127.0.0.1/shop?socket=/run/mysqld.sock", "127.0.0.1", 3306),
        ] {
            let opts = options(url).expect(url);
            assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), (host, port));
            assert_eq!(opts.db_name(), Some("shop"));
        }
        let opts = options("mariadb://me:p%40w@db:33/shop?require_ssl=true").expect("sound");
        assert_eq!((opts.pass(), opts.ssl_opts().is_some()), (Some("p@w"), true));
    }

    #[test]
    fn limits_of_time_are_such_as_servers_take() {
        for (timeout, expected) in [
            (Duration::ZERO, "max_statement_time = 0.001 */ /*!50708 , max_execution_time = 1 */"),
            (Duration::from_millis(2500), "lock_wait_timeout = 3, innodb_lock_wait_timeout = 3 "),
            (Duration::MAX, "max_execution_time = 4294967295 */"),
        ] {
            let settings = settings(timeout);
            assert!(settings.contains(expected), "{settings}");
        }
    }
}
