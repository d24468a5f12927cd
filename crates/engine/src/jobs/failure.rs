//! Why nothing is shown or done.

use samovar_jobs::{InvalidName, StoreError, http::InvalidHttp};

use crate::NoTenant;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JobFailure {
    #[error("this process has no store of jobs")]
    NoJobs,
    #[error("{error}")]
    Name { field: &'static str, error: InvalidName },
    #[error("there is no state `{found}` of jobs")]
    State { found: String, nearest: Option<String> },
    #[error("`{found}` is no place where a list goes on")]
    Cursor { found: String },
    #[error("there is no job `{id}`")]
    Unknown { id: String },
    #[error("the job {id} is {state}: only failed and cancelled ones are tried again")]
    NotEndedBadly { id: String, state: &'static str },
    #[error("the job {id} is {state}: only failed ones are forgotten")]
    NotFailed { id: String, state: &'static str },
    #[error("another job that has not ended holds the unique key of the job {id}")]
    KeyTaken { id: String },
    #[error("the job {id} has ended already: it is {state}")]
    Ended { id: String, state: &'static str },
    #[error("jobs of kind `{kind}` are not pushed from outside")]
    Kind { kind: String, nearest: Option<String> },
    #[error("the payload is none of a job of kind `{kind}`: {reason}")]
    Payload { kind: String, reason: String },
    #[error(transparent)]
    Http(InvalidHttp),
    #[error("nothing may be posted anywhere")]
    NoTargets,
    #[error("`{found}` is no {what}")]
    Value { field: &'static str, found: String, what: &'static str },
    #[error("there is no queue `{queue}`")]
    Queue { queue: String, nearest: Option<String> },
    #[error("there is no worker `{worker}`")]
    Worker { worker: String },
    #[error("there is no schedule `{schedule}`")]
    Schedule { schedule: String, nearest: Option<String> },
    #[error(transparent)]
    Tenant(#[from] NoTenant),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of many; asking again goes on with the others.
    #[error("{done} jobs were {what}, and then: {error}")]
    Midway { done: u64, what: &'static str, error: StoreError },
}
