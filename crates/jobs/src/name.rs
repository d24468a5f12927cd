//! What jobs, queues, workers and batches are called. A name that exists is a checked one.

use std::fmt;

use samovar_clock::Random;
use serde::{Deserialize, Serialize};

use crate::limits;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("{what} {name:?} is empty or longer than {limit} bytes: choose a shorter one")]
    Length { what: &'static str, name: String, limit: usize },
    #[error("{what} {name:?} may hold letters, digits and `-_.:/` only: leave {found:?} out")]
    Character { what: &'static str, name: String, found: char },
}

macro_rules! names {
    ($($(#[$doc:meta])* $type:ident: $what:literal, $limit:path;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                checked($what, name.into(), $limit).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

names! {
    QueueName: "the queue", limits::NAME_BYTES;
    /// What kind of job it is: names the code that runs it.
    Kind: "the kind of job", limits::NAME_BYTES;
    /// A process that runs jobs; another one after each start.
    WorkerName: "the worker", limits::NAME_BYTES;
    BatchName: "the batch", limits::NAME_BYTES;
    /// What jobs depend on and do not own: a payment service, an interface of somebody else.
    RemoteName: "the remote", limits::NAME_BYTES;
    ScheduleName: "the schedule", limits::NAME_BYTES;
    /// Whose job it is.
    Tenant: "the tenant", limits::TENANT_BYTES;
}

impl Tenant {
    /// Of jobs that belong to no tenant.
    pub fn system() -> Self {
        Self("system".to_owned())
    }
}

fn checked(what: &'static str, name: String, limit: usize) -> Result<String, InvalidName> {
    if name.is_empty() || name.len() > limit {
        let name = name.chars().take(80).collect();
        return Err(InvalidName::Length { what, name, limit });
    }
    let allowed = |c: &char| c.is_alphanumeric() || "-_.:/".contains(*c);
    match name.chars().find(|c| !allowed(c)) {
        Some(found) => Err(InvalidName::Character { what, name, found }),
        None => Ok(name),
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $type:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $type(u64);

        impl $type {
            pub fn draw(random: &Random) -> Self {
                Self(random.id())
            }

            pub const fn from_u64(id: u64) -> Self {
                Self(id)
            }

            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// From what it is displayed as.
            pub fn parse(text: &str) -> Option<Self> {
                let plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                plain.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )+};
}

ids! {
    /// Drawn by who pushes, so that a push that is repeated because nobody knows what became of it
    /// pushes nothing twice.
    JobId;
    BatchId;
}

/// One claim of one job: a later claim has a larger token, and only the last one counts (law 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub(crate) u64);

impl Token {
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A job as its holder names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    pub id: JobId,
    pub token: Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_refused_with_what_where_and_what_to_do() {
        let message = QueueName::new("a b").expect_err("a blank").to_string();
        assert_eq!(
            message,
            "the queue \"a b\" may hold letters, digits and `-_.:/` only: leave ' ' out"
        );
        let message = Kind::new("").expect_err("empty").to_string();
        assert!(
            message.starts_with("the kind of job \"\" is empty or longer than 64"),
            "{message}"
        );
        Kind::new("x".repeat(64)).expect("as long as it may be");
        Kind::new("x".repeat(65)).expect_err("too long");
        assert!(serde_json::from_str::<QueueName>("\"a b\"").is_err(), "a stored one as well");
    }

    #[test]
    fn an_id_comes_back_from_what_is_displayed() {
        for id in [1, u64::MAX, 0xab] {
            let id = JobId::from_u64(id);
            assert_eq!(JobId::parse(&id.to_string()), Some(id));
        }
        for text in ["", "1", "+000000000000001", "00000000000000000", "000000000000000g"] {
            assert_eq!(JobId::parse(text), None, "{text:?}");
        }
    }
}
