//! The life of a job: its states and every step between them, in one table.
//!
//! Whoever moves a job asks [`State::after`]; what is not in [`STEPS`] does not happen.

use std::fmt;

/// Where a job is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// Not before its time.
    Scheduled = 0,
    /// Whoever serves its queue may claim it; a suspect only to run it in a process of its own.
    Waiting = 1,
    /// A worker has it, and its attempt is spent, but it is on record that it has not started.
    Claimed = 2,
    Running = 3,
    Done = 4,
    Failed = 5,
    Cancelled = 6,
}

/// What may happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Push,
    /// Pushed with a delay.
    Schedule,
    /// Its time has come.
    Promote,
    Claim,
    Start,
    Finish,
    /// The attempt failed and another one follows.
    Retry,
    /// The attempt failed for good.
    Fail,
    /// Given back by its worker, the attempt unspent.
    Release,
    /// Its lease ran out, or its worker is known to be dead. What had started is a suspect.
    Lapse,
    /// It needs more memory than it may hold beside others: it runs next in a process of its own.
    Climb,
    /// It killed the process it ran in, and a living parent saw it.
    Kill,
    Cancel,
    /// Somebody wants it to be tried again.
    Revive,
}

use State::{Cancelled, Claimed, Done, Failed, Running, Scheduled, Waiting};

/// From (nothing: it is new), step, to. Drawn in `docs/jobs.md`.
pub const STEPS: &[(Option<State>, Step, State)] = &[
    (None, Step::Push, Waiting),
    (None, Step::Schedule, Scheduled),
    (Some(Scheduled), Step::Promote, Waiting),
    (Some(Scheduled), Step::Cancel, Cancelled),
    (Some(Waiting), Step::Claim, Claimed),
    (Some(Waiting), Step::Cancel, Cancelled),
    (Some(Claimed), Step::Start, Running),
    (Some(Claimed), Step::Release, Waiting),
    (Some(Claimed), Step::Lapse, Waiting),
    (Some(Claimed), Step::Fail, Failed),
    (Some(Claimed), Step::Cancel, Cancelled),
    (Some(Running), Step::Finish, Done),
    (Some(Running), Step::Retry, Scheduled),
    (Some(Running), Step::Fail, Failed),
    (Some(Running), Step::Release, Waiting),
    (Some(Running), Step::Lapse, Waiting),
    (Some(Running), Step::Climb, Waiting),
    (Some(Running), Step::Kill, Waiting),
    (Some(Running), Step::Cancel, Cancelled),
    (Some(Failed), Step::Revive, Waiting),
    (Some(Cancelled), Step::Revive, Waiting),
];

impl State {
    pub const ALL: [State; 7] = [Scheduled, Waiting, Claimed, Running, Done, Failed, Cancelled];

    /// Where `step` leads from here; nowhere when it may not happen.
    pub fn after(self, step: Step) -> Option<State> {
        Self::next(Some(self), step)
    }

    /// Where a new job begins.
    pub fn new(delayed: bool) -> State {
        if delayed { Scheduled } else { Waiting }
    }

    fn next(from: Option<State>, step: Step) -> Option<State> {
        let found = STEPS.iter().find(|(at, by, _)| (*at, *by) == (from, step));
        found.map(|(_, _, to)| *to)
    }

    /// A worker holds it: it has a lease and a token.
    pub fn is_held(self) -> bool {
        matches!(self, Claimed | Running)
    }

    pub fn has_ended(self) -> bool {
        matches!(self, Done | Failed | Cancelled)
    }

    pub fn name(self) -> &'static str {
        match self {
            Scheduled => "scheduled",
            Waiting => "waiting",
            Claimed => "claimed",
            Running => "running",
            Done => "done",
            Failed => "failed",
            Cancelled => "cancelled",
        }
    }

    /// From the number under which it is stored.
    pub fn from_number(number: i64) -> Option<State> {
        usize::try_from(number).ok().and_then(|index| Self::ALL.get(index).copied())
    }

    pub fn number(self) -> i64 {
        self as i64
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Step::Push => "push",
            Step::Schedule => "schedule",
            Step::Promote => "promote",
            Step::Claim => "claim",
            Step::Start => "start",
            Step::Finish => "finish",
            Step::Retry => "retry",
            Step::Fail => "fail",
            Step::Release => "release",
            Step::Lapse => "lapse",
            Step::Climb => "climb",
            Step::Kill => "kill",
            Step::Cancel => "cancel",
            Step::Revive => "revive",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../docs/jobs.md");

    #[test]
    fn the_drawing_shows_exactly_these_steps() {
        let (_, drawing) = PAGE.split_once("```mermaid").expect("a drawing");
        let (drawing, _) = drawing.split_once("```").expect("it ends");
        let arrow = |line: &str| {
            let (from, rest) = line.trim().split_once(" --> ")?;
            let (to, steps) = rest.split_once(" : ")?;
            let steps = steps.split(", ").map(|step| format!("{from} {step} {to}"));
            Some(steps.collect::<Vec<_>>())
        };
        let drawn: BTreeSet<String> = drawing.lines().filter_map(arrow).flatten().collect();
        let coded = STEPS.iter().map(|(from, step, to)| {
            let from = from.map_or("[*]", State::name);
            format!("{from} {} {to}", step.name())
        });
        assert_eq!(drawn, coded.collect());
    }

    #[test]
    fn a_step_leads_to_one_place() {
        let from: BTreeSet<_> = STEPS.iter().map(|(from, step, _)| (*from, step.name())).collect();
        assert_eq!(from.len(), STEPS.len());
    }

    #[test]
    fn every_state_but_done_has_a_way_out_and_numbers_come_back() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            let leaves = STEPS.iter().any(|(from, _, _)| *from == Some(state));
            assert_eq!(leaves, state != Done, "{state}");
            assert_eq!(state.number(), index as i64);
            assert_eq!(State::from_number(state.number()), Some(state));
        }
        assert_eq!(State::from_number(7), None);
        assert_eq!(State::from_number(-1), None);
    }

    #[test]
    fn what_is_new_begins_as_the_table_says() {
        assert_eq!(State::next(None, Step::Push), Some(State::new(false)));
        assert_eq!(State::next(None, Step::Schedule), Some(State::new(true)));
    }
}
