//! What a worker and a job in a child process tell each other.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    context::{Left, Told},
    kind::Stop,
    remote::Went,
};
use crate::{Claimed, Held, Progress, Record, RemoteName, StoreError};

/// The name of the work that children do.
pub(super) const WORK: &str = "samovar.job";

/// What a child begins with.
pub(super) type Input = Claimed;

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    /// Repeated in the answer.
    pub(super) number: u64,
    pub(super) question: Question,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// Whether to stop; asked first, so that the parent knows how to tell.
    Told,
    Progress(Progress),
    Checkpoint(Vec<u8>),
    Once(String),
    RecordOnce(String, Vec<u8>),
    Call(RemoteName),
    Called(RemoteName, Went),
}

/// From the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    Told(Told),
    Answer(u64, Result<Answer, Away>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Held(Held),
    Recorded(Option<Vec<u8>>),
    IsOpen(bool),
}

/// Why the store did not answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Away(String);

impl From<StoreError> for Away {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<Away> for StoreError {
    fn from(Away(reason): Away) -> Self {
        StoreError::Unavailable(reason)
    }
}

/// How it ended in the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) end: Result<Left, Stop>,
    pub(super) record: Record,
}

pub(super) fn write(message: &impl Serialize) -> Vec<u8> {
    // Plain data in memory: nothing in it can fail.
    postcard::to_stdvec(message).unwrap_or_default()
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| format!("a message cannot be read: {error}"))
}
