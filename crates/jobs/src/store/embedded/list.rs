//! Lists of jobs and batches, each along one index and as far as one look goes.

use rusqlite::{Connection, params};

use super::{batches, show, sql, tx::Undone};
use crate::{
    limits,
    name::{BatchId, Kind, QueueName, Tenant},
    store::{BatchFilter, BatchPage, Count, Cursor, Filter, List, Page},
};

/// As far as one look goes.
struct Matches {
    found: Vec<Cursor>,
    /// Where looking goes on; nothing when the end was reached.
    next: Option<Cursor>,
}

impl Filter {
    /// A row of one of the lists.
    fn matches(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
        let is = |wanted: Option<&str>, index| -> rusqlite::Result<bool> {
            let Some(wanted) = wanted else { return Ok(true) };
            Ok(row.get_ref(index)?.as_str()? == wanted)
        };
        Ok(is(self.queue.as_ref().map(QueueName::as_str), 2)?
            && is(self.kind.as_ref().map(Kind::as_str), 3)?
            && is_of(&self.tenants, row.get_ref(4)?.as_str()?)
            && self.state.is_none_or(|state| row.get(6) == Ok(state.number()))
            && self.batch.is_none_or(|batch| row.get(7) == Ok(Some(batch.as_u64() as i64)))
            && self.reason_matches(row)?)
    }

    fn reason_matches(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
        let Some(wanted) = &self.reason else { return Ok(true) };
        let reason: Option<String> = row.get(5)?;
        Ok(reason.is_some_and(|reason| reason.contains(wanted)))
    }
}

/// None named: anybody's.
fn is_of(tenants: &[Tenant], tenant: &str) -> bool {
    tenants.is_empty() || tenants.iter().any(|it| it.as_str() == tenant)
}

pub(super) fn page(
    connection: &Connection,
    list: List,
    filter: &Filter,
    after: Option<Cursor>,
    rows: usize,
) -> Result<Page, Undone> {
    let Matches { found, next } = matches(connection, list, filter, after, rows)?;
    let jobs: Result<_, Undone> =
        found.into_iter().map(|at| show::view(connection, at.seq)).collect();
    Ok(Page { jobs: jobs?, next })
}

pub(super) fn count_failed(connection: &Connection, filter: &Filter) -> Result<Count, Undone> {
    if filter.is_of_lanes() {
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let failed = connection.query_row(sql::LANES_FAILED, names(filter), count)?;
        return Ok(Count::Exactly(failed as u64));
    }
    let found = matches(connection, List::Failed, filter, None, usize::MAX)?;
    let count = found.found.len() as u64;
    Ok(if found.next.is_none() { Count::Exactly(count) } else { Count::AtLeast(count) })
}

fn names(filter: &Filter) -> (Option<&str>, Option<&str>) {
    (filter.queue.as_ref().map(QueueName::as_str), filter.kind.as_ref().map(Kind::as_str))
}

fn matches(
    connection: &Connection,
    list: List,
    filter: &Filter,
    after: Option<Cursor>,
    most: usize,
) -> rusqlite::Result<Matches> {
    let statement = match list {
        List::Waiting => return waiting(connection, filter, after, most),
        List::Held => sql::LIST_HELD,
        List::Scheduled => sql::LIST_SCHEDULED,
        List::Failed => sql::LIST_FAILED,
        List::Ended => sql::LIST_ENDED,
    };
    let after = after.unwrap_or_else(|| beginning(list));
    let mut rows = connection.prepare_cached(statement)?;
    let mut rows = rows.query(params![after.at_ms, after.seq, limits::PAGE_LOOKS as i64])?;
    let mut found = Matches { found: Vec::new(), next: None };
    let mut looks = 0;
    while let Some(row) = rows.next()? {
        let at = Cursor { seq: row.get(0)?, at_ms: row.get(1)? };
        if filter.matches(row)? {
            found.found.push(at);
        }
        looks += 1;
        if found.found.len() == most || looks == limits::PAGE_LOOKS {
            found.next = Some(at);
            break;
        }
    }
    Ok(found)
}

fn beginning(list: List) -> Cursor {
    let least = if list.descends() { i64::MAX } else { i64::MIN };
    Cursor { at_ms: least, seq: least }
}

/// Each lane has its own line: they are looked at equally far, and brought into one order.
fn waiting(
    connection: &Connection,
    filter: &Filter,
    after: Option<Cursor>,
    most: usize,
) -> rusqlite::Result<Matches> {
    let mut lanes = connection.prepare_cached(sql::LANES_WAITING)?;
    let lanes = lanes.query_map(names(filter), |row| row.get::<_, i64>(0))?;
    let lanes: Vec<i64> = lanes.collect::<Result<_, _>>()?;
    let each = (limits::PAGE_LOOKS / lanes.len().max(1)).max(1);
    let after = after.unwrap_or_else(|| beginning(List::Waiting));
    let rank = |at: &Cursor| List::Waiting.rank(*at);
    let mut rows = connection.prepare_cached(sql::LIST_WAITING)?;
    // Behind the first stop not all of them are known.
    let (mut found, mut stop) = (Vec::new(), None::<Cursor>);
    for lane in lanes {
        let mut rows = rows.query(params![after.at_ms, after.seq, each as i64, lane])?;
        let mut looks = 0;
        while let Some(row) = rows.next()? {
            let at = Cursor { seq: row.get(0)?, at_ms: row.get(1)? };
            if filter.matches(row)? {
                found.push(at);
            }
            looks += 1;
            if looks == each {
                stop = stop.into_iter().chain([at]).min_by_key(rank);
            }
        }
    }
    found.sort_unstable_by_key(rank);
    found.retain(|at| stop.is_none_or(|stop| rank(at) <= rank(&stop)));
    if found.len() >= most {
        found.truncate(most);
        stop = found.last().copied().or(stop);
    }
    Ok(Matches { found, next: stop })
}

pub(super) fn batches(
    connection: &Connection,
    filter: &BatchFilter,
    after: Option<Cursor>,
    most: usize,
) -> Result<BatchPage, Undone> {
    let statement = if filter.finished { sql::BATCHES_FINISHED } else { sql::BATCHES_OPEN };
    let after = after.unwrap_or_else(|| beginning(List::Ended));
    let mut rows = connection.prepare_cached(statement)?;
    let mut rows = rows.query(params![after.at_ms, after.seq, limits::PAGE_LOOKS as i64])?;
    let mut page = BatchPage { batches: Vec::new(), next: None };
    let mut looks = 0;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(10)?;
        let view = batches::read(row, BatchId::from_u64(id as u64))?;
        let at_ms = view.finished_ms.unwrap_or(view.created_ms) as i64;
        let is_on = filter.queue.as_ref().is_none_or(|queue| *queue == view.queue);
        if is_on && is_of(&filter.tenants, view.tenant.as_str()) {
            page.batches.push(view);
        }
        looks += 1;
        if page.batches.len() == most || looks == limits::PAGE_LOOKS {
            page.next = Some(Cursor { at_ms, seq: id });
            break;
        }
    }
    Ok(page)
}
