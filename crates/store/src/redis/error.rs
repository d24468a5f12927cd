//! What can go wrong, told apart by what the caller may do about it.

use std::{sync::Arc, time::Duration};

use super::address::Address;

/// The first link did not come up in time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no connection to Redis within {}: {reason}", Millis(*.waited))]
pub struct ConnectError {
    pub waited: Duration,
    pub reason: Arc<str>,
}

/// There is no link to the master that owns the key, so nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("the master {address} cannot be reached: {reason}")]
    Down { address: Address, reason: Arc<str> },
    #[error("no master is known: {reason}")]
    NoMaster { reason: Arc<str> },
    #[error("the connection to the master {address} was not made within {}", Millis(*.waited))]
    Slow { address: Address, waited: Duration },
    #[error("{limit} pipelines are already on their way to the master {address}")]
    Full { address: Address, limit: usize },
    #[error("the connections have been shut down")]
    ShutDown,
}

/// Why a pipeline has no full answer. [`QueryError::was_not_executed`] tells whether it is certain
/// that nothing happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// Nothing was sent.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It was sent, the answer is lost, and it is not known whether it was executed.
    #[error("the answer of the master {address} is lost: {reason}")]
    Unanswered { address: Address, reason: Lost },
    /// The server would not do the command at `index`; the other commands were done.
    #[error("the master {address} refused command {index}: {code} {detail}")]
    Refused { address: Address, index: usize, code: Box<str>, detail: Box<str> },
    /// The server asked to come back later or elsewhere until the retries were spent. The command
    /// at `index` was not done; those not redirected were.
    #[error("command {index} was turned away {attempts} times, last by {address} with {code}")]
    TurnedAway { address: Address, index: usize, code: Box<str>, attempts: u32 },
    /// An empty pipeline, or an answer that does not fit the pipeline.
    #[error("{0}")]
    Protocol(Box<str>),
}

impl QueryError {
    /// Whether it is certain that no command of the pipeline was executed, were it one command.
    pub fn was_not_executed(&self) -> bool {
        matches!(self, QueryError::Unavailable(_) | QueryError::TurnedAway { .. })
    }

    /// The error code of the server (`WRONGTYPE`, `OOM`, ...), if it was one that spoke.
    pub fn code(&self) -> Option<&str> {
        match self {
            QueryError::Refused { code, .. } | QueryError::TurnedAway { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// How an answer got lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("the connection broke")]
    Connection,
    #[error("none came within {}", Millis(*.0))]
    TimedOut(Duration),
}

/// Whether a pipeline may be sent again when it is not known whether it was executed. What was
/// certainly not executed (redirects, `LOADING`, `READONLY`, ...) is always sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Doing it twice does no harm.
    Safe,
    /// Doing it twice would.
    OnlyIfUnsent,
}

struct Millis(Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}
