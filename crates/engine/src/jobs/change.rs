//! Jobs are tried again, cancelled and forgotten: one, or all that match.

use samovar_jobs::{
    Cancelled, JobId, State, Store, StoreError,
    store::{Count, Cursor, Filter, List, Revived},
};
use serde::Serialize;

use super::{JobFailure, JobShown, JobsWanted};
use crate::engine::Engine;

/// Jobs that one call moves. The others: the next call.
const AT_ONCE: u64 = 100_000;

/// How many failed jobs match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bulk {
    pub matching: u64,
    /// Otherwise there are more: counting went on for as long as it may.
    pub exact: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retried {
    pub retried: u64,
    /// Left alone: another job that has not ended holds their unique key.
    pub key_taken: u64,
    /// There may be more that match: ask again.
    pub more: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flushed {
    pub forgotten: u64,
    pub more: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    pub forgotten: u64,
    pub more: bool,
}

impl Engine {
    /// As it is then. It has all its attempts again.
    pub async fn retry_job(&self, id: &str) -> Result<JobShown, JobFailure> {
        let (store, job) = self.found(id).await?;
        let named = || id.to_owned();
        match store.revive(vec![job]).await?.first() {
            Some(Revived::Waiting) => self.shown(store, job).await,
            Some(Revived::KeyTaken) => Err(JobFailure::KeyTaken { id: named() }),
            Some(Revived::NotFailed) | None => {
                let state = self.shown(store, job).await?.state;
                Err(JobFailure::NotEndedBadly { id: named(), state })
            }
        }
    }

    /// As it is then: what runs is told, and stops at its next step.
    pub async fn cancel_job(&self, id: &str) -> Result<JobShown, JobFailure> {
        let (store, job) = self.found(id).await?;
        match store.cancel(vec![job]).await?.first() {
            Some(Cancelled::AtOnce | Cancelled::Told) => self.shown(store, job).await,
            Some(Cancelled::Ended(state)) => {
                Err(JobFailure::Ended { id: id.to_owned(), state: state.name() })
            }
            Some(Cancelled::Unknown) | None => Err(JobFailure::Unknown { id: id.to_owned() }),
        }
    }

    /// As it was. Only a failed one is forgotten.
    pub async fn forget_job(&self, id: &str) -> Result<JobShown, JobFailure> {
        let (store, job) = self.found(id).await?;
        let shown = self.shown(store, job).await?;
        if store.forget(job).await? {
            return Ok(shown);
        }
        let state = self.shown(store, job).await?.state;
        Err(JobFailure::NotFailed { id: id.to_owned(), state })
    }

    /// How many failed jobs match.
    pub async fn count_failed(&self, wanted: &JobsWanted) -> Result<Bulk, JobFailure> {
        let store = self.job_store()?;
        let Some(filter) = of_failed(wanted)? else { return Ok(Bulk { matching: 0, exact: true }) };
        Ok(match store.count_failed(filter).await? {
            Count::Exactly(matching) => Bulk { matching, exact: true },
            Count::AtLeast(matching) => Bulk { matching, exact: false },
        })
    }

    /// All failed jobs that match are tried again.
    pub async fn retry_jobs(&self, wanted: &JobsWanted) -> Result<Retried, JobFailure> {
        let store = self.job_store()?;
        let Some(filter) = of_failed(wanted)? else { return Ok(Retried::default()) };
        let (mut all, mut after) = (Retried::default(), None);
        loop {
            let page = store.revive_failed(filter.clone(), after).await;
            let page = page.map_err(|error| midway(all.retried, "tried again", error))?;
            all.retried += page.waiting as u64;
            all.key_taken += page.key_taken as u64;
            after = page.next;
            all.more = after.is_some();
            if !all.more || all.retried >= AT_ONCE {
                return Ok(all);
            }
        }
    }

    /// All failed jobs that match are forgotten.
    pub async fn flush_jobs(&self, wanted: &JobsWanted) -> Result<Flushed, JobFailure> {
        let store = self.job_store()?;
        let Some(filter) = of_failed(wanted)? else { return Ok(Flushed::default()) };
        let flush = |after: Option<Cursor>| store.flush(filter.clone(), after);
        let (forgotten, more) = page_by_page("forgotten", flush).await?;
        Ok(Flushed { forgotten, more })
    }

    /// All jobs that ended, however, more than so long ago are forgotten.
    pub async fn prune_jobs(&self, older_than: std::time::Duration) -> Result<Pruned, JobFailure> {
        let store = self.job_store()?;
        let mut all = Pruned::default();
        loop {
            let some = store.prune(older_than).await;
            let some = some.map_err(|error| midway(all.forgotten, "forgotten", error))?;
            all.forgotten += some.jobs as u64;
            all.more = some.more;
            if !all.more || all.forgotten >= AT_ONCE {
                return Ok(all);
            }
        }
    }

    /// What waits or is scheduled and matches is cancelled; what starts meanwhile is told to stop.
    pub(super) async fn cancel_waiting(&self, filter: &Filter) -> Result<(u64, bool), JobFailure> {
        let store = self.job_store()?;
        let (mut all, mut any_more) = (0, false);
        for list in [List::Waiting, List::Scheduled] {
            let cancel = |after| store.cancel_page(list, filter.clone(), after);
            let (cancelled, more) = page_by_page("cancelled", cancel).await?;
            all += cancelled;
            any_more |= more;
        }
        Ok((all, any_more))
    }

    async fn found(&self, id: &str) -> Result<(&Store, JobId), JobFailure> {
        let store = self.job_store()?;
        let job = JobId::parse(id).ok_or_else(|| JobFailure::Unknown { id: id.to_owned() })?;
        Ok((store, job))
    }

    async fn shown(&self, store: &Store, id: JobId) -> Result<JobShown, JobFailure> {
        let details = store.show(id).await?;
        let unknown = || JobFailure::Unknown { id: id.to_string() };
        Ok(details.ok_or_else(unknown)?.job.into())
    }
}

/// How many, and whether there may be more.
async fn page_by_page<F>(
    what: &'static str,
    page: impl Fn(Option<Cursor>) -> F,
) -> Result<(u64, bool), JobFailure>
where
    F: Future<Output = Result<(usize, Option<Cursor>), StoreError>>,
{
    let (mut done, mut after) = (0, None);
    loop {
        let (some, next) = page(after).await.map_err(|error| midway(done, what, error))?;
        done += some as u64;
        after = next;
        if after.is_none() || done >= AT_ONCE {
            return Ok((done, after.is_some()));
        }
    }
}

fn midway(done: u64, what: &'static str, error: StoreError) -> JobFailure {
    if done == 0 { error.into() } else { JobFailure::Midway { done, what, error } }
}

fn of_failed(wanted: &JobsWanted) -> Result<Option<Filter>, JobFailure> {
    let filter = wanted.filter()?;
    Ok(filter.map(|filter| Filter { state: Some(State::Failed), ..filter }))
}
