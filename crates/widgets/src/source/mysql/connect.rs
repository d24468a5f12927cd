//! How connections are opened and killed, what every session is set to, and what the driver's
//! errors mean.

use std::{fmt, time::Duration};

use mysql_async::{Conn, DriverError, Error, IoError, Opts, OptsBuilder, prelude::Queryable};
use samovar_clock::Clock;

use super::{super::SourceError, options::options};
use crate::{SourceDefinition, SourceUrl};

/// A server that takes longer to let somebody in is as good as down.
const CONNECT: Duration = Duration::from_secs(5);
/// MySQL and MariaDB take no longer limits of time: some 49 days.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);

/// Where sessions are opened.
pub(crate) struct Server {
    /// Its url without secrets.
    place: String,
    pub(crate) clock: Clock,
    /// Of one query.
    pub(crate) timeout: Duration,
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
        Self::reading(&definition.url.value, definition.timeout, clock)
    }

    pub(crate) fn reading(
        url: &SourceUrl,
        timeout: Duration,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        Self::at(url, timeout, READS, clock)
    }

    /// For more than reading.
    pub(crate) fn writing(
        url: &SourceUrl,
        timeout: Duration,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        Self::at(url, timeout, WRITES, clock)
    }

    fn at(
        url: &SourceUrl,
        timeout: Duration,
        transactions: &str,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let place = url.to_string();
        let bare = options(url.exposed())
            .map_err(|reason| SourceError::Unreachable { place: place.clone(), reason })?;
        // The driver sends them again whenever a session is reset.
        let setup = vec![settings(timeout, transactions)];
        let session = OptsBuilder::from_opts(bare.clone()).setup(setup);
        Ok(Self { place, clock, timeout, session: session.into(), bare })
    }

    /// Opens a session.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<Conn, SourceError> {
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

    pub(crate) fn timed_out(&self) -> SourceError {
        SourceError::Timeout { seconds: self.timeout.as_secs_f64() }
    }

    /// Why a query failed on a connection that was there.
    pub(crate) fn failure(&self, error: &Error) -> SourceError {
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

/// Transactions of a session, by default.
const READS: &str = "isolation level repeatable read, read only";
/// Nothing but the rows that are named is locked.
const WRITES: &str = "isolation level read committed, read write";

/// One round trip. Each server takes what the other has under another name for a comment.
fn settings(timeout: Duration, transactions: &str) -> String {
    let timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
    let (seconds, millis) = (timeout.as_secs_f64(), timeout.as_millis());
    let whole = seconds.ceil();
    format!(
        "set names utf8mb4, time_zone = '+00:00', sql_mode = '', \
         sql_select_limit = 18446744073709551615, group_concat_max_len = 1048576, \
         lock_wait_timeout = {whole}, innodb_lock_wait_timeout = {whole} \
         /*M!100101 , max_statement_time = {seconds:.3} */ \
         /*!50708 , max_execution_time = {millis} */; \
         set session transaction {transactions}"
    )
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
    fn limits_of_time_are_such_as_servers_take() {
        for (timeout, expected) in [
            (Duration::ZERO, "max_statement_time = 0.001 */ /*!50708 , max_execution_time = 1 */"),
            (Duration::from_millis(2500), "lock_wait_timeout = 3, innodb_lock_wait_timeout = 3 "),
            (Duration::MAX, "max_execution_time = 4294967295 */"),
        ] {
            let settings = settings(timeout, READS);
            assert!(settings.contains(expected), "{settings}");
        }
    }
}
