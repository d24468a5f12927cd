//! What is written down: a line of JSON for each thing that happened, with the time since boot, which
//! all processes of a machine share.

use samovar_jobs::{BatchId, JobId};
use serde::{Deserialize, Serialize};

use crate::fault::Kind;

/// Which start of which node: each has a number of its own.
pub(crate) type Life = u32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at_us: u64,
    pub(crate) life: Life,
    #[serde(flatten)]
    pub(crate) entry: Entry,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub(crate) enum Entry {
    /// The node has the store open and begins.
    Began { node: String },
    /// About to be pushed, all or nothing. Nobody knows yet.
    Offered { push: u64, jobs: Vec<Offer>, batch: Option<BatchOffer> },
    /// The store has acknowledged the push. Of some another one was there, which holds their key.
    Acked { push: u64, instead: Vec<(JobId, JobId)> },
    /// The store has refused it.
    Refused { push: u64, reason: String },
    /// The worker was given the job. That may have happened any time since it asked.
    Claimed { job: JobId, token: u64, asked_us: u64 },
    /// A further step that an attempt has passed.
    Step { step: String, job: JobId, token: u64, became: Option<String> },
    /// The job did what it is for.
    Effect { job: JobId, token: u64 },
    /// It left another one behind, which comes with its acknowledgement or not at all.
    Left { job: JobId, token: u64, offer: Offer },
    /// The node kills itself at a point.
    Dies { point: String },
    /// The machine gave the process nothing to do its work with for so long.
    Starved { ms: u64 },
    /// Something that the node did not expect.
    Trouble { reason: String },
    /// What was done to nodes, or to the servers of all of them.
    Fault { kind: Kind, hits: Hits, from_us: u64, until_us: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hits {
    Life(Life),
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) job: JobId,
    pub(crate) ends: Ends,
    pub(crate) batch: Option<BatchId>,
    pub(crate) unique: Option<String>,
}

/// How a job is meant to end, whatever happens to those who run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ends {
    Well,
    Badly,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchOffer {
    pub(crate) batch: BatchId,
    pub(crate) allow_failures: bool,
    pub(crate) then: JobId,
    pub(crate) catch: JobId,
    pub(crate) finally: JobId,
}

impl BatchOffer {
    pub(crate) fn callbacks(&self) -> [(&'static str, JobId); 3] {
        [("then", self.then), ("catch", self.catch), ("finally", self.finally)]
    }
}
