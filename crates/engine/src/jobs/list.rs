//! Which jobs and batches there are, page by page.

use samovar_jobs::{
    BatchId, JobId, Kind, QueueName, State, Store, Tenant,
    store::{BatchFilter, Cursor, Filter, List},
};
use samovar_widgets::nearest;
use serde::Serialize;

use super::{JobFailure, JobFull, JobShown};
use crate::{Batch, engine::Engine};

/// Which jobs are wanted. Nothing said: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsWanted {
    pub queue: Option<String>,
    pub kind: Option<String>,
    pub batch: Option<String>,
    /// One of these; none: anybody's, and nobody's.
    pub tenants: Vec<String>,
    /// In the reason of the last attempt.
    pub reason: Option<String>,
    /// `running` are those that were claimed as well.
    pub state: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ManyJobs {
    /// What runs, then what waits, what is scheduled, and what has ended, the last first.
    pub jobs: Vec<JobShown>,
    /// Where the list goes on, unless this is its end.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchesWanted {
    pub queue: Option<String>,
    pub tenants: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ManyBatches {
    /// Those that have not finished first, the last that was pushed before the others.
    pub batches: Vec<Batch>,
    pub next: Option<String>,
}

/// Lists that are shown one after the other, each under the letter by which a place in it begins.
const LISTS: [(List, char); 4] =
    [(List::Held, 'r'), (List::Waiting, 'w'), (List::Scheduled, 's'), (List::Ended, 'e')];
/// What failed alone: it has an index of its own.
const FAILED: (List, char) = (List::Failed, 'f');
/// Pages that one call looks at for something that matches. Then: a page with less, or nothing.
const LOOKS: usize = 8;

/// Several lists as one, page by page.
struct Walk<L> {
    /// What is left of them, the next one last.
    lists: Vec<(L, char)>,
    cursor: Option<Cursor>,
    looks: usize,
}

impl<L: Copy> Walk<L> {
    fn begin(lists: &[(L, char)], after: Option<&str>) -> Result<Self, JobFailure> {
        let mut lists: Vec<_> = lists.iter().rev().copied().collect();
        let mut cursor = None;
        if let Some(after) = after {
            let (letter, at) = place(after)?;
            let at_list = lists.iter().position(|(_, it)| *it == letter);
            lists.truncate(at_list.ok_or_else(|| no_place(after))? + 1);
            cursor = at;
        }
        Ok(Self { lists, cursor, looks: 0 })
    }

    /// Which list is looked at next, and from where on.
    fn next(&mut self) -> Option<(L, Option<Cursor>)> {
        let (list, _) = self.lists.last().filter(|_| self.looks < LOOKS)?;
        self.looks += 1;
        Some((*list, self.cursor))
    }

    /// As far as that list went, or to its end.
    fn went(&mut self, next: Option<Cursor>) {
        self.cursor = next;
        if next.is_none() {
            self.lists.pop();
        }
    }

    fn place(&self) -> Option<String> {
        self.lists.last().map(|(_, letter)| name(*letter, self.cursor))
    }
}

impl Engine {
    /// At most so many jobs, from a place on that an earlier page has named.
    pub async fn list_jobs(
        &self,
        wanted: &JobsWanted,
        after: Option<&str>,
        most: usize,
    ) -> Result<ManyJobs, JobFailure> {
        let store = self.job_store()?;
        let mut walk = Walk::begin(&wanted.lists()?, after)?;
        let Some(filter) = wanted.filter()? else { return Ok(ManyJobs::default()) };
        let mut jobs: Vec<JobShown> = Vec::new();
        while jobs.len() < most
            && let Some((list, cursor)) = walk.next()
        {
            let page = store.list(list, filter.clone(), cursor, most - jobs.len()).await?;
            jobs.extend(page.jobs.into_iter().map(JobShown::from));
            walk.went(page.next);
        }
        Ok(ManyJobs { jobs, next: walk.place() })
    }

    pub async fn job(&self, id: &str) -> Result<Option<JobFull>, JobFailure> {
        let (store, Some(id)) = (self.job_store()?, JobId::parse(id)) else { return Ok(None) };
        Ok(store.show(id).await?.map(JobFull::from))
    }

    /// As [`Engine::list_jobs`].
    pub async fn list_batches(
        &self,
        wanted: &BatchesWanted,
        after: Option<&str>,
        most: usize,
    ) -> Result<ManyBatches, JobFailure> {
        let store = self.job_store()?;
        let queue = queue_named(wanted.queue.as_deref())?;
        let mut walk = Walk::begin(&[(false, 'o'), (true, 'f')], after)?;
        let Some(tenants) = tenants(&wanted.tenants) else { return Ok(ManyBatches::default()) };
        let mut batches: Vec<Batch> = Vec::new();
        while batches.len() < most
            && let Some((finished, cursor)) = walk.next()
        {
            let filter = BatchFilter { finished, queue: queue.clone(), tenants: tenants.clone() };
            let page = store.batches(filter, cursor, most - batches.len()).await?;
            batches.extend(page.batches.into_iter().map(Batch::from));
            walk.went(page.next);
        }
        Ok(ManyBatches { batches, next: walk.place() })
    }

    pub(super) fn job_store(&self) -> Result<&Store, JobFailure> {
        self.0.jobs.as_deref().ok_or(JobFailure::NoJobs)
    }
}

impl JobsWanted {
    /// `None`: nothing can match.
    pub(super) fn filter(&self) -> Result<Option<Filter>, JobFailure> {
        let Some(tenants) = tenants(&self.tenants) else { return Ok(None) };
        let batch = match &self.batch {
            None => None,
            Some(id) => match BatchId::parse(id) {
                None => return Ok(None),
                some => some,
            },
        };
        let kind = self.kind.as_ref().map(Kind::new).transpose();
        let kind = kind.map_err(|error| JobFailure::Name { field: "kind", error })?;
        // Who is claimed runs as good as.
        let state = self.state()?.filter(|state| *state != State::Running);
        let queue = queue_named(self.queue.as_deref())?;
        let reason = self.reason.clone();
        if reason.as_ref().is_some_and(String::is_empty) {
            // It would be in each of them.
            let (field, what) = ("reason", "text to look for");
            return Err(JobFailure::Value { field, found: String::new(), what });
        }
        Ok(Some(Filter { queue, kind, tenants, reason, batch, state }))
    }

    fn lists(&self) -> Result<Vec<(List, char)>, JobFailure> {
        let Some(state) = self.state()? else { return Ok(LISTS.to_vec()) };
        let of_state = List::of(state);
        let all = LISTS.into_iter().chain([FAILED]);
        Ok(all.filter(|(list, _)| *list == of_state).collect())
    }

    fn state(&self) -> Result<Option<State>, JobFailure> {
        let Some(found) = &self.state else { return Ok(None) };
        let known = || State::ALL.into_iter().filter(|state| *state != State::Claimed);
        let state = known().find(|state| state.name() == found);
        let nearest = || nearest(found, known().map(State::name)).map(str::to_owned);
        let unknown = || JobFailure::State { found: found.clone(), nearest: nearest() };
        state.map(Some).ok_or_else(unknown)
    }
}

pub(super) fn queue_named(name: Option<&str>) -> Result<Option<QueueName>, JobFailure> {
    let queue = name.map(QueueName::new).transpose();
    queue.map_err(|error| JobFailure::Name { field: "queue", error })
}

/// `None` where tenants are named and none of them can have jobs: the system is none.
fn tenants(ids: &[String]) -> Option<Vec<Tenant>> {
    let mut named: Vec<_> = ids.iter().filter_map(|id| Tenant::new(id).ok()).collect();
    named.retain(|tenant| *tenant != Tenant::system());
    (ids.is_empty() || !named.is_empty()).then_some(named)
}

fn name(letter: char, cursor: Option<Cursor>) -> String {
    cursor.map_or_else(|| letter.to_string(), |cursor| format!("{letter}{cursor}"))
}

/// The letter of a list, and where in it.
fn place(text: &str) -> Result<(char, Option<Cursor>), JobFailure> {
    let letter = text.chars().next().ok_or_else(|| no_place(text))?;
    match &text[letter.len_utf8()..] {
        "" => Ok((letter, None)),
        at => Ok((letter, Some(Cursor::parse(at).ok_or_else(|| no_place(text))?))),
    }
}

fn no_place(text: &str) -> JobFailure {
    JobFailure::Cursor { found: text.chars().take(64).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_and_any_other_text_is_refused() {
        assert_eq!(place("w"), Ok(('w', None)));
        let at = Cursor::parse("17.-4");
        assert_eq!(place(&name('e', at)), Ok(('e', at)));
        for text in ["", "e1", "e1.", "e1.x", "ü7", "17.4.5"] {
            assert!(place(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_system_is_nobodys_tenant() {
        let ids = |ids: &[&str]| ids.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(tenants(&[]), Some(Vec::new()));
        assert_eq!(tenants(&ids(&["system"])), None, "it would be everybody's");
        assert_eq!(tenants(&ids(&["a b"])), None, "no job can be of that name");
        assert_eq!(tenants(&ids(&["system", "north"])).map(|it| it.len()), Some(1));
        let wanted = JobsWanted { state: Some("runing".to_owned()), ..JobsWanted::default() };
        let Err(JobFailure::State { nearest, .. }) = wanted.lists() else { panic!("no state") };
        assert_eq!(nearest.as_deref(), Some("running"));
    }
}
