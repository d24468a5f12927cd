//! The hot half of a job, and what each step does to it: pure.
//!
//! A job is a suspect as long as `lapses` is not zero: those attempts are spent, and given back as
//! soon as one shows that it was innocent.

use rusqlite::{Connection, OptionalExtension, Row as Columns};

use super::sql;
use crate::{
    name::{BatchId, JobId, Token},
    state::{State, Step},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) id: JobId,
    pub(super) lane: i64,
    pub(super) state: State,
    /// Its place in the line, kept while it is held, so that it does not lose it.
    pub(super) since_ms: i64,
    pub(super) at_ms: i64,
    pub(super) token: Token,
    pub(super) attempt: u32,
    pub(super) exceptions: u32,
    pub(super) lapses: u32,
    pub(super) kills: u32,
    pub(super) cancelling: bool,
    pub(super) worker: Option<String>,
    pub(super) batch: Option<BatchId>,
}

impl Row {
    pub(super) fn read(columns: &Columns<'_>) -> rusqlite::Result<Self> {
        let number = columns.get(3)?;
        Ok(Self {
            seq: columns.get(0)?,
            id: JobId::from_u64(columns.get::<_, i64>(1)? as u64),
            lane: columns.get(2)?,
            state: State::from_number(number)
                .ok_or(rusqlite::Error::IntegralValueOutOfRange(3, number))?,
            since_ms: columns.get(4)?,
            at_ms: columns.get(5)?,
            token: Token(columns.get::<_, i64>(6)? as u64),
            attempt: columns.get(7)?,
            exceptions: columns.get(8)?,
            lapses: columns.get(9)?,
            kills: columns.get(10)?,
            cancelling: columns.get(11)?,
            worker: columns.get(12)?,
            batch: columns.get::<_, Option<i64>>(13)?.map(|id| BatchId::from_u64(id as u64)),
        })
    }

    pub(super) fn by_id(connection: &Connection, id: JobId) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached(sql::JOB_BY_ID)?;
        statement.query_row([id.as_u64() as i64], Self::read).optional()
    }

    pub(super) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.prepare_cached(sql::JOB_SAVE)?.execute((
            self.seq,
            self.lane,
            self.state.number(),
            self.since_ms,
            self.at_ms,
            self.token.0 as i64,
            self.attempt,
            self.exceptions,
            self.lapses,
            self.kills,
            self.cancelling,
            self.worker.as_deref(),
        ))?;
        Ok(())
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.lapses > 0
    }

    /// Attempts spent that count.
    pub(super) fn spent(&self) -> u32 {
        self.attempt.saturating_sub(self.lapses)
    }

    /// Moves to where the step leads; false, and nothing done, when it may not happen.
    fn go(&mut self, step: Step) -> bool {
        let Some(to) = self.state.after(step) else { return false };
        self.state = to;
        if !to.is_held() {
            self.worker = None;
        }
        true
    }

    /// Its place in the line is since it was due, whenever that is noticed.
    pub(super) fn promote(&mut self) -> bool {
        self.go(Step::Promote)
    }

    pub(super) fn claim(&mut self, worker: &str, lease_end_ms: i64) -> bool {
        self.go(Step::Claim) && {
            self.token.0 += 1;
            self.attempt += 1;
            self.at_ms = lease_end_ms;
            self.worker = Some(worker.to_owned());
            true
        }
    }

    pub(super) fn start(&mut self) -> bool {
        self.go(Step::Start)
    }

    pub(super) fn finish(&mut self, now_ms: i64) -> bool {
        self.go(Step::Finish) && self.ended_innocent(now_ms)
    }

    pub(super) fn fail(&mut self, now_ms: i64) -> bool {
        self.go(Step::Fail) && self.ended_innocent(now_ms)
    }

    /// What killed or was lost too often fails as what it is.
    fn fail_as_suspect(&mut self, now_ms: i64) -> bool {
        self.at_ms = now_ms;
        self.go(Step::Fail)
    }

    pub(super) fn cancel(&mut self, now_ms: i64) -> bool {
        self.go(Step::Cancel) && {
            self.at_ms = now_ms;
            true
        }
    }

    pub(super) fn retry(&mut self, due_ms: i64, exception: bool) -> bool {
        self.go(Step::Retry) && self.ended_innocent(due_ms) && {
            self.since_ms = due_ms;
            self.exceptions += u32::from(exception);
            true
        }
    }

    pub(super) fn release(&mut self) -> bool {
        self.go(Step::Release) && self.waits_again_unspent()
    }

    /// What it needs is found out, and no try is lost by that.
    pub(super) fn climb(&mut self) -> bool {
        self.go(Step::Climb) && self.waits_again_unspent()
    }

    /// Taken back from a worker that is silent or dead. After `most` in a row it fails.
    pub(super) fn lapse(&mut self, now_ms: i64, most: u32) -> bool {
        if self.state == State::Claimed {
            return self.go(Step::Lapse) && self.waits_again_unspent();
        }
        self.lapses += 1;
        if self.lapses >= most {
            return self.fail_as_suspect(now_ms);
        }
        self.go(Step::Lapse) && {
            self.at_ms = self.since_ms;
            true
        }
    }

    pub(super) fn kill(&mut self, now_ms: i64, most: u32) -> bool {
        self.kills += 1;
        self.lapses += 1;
        if self.kills >= most {
            return self.fail_as_suspect(now_ms);
        }
        self.go(Step::Kill) && {
            self.at_ms = self.since_ms;
            true
        }
    }

    /// All attempts are given back, but a suspect stays one: nobody knows that it is innocent.
    pub(super) fn revive(&mut self, now_ms: i64) -> bool {
        self.go(Step::Revive) && {
            self.lapses = self.lapses.min(1);
            self.attempt = self.lapses;
            (self.exceptions, self.kills, self.cancelling) = (0, 0, false);
            (self.since_ms, self.at_ms) = (now_ms, now_ms);
            true
        }
    }

    fn waits_again_unspent(&mut self) -> bool {
        self.attempt -= 1;
        self.at_ms = self.since_ms;
        true
    }

    /// It ran to an end of its own, so the deaths before were not its fault.
    fn ended_innocent(&mut self, at_ms: i64) -> bool {
        self.attempt = self.spent();
        self.lapses = 0;
        self.at_ms = at_ms;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Row {
        Row {
            seq: 1,
            id: JobId::from_u64(1),
            lane: 1,
            state: State::Waiting,
            since_ms: 10,
            at_ms: 10,
            token: Token(0),
            attempt: 0,
            exceptions: 0,
            lapses: 0,
            kills: 0,
            cancelling: false,
            worker: None,
            batch: None,
        }
    }

    fn running(row: &mut Row) {
        assert!(row.claim("w", 100) && row.start(), "{row:?}");
    }

    #[test]
    fn an_attempt_is_spent_at_claim_and_given_back_if_it_did_not_start() {
        let mut row = waiting();
        assert!(row.claim("w", 100));
        assert_eq!((row.attempt, row.token, row.at_ms), (1, Token(1), 100));
        assert!(row.lapse(200, 3));
        assert_eq!((row.state, row.attempt, row.at_ms), (State::Waiting, 0, 10));
        assert!(!row.is_suspect());
        assert!(row.claim("w", 100) && row.release());
        assert_eq!((row.attempt, row.token), (0, Token(2)), "tokens are never given back");
    }

    #[test]
    fn an_innocent_suspect_gets_back_what_the_deaths_cost() {
        let mut row = waiting();
        running(&mut row);
        assert!(row.lapse(200, 3));
        assert_eq!((row.state, row.attempt, row.spent()), (State::Waiting, 1, 0));
        assert!(row.is_suspect());
        running(&mut row);
        assert!(row.retry(500, true));
        assert_eq!((row.attempt, row.exceptions, row.at_ms), (1, 1, 500));
        assert!(!row.is_suspect());
    }

    #[test]
    fn kills_have_their_own_limit_and_so_has_being_lost() {
        let mut row = waiting();
        running(&mut row);
        assert!(row.kill(200, 2));
        assert_eq!((row.state, row.spent()), (State::Waiting, 0));
        running(&mut row);
        assert!(row.kill(300, 2));
        assert_eq!((row.state, row.kills, row.at_ms), (State::Failed, 2, 300));
        assert!(row.revive(400));
        assert_eq!((row.kills, row.spent()), (0, 0));
        assert!(row.is_suspect(), "a revived killer still runs alone");

        let mut lost = waiting();
        for round in 0..3 {
            assert_eq!(lost.state, State::Waiting, "{round}");
            running(&mut lost);
            assert!(lost.lapse(200, 3));
        }
        assert_eq!(lost.state, State::Failed);
    }

    #[test]
    fn a_step_that_may_not_happen_changes_nothing() {
        let mut row = waiting();
        let before = row.clone();
        assert!(!row.finish(1) && !row.start() && !row.release() && !row.revive(1));
        assert!(!row.retry(1, true) && !row.promote());
        assert_eq!(row, before);
    }
}
