//! A kind of job, as the code that runs it sees it.

use std::{fmt, future::Future, time::Duration};

use samovar_clock::Random;
use samovar_memory::Exceeded;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::context::Context;
use crate::{InvalidName, JobId, Kind, NewJob, Policy, QueueName, Rate, RemoteName};

/// A job is a type: its name, its policy, what it is pushed with, and what it does.
///
/// ```
/// use samovar_jobs::{Rate, run::{Context, Job, Registry, Stop}};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Charge { order: u64 }
///
/// impl Job for Charge {
///     const KIND: &'static str = "charge";
///     const RATE: Option<Rate> = Some(Rate::per_minute(90));
///     const NEEDS: &'static [&'static str] = &["square"];
///
///     async fn run(&self, cx: &Context) -> Result<(), Stop> {
///         cx.remote("square", async { Ok::<_, Stop>(()) }).await
///     }
/// }
///
/// let registry = Registry::default().with::<Charge>()?;
/// // As a config says.
/// let registry = registry.rate("charge", Some(Rate::per_second(5)))?;
/// # drop(registry);
/// # Ok::<_, samovar_jobs::run::UnfitKind>(())
/// ```
///
/// It may run more than once: whatever it does outside of Samovar has to bear a repetition, or go
/// through [`Context::once`].
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    const KIND: &'static str;
    const POLICY: Policy = Policy::DEFAULT;
    /// Where it goes unless told otherwise.
    const QUEUE: &'static str = "default";
    /// How many of them may be claimed, by all workers of a queue together.
    const RATE: Option<Rate> = None;
    /// What it calls through [`Context::remote`]: while the breaker of one of them is open, jobs of
    /// this kind are not claimed.
    const NEEDS: &'static [&'static str] = &[];

    /// While a job with this key has not ended, its queue takes no second one.
    fn unique_key(&self) -> Option<String> {
        None
    }

    fn run(&self, cx: &Context) -> impl Future<Output = Result<(), Stop>> + Send;

    /// How much it will read, where that can be known: what is expected to be too big for its class
    /// is split before it starts.
    fn size(&self, cx: &Context) -> impl Future<Output = Result<Option<Size>, Stop>> + Send {
        let _ = cx;
        async { Ok(None) }
    }

    /// What is left to do behind the last checkpoint, as about so many jobs. They follow in the
    /// batch of this one, which is done then. Fewer than two: it cannot be split.
    fn split(
        &self,
        cx: &Context,
        parts: usize,
    ) -> impl Future<Output = Result<Vec<Self>, Stop>> + Send {
        let _ = (cx, parts);
        async { Ok(Vec::new()) }
    }
}

/// How much a job will read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u64,
    pub bytes_per_row: u64,
}

impl Size {
    pub fn bytes(self) -> u64 {
        self.rows.saturating_mul(self.bytes_per_row)
    }
}

/// Why an attempt did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// An error: the policy says whether and when another attempt follows.
    Error(String),
    /// Not now, and no error: the attempt is spent, but counts as no exception.
    Later { after: Duration, reason: String },
    /// Nothing will make it work.
    Hopeless(String),
    /// What it is about is gone.
    Missing(String),
    /// The account went over its limit.
    Memory(Exceeded),
    /// It was told to stop: see [`Context::told`].
    Told,
    /// The breaker of this remote is open: the job goes back to its queue, the attempt unspent.
    Open(RemoteName),
}

/// What went over a limit stays that: it is no error to be tried again.
impl<E: std::error::Error + 'static> From<E> for Stop {
    fn from(error: E) -> Self {
        let any: &(dyn std::error::Error + 'static) = &error;
        if let Some(exceeded) = any.downcast_ref::<Exceeded>() {
            return Stop::Memory(exceeded.clone());
        }
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Stop::Error(text)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Error(reason)
            | Stop::Later { reason, .. }
            | Stop::Hopeless(reason)
            | Stop::Missing(reason) => f.write_str(reason),
            Stop::Memory(exceeded) => exceeded.fmt(f),
            Stop::Told => f.write_str("it was told to stop"),
            Stop::Open(remote) => write!(f, "the breaker of {remote} is open"),
        }
    }
}

/// A constant of a job type that is no name, or a payload that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NoSuchName {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("the payload of a job of kind {kind} cannot be written: {source}")]
    Payload { kind: &'static str, source: serde_json::Error },
}

/// A job of this type, to be pushed: of the system, on its own queue, to run at once.
pub fn new_job<J: Job>(job: &J, random: &Random) -> Result<NewJob, NoSuchName> {
    let payload =
        serde_json::to_vec(job).map_err(|source| NoSuchName::Payload { kind: J::KIND, source })?;
    let (queue, kind) = (QueueName::new(J::QUEUE)?, Kind::new(J::KIND)?);
    let mut new = NewJob::new(JobId::draw(random), queue, kind, payload);
    new.policy = J::POLICY;
    new.unique_key = job.unique_key();
    Ok(new)
}
