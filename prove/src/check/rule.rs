//! What must hold, each by a name that is shown where it was broken.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// A job that was acknowledged is in the store until it has ended.
    JobKept,
    /// A batch that was acknowledged is in the store until it has finished.
    BatchKept,
    /// What has ended can still be looked at.
    EndKept,
    /// All jobs have ended once nothing is done to anybody any more.
    AllEnd,
    /// A job ends well or badly as it was meant to, whatever happened to those who ran it.
    RightEnd,
    /// No job is done without having done what it is for.
    NoEmptyEnd,
    /// What was refused is not there, and nothing that nobody pushed.
    NoStranger,
    /// A batch finishes, and its counts are those of its jobs.
    BatchFinishes,
    /// The callbacks that a batch calls for are there, once, and no others.
    Callbacks,
    /// What a job leaves behind comes once if it is done, else not at all.
    LeftOnce,
    /// A job whose end was acknowledged does not run again.
    NotAgain,
    /// An attempt is repeated only if a fault met it.
    Repeats,
    /// An attempt whose job was given to another one changes nothing any more.
    Fence,
    /// A unique key is free when the job that held it has ended, not before.
    Unique,
    /// Nodes end when they are told to, and meet nothing that they do not know what to do with.
    NoTrouble,
}

impl Rule {
    /// Whether what a store may forget can break it. Who forgets goes back to what was true a moment
    /// ago: all of that was right, so the other rules hold whatever is forgotten.
    pub(crate) fn is_about_memory(self) -> bool {
        matches!(
            self,
            Rule::JobKept
                | Rule::BatchKept
                | Rule::EndKept
                | Rule::NotAgain
                | Rule::Repeats
                | Rule::Fence
                | Rule::Unique
        )
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Rule::JobKept => "job kept",
            Rule::BatchKept => "batch kept",
            Rule::EndKept => "end kept",
            Rule::AllEnd => "all end",
            Rule::RightEnd => "right end",
            Rule::NoEmptyEnd => "no empty end",
            Rule::NoStranger => "no stranger",
            Rule::BatchFinishes => "batch finishes",
            Rule::Callbacks => "callbacks",
            Rule::LeftOnce => "left once",
            Rule::NotAgain => "not again",
            Rule::Repeats => "repeats",
            Rule::Fence => "fence",
            Rule::Unique => "unique",
            Rule::NoTrouble => "no trouble",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
