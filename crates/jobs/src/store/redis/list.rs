//! Lists of jobs and batches, over all queues in one order.

use futures_util::future::try_join_all;

use super::{
    RedisStore, pack, push, reply,
    scripts::{LIST, LIST_BATCHES},
};
use crate::{
    job::JobView,
    limits,
    name::{BatchId, JobId, Kind, QueueName, Tenant},
    store::{BatchFilter, BatchPage, Count, Cursor, Filter, List, Page, StoreError},
};

/// Jobs or batches one script looks at. Of them each queue gives as many as a page shows.
const LOOKS: usize = limits::PAGE_LOOKS / 4;

/// Something of a list, and where it stands in it.
struct Row<T> {
    at: Cursor,
    it: T,
}

/// What one queue gave, and where looking stopped unless it was the end.
struct Rows<T> {
    rows: Vec<Row<T>>,
    stopped: Option<Cursor>,
}

impl RedisStore {
    pub(crate) async fn list(
        &self,
        list: List,
        filter: Filter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<Page, StoreError> {
        let queues = self.named(filter.queue.as_ref()).await?;
        let asked = queues.iter().map(|queue| self.list_on(queue, list, &filter, after, rows));
        let (jobs, next) = merge(list, try_join_all(asked).await?, rows);
        Ok(Page { jobs, next })
    }

    async fn named(&self, queue: Option<&QueueName>) -> Result<Vec<QueueName>, StoreError> {
        match queue {
            Some(queue) => Ok(vec![queue.clone()]),
            None => self.known().await,
        }
    }

    async fn list_on(
        &self,
        queue: &QueueName,
        list: List,
        filter: &Filter,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Rows<JobView>, StoreError> {
        let mark = mark(queue);
        let call = self.call(&LIST, queue).arg(index_of(list));
        let call = match after {
            Some(after) => call.arg(after.at_ms).arg(seen_seq(list, after.seq, mark)),
            None => call.arg("").arg(0),
        };
        let state = filter.state.map_or_else(String::new, |state| state.number().to_string());
        let batch = filter.batch.map_or_else(Vec::new, |id| id.as_u64().to_be_bytes().to_vec());
        let mut call = call
            .arg(most)
            .arg(LOOKS)
            .arg(state)
            .arg(filter.kind.as_ref().map_or("", Kind::as_str))
            .arg(&batch[..])
            .arg(filter.reason.as_deref().unwrap_or_default());
        for tenant in &filter.tenants {
            call = call.arg(tenant.as_str());
        }
        let mut answer = self.ask(queue, &call).await?.ok_or_else(reply::unexpected)?;
        let (at_ms, seq) = (answer.text()?, answer.maybe_integer()?);
        let stopped = match (at_ms.parse(), seq) {
            (Ok(at_ms), Some(seq)) => Some(Cursor { at_ms, seq: seq << MARK_BITS | mark }),
            _ => None,
        };
        let mut rows = Vec::new();
        for value in answer {
            let row = row(queue, reply::list(value)?)?;
            if after.is_none_or(|after| list.rank(row.at) > list.rank(after)) {
                rows.push(row);
            }
        }
        Ok(Rows { rows, stopped })
    }

    pub(crate) async fn count_failed(&self, filter: Filter) -> Result<Count, StoreError> {
        if filter.is_of_lanes() {
            return self.count_failed_of_lanes(&filter).await.map(Count::Exactly);
        }
        let (mut count, mut looked, mut after) = (0, 0, None);
        while looked < limits::PAGE_LOOKS {
            let page = self.list(List::Failed, filter.clone(), after, LOOKS).await?;
            count += page.jobs.len() as u64;
            looked += LOOKS;
            after = page.next;
            if after.is_none() {
                return Ok(Count::Exactly(count));
            }
        }
        Ok(Count::AtLeast(count))
    }

    pub(crate) async fn batches(
        &self,
        filter: BatchFilter,
        after: Option<Cursor>,
        rows: usize,
    ) -> Result<BatchPage, StoreError> {
        let queues = self.named(filter.queue.as_ref()).await?;
        let asked = queues.iter().map(|queue| self.batches_on(queue, &filter, after, rows));
        let (batches, next) = merge(List::Ended, try_join_all(asked).await?, rows);
        Ok(BatchPage { batches, next })
    }

    async fn batches_on(
        &self,
        queue: &QueueName,
        filter: &BatchFilter,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Rows<crate::batch::BatchView>, StoreError> {
        let call = self.call(&LIST_BATCHES, queue).arg(if filter.finished { "bf" } else { "bo" });
        let call = match after {
            Some(after) => call.arg(after.at_ms).arg(&id_of(after.seq).to_be_bytes()[..]),
            None => call.arg("").arg(""),
        };
        let mut call = call.arg(most).arg(LOOKS);
        for tenant in &filter.tenants {
            call = call.arg(tenant.as_str());
        }
        let mut answer = self.ask(queue, &call).await?.ok_or_else(reply::unexpected)?;
        let (at_ms, id) = (answer.text()?, answer.bytes()?);
        let stopped = match (at_ms.parse(), <[u8; 8]>::try_from(id)) {
            (Ok(at_ms), Ok(id)) => Some(Cursor { at_ms, seq: seq_of(u64::from_be_bytes(id)) }),
            _ => None,
        };
        let mut rows = Vec::new();
        for value in answer {
            let mut fields = reply::list(value)?;
            let id = fields.id()?;
            let it = push::read_batch(queue, BatchId::from_u64(id), fields)?;
            let at_ms = if filter.finished { it.finished_ms } else { Some(it.created_ms) };
            let at_ms = at_ms.and_then(|at_ms| i64::try_from(at_ms).ok()).unwrap_or(0);
            rows.push(Row { at: Cursor { at_ms, seq: seq_of(id) }, it });
        }
        Ok(Rows { rows, stopped })
    }
}

/// What several queues gave, in one order. Behind the first stop not all of them are known.
fn merge<T>(list: List, given: Vec<Rows<T>>, most: usize) -> (Vec<T>, Option<Cursor>) {
    let rank = |at: &Cursor| list.rank(*at);
    let mut stopped = given.iter().filter_map(|it| it.stopped).min_by_key(rank);
    let mut found: Vec<Row<T>> = given.into_iter().flat_map(|it| it.rows).collect();
    found.sort_by_key(|row| rank(&row.at));
    found.retain(|row| stopped.is_none_or(|at| rank(&row.at) <= rank(&at)));
    if found.len() > most {
        found.truncate(most);
        stopped = found.last().map(|row| row.at);
    }
    (found.into_iter().map(|row| row.it).collect(), stopped)
}

fn index_of(list: List) -> &'static str {
    match list {
        List::Held => "leases",
        List::Waiting => "wait",
        List::Scheduled => "due",
        List::Failed => "failed",
        List::Ended => "ended",
    }
}

/// Bits of a cursor's seq that tell jobs of several queues apart, whose seqs are their own.
const MARK_BITS: u32 = 14;
const MARKS: i64 = (1 << MARK_BITS) - 1;

fn mark(queue: &QueueName) -> i64 {
    i64::from(samovar_store::redis::slot_of(queue.as_str().as_bytes()))
}

/// Up to which seq the jobs of a queue were seen that stand at the moment of a cursor, which may be of
/// another queue.
fn seen_seq(list: List, seq: i64, mark: i64) -> i64 {
    let own = seq >> MARK_BITS;
    match (seq & MARKS).cmp(&mark) {
        std::cmp::Ordering::Greater if list.descends() => own + 1,
        std::cmp::Ordering::Less if !list.descends() => own - 1,
        _ => own,
    }
}

/// Ids in the order in which Redis has them, as numbers with a sign.
fn seq_of(id: u64) -> i64 {
    (id ^ 1 << 63) as i64
}

fn id_of(seq: i64) -> u64 {
    seq as u64 ^ 1 << 63
}

fn row(queue: &QueueName, mut answer: reply::Answer) -> Result<Row<JobView>, StoreError> {
    let (id, at_ms, head, lane) =
        (answer.id()?, answer.integer()?, answer.bytes()?, answer.bytes()?);
    let (body, reason) = (answer.bytes()?, answer.text()?);
    let mut head = pack::Head::read(&head).map_err(|error| reply::damaged("a job", error))?;
    head.at_ms = u64::try_from(at_ms).unwrap_or(0);
    let tenant = pack::read_tenant(&body).unwrap_or_else(|_| Tenant::system());
    let at = Cursor { at_ms, seq: (head.seq as i64) << MARK_BITS | mark(queue) };
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    let id = JobId::from_u64(id);
    Ok(Row { at, it: super::show::view(queue, id, &head, &lane, (tenant, reason))? })
}
