//! What goes wrong, in the words of the server but without the data it was about.

use std::{error::Error as _, time::Duration};

use tokio_postgres::{
    Error,
    error::{DbError, ErrorPosition, Severity, SqlState},
};

use super::{SourceError, address::LOCK_LIMIT};

/// Why a query did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Told by the driver: by the server, or about the connection.
    Driver(Error),
    Source(SourceError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Driver(error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Failure::Source(error)
    }
}

impl Failure {
    /// Whether the server ended the statement, and nothing but the statement.
    pub(super) fn leaves_the_session(&self) -> bool {
        match self {
            Failure::Driver(error) => error.as_db_error().is_some_and(|error| !is_fatal(error)),
            Failure::Source(_) => false,
        }
    }

    pub(crate) fn told(self, timeout: Duration, is_closed: bool, query: &str) -> SourceError {
        let error = match self {
            Failure::Source(error) => return error,
            Failure::Driver(error) => error,
        };
        match error.as_db_error() {
            Some(said) if is_fatal(said) => SourceError::Lost { reason: masked(said) },
            Some(said) if *said.code() == SqlState::QUERY_CANCELED => {
                SourceError::Timeout { seconds: timeout.as_secs_f64() }
            }
            Some(said) if *said.code() == SqlState::LOCK_NOT_AVAILABLE => {
                SourceError::Timeout { seconds: timeout.min(LOCK_LIMIT).as_secs_f64() }
            }
            Some(said) => SourceError::query(explained(said, query)),
            None if is_closed || error.is_closed() => SourceError::Lost { reason: reason(&error) },
            None => SourceError::query(reason(&error)),
        }
    }
}

/// The error and what it comes from, in one line.
pub(super) fn reason(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return masked(said);
    }
    let Some(mut cause) = error.source() else { return error.to_string() };
    let mut reason = format!("{error}: {cause}");
    while let Some(next) = cause.source() {
        cause = next;
        reason.push_str(&format!(": {cause}"));
    }
    if reason.contains("UnknownIssuer") {
        reason.push_str(" (name the certificate to trust with sslrootcert)");
    }
    reason
}

fn is_fatal(said: &DbError) -> bool {
    !matches!(said.parsed_severity(), Some(Severity::Error) | None)
}

fn explained(said: &DbError, query: &str) -> String {
    let mut text = masked(said);
    if let Some(ErrorPosition::Original(at)) = said.position()
        && query.contains('\n')
    {
        // Values have their places, so lines are those of the query as it was written.
        let before = query.chars().take(*at as usize - 1);
        let line = 1 + before.filter(|letter| *letter == '\n').count();
        text.push_str(&format!(" (line {line} of the query)"));
    }
    if *said.code() == SqlState::INDETERMINATE_DATATYPE {
        text.push_str("; say which in the query, like (:name)::text");
    }
    // About data it may repeat them; about names it does not know any.
    let is_about_names = said.code().code().starts_with("42");
    let detail = said.detail().filter(|_| is_about_names);
    for more in [detail, said.hint()].into_iter().flatten() {
        text.push_str(&format!("; {more}"));
    }
    text
}

/// Errors about data quote them: `invalid input syntax for type integer: "…"`.
fn masked(said: &DbError) -> String {
    let message = said.message();
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if said.code().code().starts_with("22") => {
            format!("{}\"…{}", &message[..first], &message[last..])
        }
        _ => message.to_owned(),
    }
}
