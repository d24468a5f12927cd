//! A job as it is shown: what anybody may know who sees it, and what its owner may.

use samovar_jobs::{EndedAttempt, JobDetails, JobView, Progress, Tenant};
use serde::Serialize;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobShown {
    pub id: String,
    pub queue: String,
    pub kind: String,
    /// Nothing: it is nobody's.
    pub tenant: Option<String>,
    pub state: &'static str,
    /// It ran when its worker was lost.
    pub suspect: bool,
    pub attempt: u32,
    pub exceptions: u32,
    pub kills: u32,
    pub batch: Option<String>,
    /// In milliseconds since the epoch, by the store's clock.
    pub pushed_ms: u64,
    /// When it is due, since when it waits, when its lease ends, or when it ended.
    pub at_ms: u64,
    /// Why its last bad attempt ended so. Nothing where it is not for whoever asks.
    pub reason: Option<String>,
}

/// With all that is kept of it. What is not for whoever asks is missing, and `redacted` says so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobFull {
    #[serde(flatten)]
    pub job: JobShown,
    pub redacted: bool,
    pub payload: Option<Value>,
    pub policy: Value,
    pub progress: Option<ProgressShown>,
    pub checkpoint: Option<Value>,
    pub result: Option<Value>,
    /// The first and the last attempts that ended, the oldest first.
    pub history: Vec<AttemptShown>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgressShown {
    pub done: u64,
    pub of: u64,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptShown {
    pub worker: String,
    pub ended_ms: u64,
    /// How it ended, as a step in the life of a job.
    pub step: String,
    pub reason: Option<String>,
    /// What happened on the way.
    pub notes: Vec<String>,
    /// What it held, with how long that was before its end.
    pub flight: Vec<FlownShown>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FlownShown {
    pub before_ms: u64,
    pub bytes: u64,
}

impl JobShown {
    pub fn redacted(self) -> Self {
        Self { reason: None, ..self }
    }
}

impl JobFull {
    /// Without what the job was given, made or said.
    pub fn redacted(self) -> Self {
        let attempt = |it| AttemptShown { reason: None, notes: Vec::new(), ..it };
        let progress = |it| ProgressShown { note: None, ..it };
        Self {
            job: self.job.redacted(),
            redacted: true,
            payload: None,
            checkpoint: None,
            result: None,
            progress: self.progress.map(progress),
            history: self.history.into_iter().map(attempt).collect(),
            policy: self.policy,
        }
    }
}

impl From<JobView> for JobShown {
    fn from(job: JobView) -> Self {
        Self {
            id: job.id.to_string(),
            queue: job.queue.into(),
            kind: job.kind.into(),
            tenant: (job.tenant != Tenant::system()).then(|| job.tenant.into()),
            state: job.state.name(),
            suspect: job.suspect,
            attempt: job.attempt,
            exceptions: job.exceptions,
            kills: job.kills,
            batch: job.batch.map(|batch| batch.to_string()),
            pushed_ms: job.pushed_ms,
            at_ms: job.at_ms,
            reason: job.reason,
        }
    }
}

impl From<JobDetails> for JobFull {
    fn from(details: JobDetails) -> Self {
        let JobDetails { job, payload, policy, progress, checkpoint, result, history } = details;
        Self {
            job: job.into(),
            redacted: false,
            payload: Some(value(&payload)),
            policy: serde_json::to_value(policy).unwrap_or_default(),
            progress: progress.map(ProgressShown::from),
            checkpoint: checkpoint.as_deref().map(value),
            result: result.as_deref().map(value),
            history: history.into_iter().map(AttemptShown::from).collect(),
        }
    }
}

impl From<Progress> for ProgressShown {
    fn from(Progress { done, of, note }: Progress) -> Self {
        Self { done, of, note: Some(note).filter(|note| !note.is_empty()) }
    }
}

impl From<EndedAttempt> for AttemptShown {
    fn from(attempt: EndedAttempt) -> Self {
        let flown =
            |it: samovar_jobs::Flown| FlownShown { before_ms: it.before_ms, bytes: it.bytes };
        Self {
            worker: attempt.worker,
            ended_ms: attempt.ended_ms,
            step: attempt.step,
            reason: Some(attempt.reason).filter(|reason| !reason.is_empty()),
            notes: attempt.record.notes,
            flight: attempt.record.flight.into_iter().map(flown).collect(),
        }
    }
}

/// What is no JSON is text.
fn value(bytes: &[u8]) -> Value {
    let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
    serde_json::from_slice(bytes).unwrap_or_else(|_| text())
}
