//! What is to be warmed, and the batch of jobs that it becomes.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc, time::Duration};

use samovar_jobs::{
    BatchId, BatchName, BatchView, Callbacks, InvalidName, JobView, NewBatch, NewJob, QueueName,
    Store, StoreError, Tenant, limits,
    run::{Job, new_job},
    store::Filter,
};
use samovar_widgets::{InvalidRange, Range};
use serde::{Deserialize, Serialize};

use super::jobs::{Warm, Warmed};
use crate::{
    NoTenant, ReadFailure,
    engine::{Engine, Inner},
};

/// What is to be warmed. Nothing named: everything that the definitions list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarmUp {
    pub widgets: Vec<String>,
    /// Instead of those that each widget lists. Widgets without a range are left out then.
    pub ranges: Vec<String>,
    pub tenants: Vec<String>,
    /// Also what is fresh: it is recomputed from the source, its partials with it.
    pub force: bool,
    /// So many jobs, each of which takes its tenants one after the other. Otherwise a job for each
    /// tenant, as many at a time as the workers have room for.
    pub parallel: Option<usize>,
    pub queue: Option<String>,
    /// What the batch is called.
    pub name: Option<String>,
}

impl WarmUp {
    /// Unless it has a name of its own.
    pub(crate) fn called(self, name: &str) -> Self {
        Self { name: self.name.or_else(|| Some(name.to_owned())), ..self }
    }
}

/// A warm-up that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warming {
    pub batch: String,
    pub name: String,
    pub queue: String,
    pub jobs: usize,
    pub tenants: usize,
}

/// How far a batch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    pub id: String,
    pub name: String,
    pub queue: String,
    /// Whose readings it makes, where that is one tenant.
    pub tenant: Option<String>,
    /// `running`, `cancelling`, `done`, `failed` where jobs of it failed, `cancelled`.
    pub state: &'static str,
    pub total: u64,
    pub pending: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// In milliseconds since the epoch, by the store's clock.
    pub created_ms: u64,
    pub finished_ms: Option<u64>,
    /// The last of its jobs that failed.
    pub failures: Vec<FailedJob>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedJob {
    pub id: String,
    pub tenant: String,
    /// Nothing where it is not for whoever asks.
    pub reason: Option<String>,
}

/// Why nothing is warmed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WarmFailure {
    #[error("this process has no store of jobs")]
    NoJobs,
    #[error(transparent)]
    Named(#[from] ReadFailure),
    #[error(transparent)]
    Range(#[from] InvalidRange),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("{found} jobs side by side: between 1 and {most} can be")]
    Parallel { found: usize, most: usize },
    #[error("{tenants} tenants are too many for {jobs} jobs: let more run side by side")]
    TooFewJobs { tenants: usize, jobs: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoTenant> for WarmFailure {
    fn from(error: NoTenant) -> Self {
        Self::Named(error.into())
    }
}

/// Where refreshes and warm-ups go unless told otherwise.
pub(crate) const QUEUE: &str = "cache";
/// Failed jobs that are shown of a batch.
const FAILURES_SHOWN: usize = 10;
/// The longest time that one tenant may take.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of names of tenants in one job. More of them need more jobs.
const NAMES_IN_A_JOB: usize = limits::PAYLOAD_BYTES / 2;

impl Engine {
    /// Pushes a warm-up. It goes on in whichever process has workers.
    pub async fn warm(&self, warm_up: &WarmUp) -> Result<Warming, WarmFailure> {
        let inner = &self.0;
        let tenants = inner.tenants_to_warm(warm_up).await?;
        inner.push_warm_up(warm_up, tenants, BatchId::draw(&inner.random)).await
    }

    /// `None`: there is no such batch, or not any more.
    pub async fn batch(&self, id: &str) -> Result<Option<Batch>, WarmFailure> {
        let (jobs, Some(id)) = (self.0.jobs()?, BatchId::parse(id)) else { return Ok(None) };
        self.0.shown(jobs, id).await
    }

    /// From now on none of its jobs starts, and those that run are told to stop.
    pub async fn cancel_batch(&self, id: &str) -> Result<Option<Batch>, WarmFailure> {
        let (jobs, Some(id)) = (self.0.jobs()?, BatchId::parse(id)) else { return Ok(None) };
        let cancelled = jobs.cancel_batch(id).await?;
        // What waits of it ends now, and not only when a worker looks.
        while cancelled.is_some() && jobs.tend().await?.more {}
        self.0.shown(jobs, id).await
    }
}

impl Inner {
    pub(crate) fn jobs(&self) -> Result<&Arc<Store>, WarmFailure> {
        self.jobs.as_ref().ok_or(WarmFailure::NoJobs)
    }

    async fn shown(&self, jobs: &Store, id: BatchId) -> Result<Option<Batch>, WarmFailure> {
        let Some(view) = jobs.show_batch(id).await? else { return Ok(None) };
        let (failed, queue) = (view.failed, view.queue.clone());
        let mut batch = Batch::from(view);
        if failed > 0 {
            let filter = Filter { queue: Some(queue), batch: Some(id), ..Filter::default() };
            let page = jobs.failed(filter, None, FAILURES_SHOWN).await?;
            batch.failures = page.jobs.into_iter().map(FailedJob::from).collect();
        }
        Ok(Some(batch))
    }

    /// Those that are read the most come first.
    pub(super) async fn tenants_to_warm(
        self: &Arc<Self>,
        warm_up: &WarmUp,
    ) -> Result<Vec<String>, WarmFailure> {
        for widget in &warm_up.widgets {
            self.served(widget)?;
        }
        for range in &warm_up.ranges {
            range.parse::<Range>()?;
        }
        let mut tenants = Vec::new();
        if warm_up.tenants.is_empty() {
            tenants.extend(self.members().await?.keys().cloned());
        }
        for id in &warm_up.tenants {
            self.member(id).await?;
            if !tenants.contains(id) {
                tenants.push(id.clone());
            }
        }
        let popular = self.usual.popular(self).await;
        tenants.sort_by_cached_key(|id| Reverse(popular.of_tenant(id)));
        Ok(tenants)
    }

    /// A batch of this id that is there already is not pushed again.
    pub(super) async fn push_warm_up(
        &self,
        warm_up: &WarmUp,
        tenants: Vec<String>,
        id: BatchId,
    ) -> Result<Warming, WarmFailure> {
        let count = tenants.len();
        let jobs = divide(warm_up, tenants)?;
        let jobs = jobs.into_iter().map(|tenants| Warm {
            tenants,
            widgets: warm_up.widgets.clone(),
            ranges: warm_up.ranges.clone(),
            force: warm_up.force,
            readings: Vec::new(),
        });
        self.push_warm_jobs(warm_up, jobs.collect(), count, id).await
    }

    pub(super) async fn push_warm_jobs(
        &self,
        warm_up: &WarmUp,
        jobs: Vec<Warm>,
        tenants: usize,
        id: BatchId,
    ) -> Result<Warming, WarmFailure> {
        let rule = self.rules.of(Warm::KIND);
        let queue = match (&warm_up.queue, rule.and_then(|rule| rule.queue.clone())) {
            (Some(named), _) => QueueName::new(named)?,
            (None, of_kind) => of_kind.map_or_else(|| QueueName::new(QUEUE), Ok)?,
        };
        let name = BatchName::new(warm_up.name.as_deref().unwrap_or("warm"))?;
        let (count, tenant) = (jobs.len(), only_tenant(&jobs));
        let jobs = jobs.iter().map(|job| {
            let mut new = self.new_job(job, &queue);
            let most = u32::try_from(job.tenants.len()).unwrap_or(u32::MAX);
            let each = rule.and_then(|rule| rule.timeout).unwrap_or(TIMEOUT);
            new.policy.timeout = (each * most.max(1)).min(limits::LONGEST_TIMEOUT);
            new.batch = Some(id);
            new.tenant = only_tenant(std::slice::from_ref(job));
            new
        });
        let jobs = jobs.collect();
        let warmed = Warmed { batch: id.to_string(), periods: self.periods(warm_up) };
        let finally = Some(self.new_job(&warmed, &queue));
        let batch = NewBatch {
            id,
            name: name.clone(),
            queue: queue.clone(),
            tenant,
            // One tenant whose source is away holds up no other.
            allow_failures: true,
            callbacks: Callbacks { finally, ..Callbacks::default() },
            jobs,
        };
        self.jobs()?.push_batch(batch).await?;
        let (batch, name, queue) = (id.to_string(), name.to_string(), queue.to_string());
        tracing::info!(batch, name, queue, jobs = count, tenants, "cache warming jobs dispatched");
        Ok(Warming { batch, name, queue, jobs: count, tenants })
    }

    /// How many different ranges are warmed.
    fn periods(&self, warm_up: &WarmUp) -> usize {
        if !warm_up.ranges.is_empty() {
            return warm_up.ranges.len();
        }
        let named =
            |name: &str| warm_up.widgets.is_empty() || warm_up.widgets.iter().any(|it| it == name);
        let widgets = self.widgets.values().filter(|served| named(&served.entry.name));
        let ranges = widgets.flat_map(|served| &served.entry.ranges);
        ranges.map(ToString::to_string).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn new_job<J: Job>(&self, job: &J, queue: &QueueName) -> NewJob {
        let mut new = new_job(job, &self.random).expect("plain data");
        self.rules.apply(&mut new);
        NewJob { queue: queue.clone(), ..new }
    }
}

/// Of jobs that are all of one tenant: otherwise they are nobody's.
fn only_tenant(jobs: &[Warm]) -> Tenant {
    let mut tenants = jobs.iter().flat_map(|job| &job.tenants);
    let first = tenants.next();
    let only = first.filter(|first| tenants.all(|it| it == *first));
    owner(only.map(String::as_str))
}

/// Of a tenant whose name is none that jobs can have, a job is of the system.
pub(crate) fn owner(tenant: Option<&str>) -> Tenant {
    tenant.and_then(|id| Tenant::new(id).ok()).unwrap_or_else(Tenant::system)
}

/// Whose readings each job makes. A turn for each job, so that all of them begin with what is read
/// the most.
fn divide(warm_up: &WarmUp, tenants: Vec<String>) -> Result<Vec<Vec<String>>, WarmFailure> {
    let most = limits::JOBS_PER_PUSH;
    let jobs = match warm_up.parallel {
        Some(found) if !(1..=most).contains(&found) => {
            return Err(WarmFailure::Parallel { found, most });
        }
        Some(jobs) => jobs.min(tenants.len()),
        None => tenants.len().min(most),
    };
    let mut divided: Vec<Vec<String>> = vec![Vec::new(); jobs];
    let tenant_count = tenants.len();
    for (index, tenant) in tenants.into_iter().enumerate() {
        divided[index % jobs].push(tenant);
    }
    // A name is written with quotes and a comma, and in the worst case with escapes.
    let bytes = |names: &Vec<String>| names.iter().map(|it| 2 * it.len() + 3).sum::<usize>();
    if divided.iter().any(|names| bytes(names) > NAMES_IN_A_JOB) {
        return Err(WarmFailure::TooFewJobs { tenants: tenant_count, jobs });
    }
    Ok(divided)
}

impl From<JobView> for FailedJob {
    fn from(job: JobView) -> Self {
        let (id, tenant) = (job.id.to_string(), job.tenant.to_string());
        Self { id, tenant, reason: Some(job.reason.unwrap_or_default()) }
    }
}

impl From<BatchView> for Batch {
    fn from(view: BatchView) -> Self {
        let state = match (view.finished_ms, view.is_cancelled, view.failed) {
            (None, false, _) => "running",
            (None, true, _) => "cancelling",
            (Some(_), true, _) => "cancelled",
            (Some(_), false, 0) => "done",
            (Some(_), false, _) => "failed",
        };
        Self {
            id: view.id.to_string(),
            name: view.name.to_string(),
            queue: view.queue.to_string(),
            tenant: (view.tenant != Tenant::system()).then(|| view.tenant.to_string()),
            state,
            total: view.total,
            pending: view.pending,
            failed: view.failed,
            cancelled: view.cancelled,
            created_ms: view.created_ms,
            finished_ms: view.finished_ms,
            failures: Vec::new(),
        }
    }
}
