//! A job as it is pushed, as a worker gets it, and as it is shown.

use std::time::Duration;

use samovar_memory::Class;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    name::{BatchId, Hold, JobId, Kind, QueueName, RemoteName, Tenant, Token},
    policy::{InvalidPolicy, Policy},
    state::State,
    tally::Measured,
};

/// What is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    pub id: JobId,
    pub queue: QueueName,
    pub kind: Kind,
    /// Of the definitions it was made from: an older worker leaves it alone.
    pub version: u32,
    pub tenant: Tenant,
    pub payload: Vec<u8>,
    pub policy: Policy,
    /// While a job with this key has not ended, its queue takes no second one.
    pub unique_key: Option<String>,
    /// Counted by the store's time.
    pub delay: Duration,
    /// A batch on the same queue that has not finished.
    pub batch: Option<BatchId>,
}

impl NewJob {
    /// Of the system, to run at once under the default policy.
    pub fn new(id: JobId, queue: QueueName, kind: Kind, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            id,
            queue,
            kind,
            version: 0,
            tenant: Tenant::system(),
            payload: payload.into(),
            policy: Policy::DEFAULT,
            unique_key: None,
            delay: Duration::ZERO,
            batch: None,
        }
    }

    pub fn check(&self) -> Result<(), InvalidJob> {
        let fault = self.fault();
        fault.map_or(Ok(()), |fault| Err(InvalidJob { kind: self.kind.clone(), fault }))
    }

    fn fault(&self) -> Option<JobFault> {
        if let Err(invalid) = self.policy.check() {
            return Some(JobFault::Policy(invalid));
        }
        if self.payload.len() > limits::PAYLOAD_BYTES {
            return Some(JobFault::Payload { bytes: self.payload.len() });
        }
        let key_bytes = self.unique_key.as_ref().map(String::len);
        if key_bytes.is_some_and(|bytes| bytes == 0 || bytes > limits::KEY_BYTES) {
            return Some(JobFault::UniqueKey);
        }
        (self.delay > limits::LONGEST_DELAY).then_some(JobFault::Delay)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job of kind {kind} cannot be pushed: {fault}")]
pub struct InvalidJob {
    kind: Kind,
    fault: JobFault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum JobFault {
    #[error(transparent)]
    Policy(InvalidPolicy),
    #[error(
        "its payload has {bytes} bytes, at most {} fit: store the data where the job can read it",
        limits::PAYLOAD_BYTES
    )]
    Payload { bytes: usize },
    #[error("its unique key is empty or longer than {} bytes", limits::KEY_BYTES)]
    UniqueKey,
    #[error("its delay is longer than {} days", limits::LONGEST_DELAY.as_secs() / 86_400)]
    Delay,
}

/// What became of one job of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    New(JobId),
    /// The job of this id holds the unique key, or it is the same job, pushed before.
    AlreadyThere(JobId),
}

/// A job in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    pub hold: Hold,
    pub queue: QueueName,
    pub kind: Kind,
    pub version: u32,
    pub tenant: Tenant,
    pub payload: Vec<u8>,
    pub policy: Policy,
    /// Attempts spent, with this one and without those of which a worker's death is to blame.
    pub attempt: u32,
    /// Earlier attempts that ended in an error.
    pub exceptions: u32,
    /// It has to run in a process of its own.
    pub suspect: bool,
    pub batch: Option<BatchId>,
    /// As an earlier attempt left it.
    pub checkpoint: Option<Vec<u8>>,
    /// It tries them out: their breakers hold back all others until it has told how that went.
    pub probes: Vec<RemoteName>,
}

/// How far a running job says it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub of: u64,
    pub note: String,
}

/// How an attempt ended, as its worker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With its effects, which happen in the same transaction or not at all.
    Done {
        result: Option<Vec<u8>>,
        follow_ups: Vec<NewJob>,
    },
    /// Its subject is gone: nothing stays of the job.
    Missing,
    /// Another attempt follows; `exception` when it was an error that ended this one.
    Retry {
        after: Duration,
        reason: String,
        exception: bool,
    },
    Failed {
        reason: String,
    },
    /// The worker gives it back, the attempt unspent.
    Released,
    /// It went over its limit and has to run in a process of its own from now on: it goes back, the
    /// attempt unspent.
    Isolated {
        reason: String,
        /// What it may hold there.
        class: Class,
    },
    /// Its process died, and the worker, its parent, neither died nor caused it.
    Killed {
        reason: String,
    },
    /// It stopped because it was told to.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    pub hold: Hold,
    pub outcome: Outcome,
    pub record: Record,
    pub measured: Measured,
}

impl Finish {
    /// Without anything to remember of it, or measured.
    pub fn new(hold: Hold, outcome: Outcome) -> Self {
        let (record, measured) = Default::default();
        Self { hold, outcome, record, measured }
    }
}

/// What is kept of an attempt beside how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// What happened on the way: rungs of the ladder, mostly.
    pub notes: Vec<String>,
    /// What it held before it was stopped, the oldest first.
    pub flight: Vec<Flown>,
}

/// A sample of what a job held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flown {
    /// Before the end of the attempt.
    pub before_ms: u64,
    pub bytes: u64,
}

pub(crate) const NOTHING: Record = Record { notes: Vec::new(), flight: Vec::new() };

impl Record {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.flight.is_empty()
    }

    /// One more note; what is too long is cut, and the last ones stay.
    pub fn note(&mut self, note: impl Into<String>) {
        if self.notes.len() == limits::NOTES {
            self.notes.remove(1);
        }
        self.notes.push(cut(note.into(), limits::NOTE_BYTES));
    }

    /// As it is stored; nothing where there is nothing to store.
    pub(crate) fn stored(&self) -> Option<String> {
        let kept = limits::FLIGHT.min(self.flight.len());
        let mut record = Record::default();
        record.flight.extend_from_slice(&self.flight[self.flight.len() - kept..]);
        self.notes.iter().for_each(|note| record.note(note.as_str()));
        // Plain data always becomes JSON.
        if record.is_empty() { None } else { serde_json::to_string(&record).ok() }
    }
}

/// What became of a finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Where the job is now.
    Now(State),
    /// Nothing of it is left, as its policy says.
    Deleted,
    /// Somebody else has the job, or it ended without this worker: nothing was changed.
    Zombie,
}

/// What a worker is told of a job it believes to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held {
    Yes,
    /// It is still held, and should stop: somebody cancelled it.
    Cancelled,
    /// Stop: you are a zombie.
    Lost,
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    AtOnce,
    /// It runs: its worker learns it with the next renewal.
    Told,
    /// It had ended already, like this.
    Ended(State),
    Unknown,
}

/// An attempt that has ended, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedAttempt {
    pub token: Token,
    pub worker: String,
    pub ended_ms: u64,
    /// The step it ended with.
    pub step: String,
    pub reason: String,
    pub record: Record,
}

/// A job as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    pub id: JobId,
    pub queue: QueueName,
    pub kind: Kind,
    pub tenant: Tenant,
    pub state: State,
    pub suspect: bool,
    pub attempt: u32,
    pub exceptions: u32,
    pub kills: u32,
    pub batch: Option<BatchId>,
    pub pushed_ms: u64,
    /// By the store's time: when it is due, waits since, loses its lease, or ended.
    pub at_ms: u64,
    /// Of the last attempt that ended badly.
    pub reason: Option<String>,
}

/// The same with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDetails {
    pub job: JobView,
    pub payload: Vec<u8>,
    pub policy: Policy,
    pub progress: Option<Progress>,
    pub checkpoint: Option<Vec<u8>>,
    pub result: Option<Vec<u8>>,
    /// The first and the last ones, oldest first. An attempt that went well is among them if there
    /// is something to say of it.
    pub history: Vec<EndedAttempt>,
}

/// Cuts a text at a character, so that it fits.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> NewJob {
        let queue = QueueName::new("default").expect("a name");
        NewJob::new(JobId::from_u64(1), queue, Kind::new("mail").expect("a name"), *b"{}")
    }

    #[test]
    fn what_is_too_much_is_refused_by_name() {
        job().check().expect("sound");
        let refused = |change: fn(&mut NewJob)| {
            let mut job = job();
            change(&mut job);
            job.check().expect_err("too much").to_string()
        };
        let message = refused(|job| job.payload = vec![0; limits::PAYLOAD_BYTES + 1]);
        assert_eq!(
            message,
            "a job of kind mail cannot be pushed: its payload has 1048577 bytes, at most 1048576 \
             fit: store the data where the job can read it"
        );
        assert!(refused(|job| job.unique_key = Some(String::new())).contains("unique key"));
        assert!(refused(|job| job.delay = limits::LONGEST_DELAY * 2).contains("366 days"));
        assert!(refused(|job| job.policy.tries = 0).contains("`tries`"));
    }

    #[test]
    fn a_record_keeps_its_first_note_and_the_last_ones_and_the_last_of_the_flight() {
        let mut record = Record::default();
        assert_eq!(record.stored(), None);
        (0..100).for_each(|note| record.note(note.to_string()));
        record.note("x".repeat(limits::NOTE_BYTES + 1));
        record.flight = (0..500).map(|bytes| Flown { before_ms: 0, bytes }).collect();
        let stored = record.stored().expect("there is something");
        let stored: Record = serde_json::from_str(&stored).expect("it is readable");
        assert_eq!(stored.notes.len(), limits::NOTES);
        assert_eq!((stored.notes[0].as_str(), stored.notes[1].as_str()), ("0", "70"));
        assert_eq!(stored.notes[limits::NOTES - 1].len(), limits::NOTE_BYTES);
        assert_eq!(stored.flight.len(), limits::FLIGHT);
        assert_eq!(stored.flight[limits::FLIGHT - 1].bytes, 499);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé".to_owned(), 2), "a");
        assert_eq!(cut("aé".to_owned(), 3), "aé");
    }
}
