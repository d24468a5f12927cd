//! Failed jobs and what people do with them.

use rusqlite::{Connection, ErrorCode, params};

use super::{
    row::Row,
    show, sql, tallies,
    tx::{Tx, Undone},
};
use crate::{
    limits,
    name::{JobId, Kind, QueueName, Tenant},
    state::State,
    store::{Count, Cursor, Filter, Forgotten, Page, Revived},
};

/// As far as one page looks.
struct Matches {
    seqs: Vec<i64>,
    /// Where looking goes on; nothing when the end was reached.
    next: Option<Cursor>,
}

impl Filter {
    fn matches(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
        let is = |wanted: Option<&str>, index| -> rusqlite::Result<bool> {
            let Some(wanted) = wanted else { return Ok(true) };
            Ok(row.get_ref(index)?.as_str()? == wanted)
        };
        Ok(is(self.queue.as_ref().map(QueueName::as_str), 2)?
            && is(self.kind.as_ref().map(Kind::as_str), 3)?
            && is(self.tenant.as_ref().map(Tenant::as_str), 4)?
            && self.reason_matches(row.get(5)?))
    }

    fn reason_matches(&self, reason: Option<String>) -> bool {
        let Some(wanted) = &self.reason else { return true };
        reason.is_some_and(|reason| reason.contains(wanted))
    }

    /// The lanes' counts know.
    fn is_of_lanes(&self) -> bool {
        self.tenant.is_none() && self.reason.is_none()
    }
}

fn matches(
    connection: &Connection,
    filter: &Filter,
    after: Option<Cursor>,
    most: usize,
) -> rusqlite::Result<Matches> {
    let after = after.unwrap_or(Cursor { at_ms: i64::MAX, seq: i64::MAX });
    let mut list = connection.prepare_cached(sql::NEXT_FAILED)?;
    let mut rows = list.query(params![after.at_ms, after.seq, limits::PAGE_LOOKS as i64])?;
    let mut found = Matches { seqs: Vec::new(), next: None };
    let mut looks = 0;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        if filter.matches(row)? {
            found.seqs.push(seq);
        }
        looks += 1;
        if found.seqs.len() == most || looks == limits::PAGE_LOOKS {
            found.next = Some(Cursor { at_ms: row.get(1)?, seq });
            break;
        }
    }
    Ok(found)
}

pub(super) fn page(
    connection: &Connection,
    filter: &Filter,
    after: Option<Cursor>,
    rows: usize,
) -> Result<Page, Undone> {
    let Matches { seqs, next } = matches(connection, filter, after, rows)?;
    let jobs: Result<_, Undone> = seqs.into_iter().map(|seq| show::view(connection, seq)).collect();
    Ok(Page { jobs: jobs?, next })
}

pub(super) fn count(connection: &Connection, filter: &Filter) -> Result<Count, Undone> {
    if filter.is_of_lanes() {
        let (queue, kind) = (filter.queue.as_ref(), filter.kind.as_ref());
        let names = (queue.map(QueueName::as_str), kind.map(Kind::as_str));
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        return Ok(Count::Exactly(connection.query_row(sql::LANES_FAILED, names, count)? as u64));
    }
    let found = matches(connection, filter, None, usize::MAX)?;
    let count = found.seqs.len() as u64;
    Ok(if found.next.is_none() { Count::Exactly(count) } else { Count::AtLeast(count) })
}

pub(super) fn revive(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<Vec<Revived>, Undone> {
    let now_ms = tx.now_ms;
    let mut one = |id: &JobId| {
        let Some(mut row) = Row::by_id(tx.connection, *id)? else {
            return Ok(Revived::NotFailed);
        };
        match tx.step(&mut row, |row| row.revive(now_ms)) {
            Ok(true) => Ok(Revived::Waiting),
            Ok(false) => Ok(Revived::NotFailed),
            Err(Undone::Sqlite(error)) if is_constraint(&error) => Ok(Revived::KeyTaken),
            Err(error) => Err(error),
        }
    };
    jobs.iter().map(&mut one).collect()
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

pub(super) fn forget(tx: &mut Tx<'_>, id: JobId) -> Result<bool, Undone> {
    let row = Row::by_id(tx.connection, id)?.filter(|row| row.state == State::Failed);
    let Some(row) = row else { return Ok(false) };
    tx.delete(&row)?;
    Ok(true)
}

pub(super) fn flush(tx: &mut Tx<'_>, filter: &Filter) -> Result<Forgotten, Undone> {
    let Matches { seqs, next } = matches(tx.connection, filter, None, limits::CHUNK)?;
    let jobs = seqs.len();
    for seq in seqs {
        let job = show::view(tx.connection, seq)?;
        forget(tx, job.id)?;
    }
    Ok(Forgotten { jobs, more: next.is_some() })
}

pub(super) fn prune(tx: &mut Tx<'_>, before_ms: i64) -> Result<Forgotten, Undone> {
    let rows = tx.rows(sql::NEXT_ENDED, (before_ms, limits::CHUNK as i64))?;
    for row in &rows {
        tx.delete(row)?;
    }
    tx.write_counts()?;
    tx.connection.execute(sql::BATCHES_PRUNE, (before_ms, limits::CHUNK as i64))?;
    tx.connection.execute(sql::LANES_SWEEP, [])?;
    tx.connection.execute(sql::RATES_SWEEP, [tx.now_ms])?;
    tallies::sweep(tx)?;
    Ok(Forgotten { jobs: rows.len(), more: rows.len() == limits::CHUNK })
}

pub(super) fn set_paused(tx: &Tx<'_>, queue: i64, paused: bool) -> Result<(), Undone> {
    tx.connection.execute(sql::QUEUE_PAUSE, (queue, paused))?;
    Ok(())
}

pub(super) fn limit_queue(tx: &Tx<'_>, queue: i64, most: u64) -> Result<(), Undone> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    tx.connection.execute(sql::QUEUE_LIMIT, (queue, most))?;
    Ok(())
}
