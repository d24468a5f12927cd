//! Failed jobs and what people do with them, over all queues.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use futures_util::future::try_join_all;

use super::{
    RedisStore, id_bytes, pack, reply,
    scripts::{FAILED, FORGET, PRUNE, REVIVE, SET},
};
use crate::{
    job::JobView,
    limits,
    name::{JobId, Kind, QueueName, Tenant},
    store::{Count, Cursor, Filter, Forgotten, Page, Revived, StoreError},
};

/// Jobs one script looks at. Of them each queue gives as many as a page shows.
const LOOKS: usize = limits::PAGE_LOOKS / 4;
/// Pages that one flush looks through for something to forget.
const FLUSH_PAGES: usize = 16;

/// A job of a list, and where it stands in it.
struct Row {
    at: Cursor,
    job: JobView,
}

/// What one queue gave, and where looking stopped unless it was the end.
struct Rows {
    rows: Vec<Row>,
    stopped: Option<Cursor>,
}

impl RedisStore {
    pub(crate) async fn failed(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<Page, StoreError> {
        let (found, next) = self.failed_rows(&filter, after, rows).await?;
        Ok(Page { jobs: found.into_iter().map(|row| row.job).collect(), next })
    }

    /// Of all queues together, the last that failed first.
    async fn failed_rows(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<(Vec<Row>, Option<Cursor>), StoreError> {
        let queues = match &filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.known().await?,
        };
        let asked = queues.iter().map(|queue| self.failed_on(queue, filter, after, most));
        let (mut found, mut stopped) = (Vec::new(), None::<Cursor>);
        for Rows { rows, stopped: at } in try_join_all(asked).await? {
            found.extend(rows);
            // Nothing behind the first stop is known of all queues.
            stopped = match (stopped, at) {
                (Some(one), Some(other)) if place(one) < place(other) => Some(other),
                (one, other) => one.or(other),
            };
        }
        found.sort_by_key(|row| Reverse(place(row.at)));
        found.retain(|row| stopped.is_none_or(|at| place(row.at) >= place(at)));
        if found.len() > most {
            found.truncate(most);
            stopped = found.last().map(|row| row.at);
        }
        Ok((found, stopped))
    }

    async fn failed_on(
        &self,
        queue: &QueueName,
        filter: &Filter,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Rows, StoreError> {
        let mark = mark(queue);
        let call = self.call(&FAILED, queue);
        let call = match after {
            // Of the same moment: what is before the one seen, whichever queue that was on.
            Some(after) if after.seq & MARKS <= mark => {
                call.arg(after.at_ms).arg(after.seq >> MARK_BITS)
            }
            Some(after) => call.arg(after.at_ms).arg((after.seq >> MARK_BITS) + 1),
            None => call.arg("+inf").arg(0),
        };
        let call = call
            .arg(most)
            .arg(LOOKS)
            .arg(filter.kind.as_ref().map_or("", Kind::as_str))
            .arg(filter.tenant.as_ref().map_or("", Tenant::as_str))
            .arg(filter.reason.as_deref().unwrap_or_default());
        let mut answer = self.ask(queue, &call).await?.ok_or_else(reply::unexpected)?;
        let (at_ms, seq) = (answer.text()?, answer.maybe_integer()?);
        let stopped = match (at_ms.parse(), seq) {
            (Ok(at_ms), Some(seq)) => Some(Cursor { at_ms, seq: seq << MARK_BITS | mark }),
            _ => None,
        };
        let seen = after.map(place);
        let mut rows = Vec::new();
        for value in answer {
            let row = row(queue, reply::list(value)?)?;
            if seen.is_none_or(|seen| place(row.at) < seen) {
                rows.push(row);
            }
        }
        Ok(Rows { rows, stopped })
    }

    pub(crate) async fn count_failed(&self, filter: Filter) -> Result<Count, StoreError> {
        if filter.tenant.is_none() && filter.reason.is_none() {
            return self.count_failed_of_lanes(&filter).await.map(Count::Exactly);
        }
        let (mut count, mut looked, mut after) = (0, 0, None);
        while looked < limits::PAGE_LOOKS {
            let (rows, next) = self.failed_rows(&filter, after, LOOKS).await?;
            count += rows.len() as u64;
            looked += LOOKS;
            after = next;
            if after.is_none() {
                return Ok(Count::Exactly(count));
            }
        }
        Ok(Count::AtLeast(count))
    }

    pub(crate) async fn revive(&self, jobs: Vec<JobId>) -> Result<Vec<Revived>, StoreError> {
        let told = self.each(&REVIVE, &jobs, 2).await?;
        Ok(told.into_iter().map(revived).collect())
    }

    pub(crate) async fn forget(&self, id: JobId) -> Result<bool, StoreError> {
        Ok(self.each(&FORGET, &[id], 0).await?.first() == Some(&1))
    }

    /// Goes on to what matches, however much stands before it.
    pub(crate) async fn flush(&self, filter: Filter) -> Result<Forgotten, StoreError> {
        let mut after = None;
        for _ in 0..FLUSH_PAGES {
            let (rows, next) = self.failed_rows(&filter, after, limits::CHUNK).await?;
            if !rows.is_empty() || next.is_none() {
                let jobs = self.forget_rows(&rows).await?;
                return Ok(Forgotten { jobs, more: next.is_some() });
            }
            after = next;
        }
        Ok(Forgotten { jobs: 0, more: false })
    }

    async fn forget_rows(&self, rows: &[Row]) -> Result<usize, StoreError> {
        let mut by_queue = BTreeMap::<&QueueName, Vec<JobId>>::new();
        for Row { job, .. } in rows {
            by_queue.entry(&job.queue).or_default().push(job.id);
        }
        let mut forgotten = 0;
        for (queue, ids) in by_queue {
            let mut call = self.call(&FORGET, queue);
            for id in ids {
                call = call.arg(&id_bytes(id)[..]);
            }
            let answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
            forgotten += answer.integers()?.into_iter().filter(|gone| *gone == 1).count();
        }
        Ok(forgotten)
    }

    pub(crate) async fn prune(&self, older_than: Duration) -> Result<Forgotten, StoreError> {
        // Older than any clock, and still a number that Lua counts exactly.
        let age_ms = super::claim::millis(older_than).min(1 << 48);
        let queues = self.known().await?;
        let mut all = Forgotten::default();
        for queue in &queues {
            let call = self.call(&PRUNE, queue).arg(age_ms).arg(limits::CHUNK);
            let mut answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
            let jobs = answer.size()? as usize;
            all.jobs += jobs;
            all.more |= jobs == limits::CHUNK;
        }
        Ok(all)
    }

    pub(crate) async fn set_paused(
        &self,
        queue: QueueName,
        paused: bool,
    ) -> Result<(), StoreError> {
        self.set(&queue, "paused", u64::from(paused)).await
    }

    pub(crate) async fn limit_queue(&self, queue: QueueName, most: u64) -> Result<(), StoreError> {
        self.set(&queue, "most", most).await
    }

    async fn set(&self, queue: &QueueName, what: &str, value: u64) -> Result<(), StoreError> {
        self.know(queue).await?;
        let call = self.call(&SET, queue).arg(what).arg(value);
        self.write(queue, &call, true).await.map(drop)
    }
}

/// Bits of a cursor's seq that tell jobs of several queues apart, whose seqs are their own.
const MARK_BITS: u32 = 14;
const MARKS: i64 = (1 << MARK_BITS) - 1;

fn mark(queue: &QueueName) -> i64 {
    i64::from(samovar_store::redis::slot_of(queue.as_str().as_bytes()))
}

fn place(cursor: Cursor) -> (i64, i64) {
    (cursor.at_ms, cursor.seq)
}

fn row(queue: &QueueName, mut answer: reply::Answer) -> Result<Row, StoreError> {
    let (id, head, lane) = (answer.id()?, answer.bytes()?, answer.bytes()?);
    let (body, reason) = (answer.bytes()?, answer.text()?);
    let head = pack::Head::read(&head).map_err(|error| reply::damaged("a job", error))?;
    let tenant = pack::read_tenant(&body).unwrap_or_else(|_| Tenant::system());
    let at = Cursor {
        at_ms: i64::try_from(head.at_ms).unwrap_or(i64::MAX),
        seq: (head.seq as i64) << MARK_BITS | mark(queue),
    };
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    let id = JobId::from_u64(id);
    Ok(Row { at, job: super::show::view(queue, id, &head, &lane, (tenant, reason))? })
}

fn revived(told: i64) -> Revived {
    match told {
        0 => Revived::Waiting,
        1 => Revived::KeyTaken,
        _ => Revived::NotFailed,
    }
}
