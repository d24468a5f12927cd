//! Breakers of a queue: what trips and closes them.

use rusqlite::{Connection, OptionalExtension, Row as Columns, params};

use super::{
    sql,
    tx::{Tx, Undone, damaged},
};
use crate::{
    job::cut,
    limits,
    name::{Hold, JobId, QueueName, RemoteName, Token},
    store::{BreakerState, BreakerView, Refusal, Report, Said, open_for},
};

#[derive(Debug, Clone)]
pub(super) struct BreakerRow {
    queue: i64,
    pub(super) remote: RemoteName,
    since_ms: i64,
    pub(super) until_ms: i64,
    trips: u32,
    reason: String,
    pub(super) probe: Option<Hold>,
}

impl BreakerRow {
    fn read(columns: &Columns<'_>) -> Result<Self, Undone> {
        let remote: String = columns.get(1)?;
        let probe = columns.get::<_, Option<i64>>(6)?.map(|id| JobId::from_u64(id as u64));
        let token = columns.get::<_, Option<i64>>(7)?.map(|token| Token(token as u64));
        Ok(Self {
            queue: columns.get(0)?,
            remote: RemoteName::new(remote).map_err(|error| damaged("a breaker", error))?,
            since_ms: columns.get(2)?,
            until_ms: columns.get(3)?,
            trips: columns.get(4)?,
            reason: columns.get(5)?,
            probe: probe.zip(token).map(|(id, token)| Hold { id, token }),
        })
    }

    pub(super) fn of_queue(tx: &Tx<'_>, queue: &QueueName) -> Result<Vec<Self>, Undone> {
        let mut list = tx.connection.prepare_cached(sql::BREAKERS_OF)?;
        list.query_and_then([queue.as_str()], Self::read)?.collect()
    }

    fn get(tx: &Tx<'_>, queue: i64, remote: &RemoteName) -> Result<Option<Self>, Undone> {
        let mut get = tx.connection.prepare_cached(sql::BREAKER_GET)?;
        let mut rows = get.query_and_then(params![queue, remote.as_str()], Self::read)?;
        rows.next().transpose()
    }

    pub(super) fn save(&self, tx: &Tx<'_>) -> Result<(), Undone> {
        tx.connection.prepare_cached(sql::BREAKER_PUT)?.execute(params![
            self.queue,
            self.remote.as_str(),
            self.since_ms,
            self.until_ms,
            self.trips,
            self.reason,
            self.probe.map(|probe| probe.id.as_u64() as i64),
            self.probe.map(|probe| probe.token.0 as i64),
        ])?;
        Ok(())
    }

    fn trip(&mut self, now_ms: i64, reason: &str) {
        self.trips = self.trips.saturating_add(1);
        let open_ms = i64::try_from(open_for(self.trips).as_millis()).unwrap_or(i64::MAX);
        self.until_ms = now_ms.saturating_add(open_ms);
        self.reason = cut(reason.to_owned(), limits::REASON_BYTES);
        self.probe = None;
    }

    pub(super) fn left(&self, now_ms: i64) -> std::time::Duration {
        let left_ms = self.until_ms.saturating_sub(now_ms);
        std::time::Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
    }

    fn state(&self, now_ms: i64) -> BreakerState {
        let next_probe = self.left(now_ms);
        match self.probe {
            _ if next_probe.is_zero() => BreakerState::Due,
            Some(probe) => BreakerState::Probing { job: probe.id, next_probe },
            None => BreakerState::Open { next_probe },
        }
    }
}

/// Gives for how long it now holds back jobs.
pub(super) fn report(tx: &Tx<'_>, report: &Report) -> Result<Option<std::time::Duration>, Undone> {
    let queue = tx.queue(&report.queue)?.id;
    let kept = BreakerRow::get(tx, queue, &report.remote)?;
    let kept = match (&report.said, kept) {
        (Said::Broken { reason }, None) => Some(broken(tx, queue, (report, reason))?),
        (Said::ProbeFailed { hold, reason }, Some(mut row)) if row.probe == Some(*hold) => {
            row.trip(tx.now_ms, reason);
            row.save(tx)?;
            Some(row)
        }
        (Said::ProbeUnused(hold), Some(mut row)) if row.probe == Some(*hold) => {
            (row.probe, row.until_ms) = (None, tx.now_ms);
            row.save(tx)?;
            Some(row)
        }
        (Said::ProbeWorked(hold), Some(row)) if row.probe == Some(*hold) => {
            delete(tx, queue, &report.remote)?;
            None
        }
        // What was said is about a time before the one that counts.
        (_, kept) => kept,
    };
    let left = kept.map(|row| row.left(tx.now_ms));
    Ok(left.filter(|left| !left.is_zero()))
}

fn broken(
    tx: &Tx<'_>,
    queue: i64,
    (report, reason): (&Report, &str),
) -> Result<BreakerRow, Undone> {
    let count = |row: &Columns<'_>| row.get::<_, i64>(0);
    let known = tx.connection.query_row(sql::BREAKER_COUNT, [queue], count)?;
    if known >= limits::BREAKERS_PER_QUEUE {
        let (queue, limit) = (report.queue.clone(), limits::BREAKERS_PER_QUEUE);
        return Err(Refusal::TooManyBreakers { queue, limit }.into());
    }
    let mut row = BreakerRow {
        queue,
        remote: report.remote.clone(),
        since_ms: tx.now_ms,
        until_ms: tx.now_ms,
        trips: 0,
        reason: String::new(),
        probe: None,
    };
    row.trip(tx.now_ms, reason);
    row.save(tx)?;
    Ok(row)
}

fn delete(tx: &Tx<'_>, queue: i64, remote: &RemoteName) -> Result<bool, Undone> {
    let mut delete = tx.connection.prepare_cached(sql::BREAKER_DELETE)?;
    Ok(delete.execute(params![queue, remote.as_str()])? > 0)
}

/// Whether it was not closed already.
pub(super) fn close(tx: &Tx<'_>, queue: &QueueName, remote: &RemoteName) -> Result<bool, Undone> {
    let mut get = tx.connection.prepare_cached(sql::QUEUE_GET)?;
    let queue = get.query_row([queue.as_str()], |row| row.get(0)).optional()?;
    queue.map_or(Ok(false), |queue| delete(tx, queue, remote))
}

pub(super) fn list(connection: &Connection, now_ms: u64) -> Result<Vec<BreakerView>, Undone> {
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let mut list = connection.prepare_cached(sql::BREAKERS_ALL)?;
    let views = list.query_and_then([], |columns| {
        let row = BreakerRow::read(columns)?;
        let queue: String = columns.get(8)?;
        Ok(BreakerView {
            queue: QueueName::new(queue).map_err(|error| damaged("a queue", error))?,
            state: row.state(now_ms),
            remote: row.remote,
            since_ms: row.since_ms as u64,
            trips: row.trips,
            reason: row.reason,
        })
    })?;
    views.collect()
}
