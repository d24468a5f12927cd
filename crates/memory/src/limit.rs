//! Limits: the most a job may hold, and what it is told when it held more.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub const MB: u64 = 1024 * 1024;

/// The share of a limit from which on a job is warned of.
pub const WARNING_PERCENT: u64 = 80;

/// A named limit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Class {
    Mb128,
    #[default]
    Mb256,
    Mb512,
    Mb1024,
}

impl Class {
    pub const ALL: [Class; 4] = [Class::Mb128, Class::Mb256, Class::Mb512, Class::Mb1024];

    pub const fn megabytes(self) -> u64 {
        match self {
            Class::Mb128 => 128,
            Class::Mb256 => 256,
            Class::Mb512 => 512,
            Class::Mb1024 => 1024,
        }
    }

    pub const fn bytes(self) -> u64 {
        self.megabytes() * MB
    }

    /// The next larger class, for work that was too big for this one.
    pub fn larger(self) -> Option<Class> {
        Self::ALL.into_iter().find(|class| *class > self)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MB", self.megabytes())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no memory class {0:?}: there are 128MB, 256MB, 512MB and 1024MB")]
pub struct UnknownClass(String);

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        let number = text.trim_end_matches(['M', 'B', 'm', 'b']).trim_end();
        let found = Self::ALL.into_iter().find(|class| number == class.megabytes().to_string());
        found.ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

/// The most one job may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    Class(Class),
    Bytes(u64),
}

impl Limit {
    pub fn bytes(self) -> u64 {
        match self {
            Limit::Class(class) => class.bytes(),
            Limit::Bytes(bytes) => bytes,
        }
    }

    pub(crate) fn warn_at_bytes(self) -> u64 {
        self.bytes() / 100 * WARNING_PERCENT
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit::Class(Class::default())
    }
}

impl From<Class> for Limit {
    fn from(class: Class) -> Self {
        Limit::Class(class)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Class(class) => write!(f, "its limit of {} MB", class.megabytes()),
            Limit::Bytes(bytes) => write!(f, "its limit of {:.1} MB", megabytes(*bytes)),
        }
    }
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MB as f64
}

/// Why a job was stopped at its step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error(
    "{job} went over {limit}: it held {:.1} MB at its peak and holds {:.1} MB",
    megabytes(*peak_bytes), megabytes(*current_bytes)
)]
pub struct Exceeded {
    pub job: String,
    pub limit: Limit,
    pub current_bytes: u64,
    pub peak_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_as_written_and_grow() {
        for class in Class::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert_eq!("512 mb".parse(), Ok(Class::Mb512));
        assert!("300MB".parse::<Class>().is_err());
        assert_eq!(Class::default().larger(), Some(Class::Mb512));
        assert_eq!(Class::Mb1024.larger(), None);
    }

    #[test]
    fn the_reason_names_job_and_limit() {
        let exceeded = Exceeded {
            job: "warm/orders".to_owned(),
            limit: Class::Mb128.into(),
            current_bytes: 10 * MB,
            peak_bytes: 130 * MB,
        };
        assert_eq!(
            exceeded.to_string(),
            "warm/orders went over its limit of 128 MB: it held 130.0 MB at its peak and holds 10.0 MB"
        );
    }
}
