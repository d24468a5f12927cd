//! What follows an event: its readings are warmed, and what it touched is invalidated once more.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use samovar_cache::{ChangeError, How, Subject, Tag, TagError, Tenant, TenantError};
use samovar_jobs::{
    NewJob, Policy, Pushed, QueueName,
    run::{Context, Job, Stop, new_job},
};
use samovar_memory::Class;
use serde::{Deserialize, Serialize};

use super::WarmingBegun;
use crate::{
    WarmFailure, WarmUp,
    engine::{Engine, Inner},
    warm::{jobs::Dispatch, request},
};

/// The same invalidation once more: for replicas that lag, and for those who tell before they commit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settle {
    pub(crate) tenant: Option<String>,
    pub(crate) tags: Vec<String>,
    /// By the names that the cache knows them by.
    #[serde(default)]
    pub(crate) widgets: Vec<String>,
    /// All readings, of the tenant where there is one.
    #[serde(default)]
    pub(crate) everything: bool,
    pub(crate) cause: String,
    /// Events after which the tenant's readings are warmed: what was warmed before is not fresh now.
    pub(crate) warm: Vec<String>,
    /// While one of this key waits there is no second one.
    #[serde(skip)]
    pub(crate) unique: Option<String>,
}

/// It takes little, and what it is for does not pass while the store is away.
const SETTLE: Policy = Policy {
    tries: 100,
    backoff: Cow::Borrowed(&[
        Duration::from_secs(1),
        Duration::from_secs(5),
        Duration::from_secs(30),
        Duration::from_secs(60),
    ]),
    timeout: Duration::from_secs(60),
    class: Class::Mb128,
    ..Policy::DEFAULT
};

impl Job for Settle {
    const KIND: &'static str = "samovar.settle";
    const POLICY: Policy = SETTLE;
    // No backlog of warm-ups holds it up.
    const QUEUE: &'static str = "high";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let inner = &cx.service::<Engine>()?.0;
        self.apply(inner, format!("{}, once more", self.cause)).await?;
        let whose = self.tenant.as_deref();
        inner.begin_warming(self.warm.iter().map(|event| (event.as_str(), whose))).await?;
        Ok(())
    }

    fn unique_key(&self) -> Option<String> {
        self.unique.clone()
    }
}

impl Settle {
    /// Invalidates what it names.
    pub(crate) async fn apply(&self, inner: &Inner, cause: String) -> Result<(), SettleError> {
        let tenant = self.tenant.as_deref().map(Tenant::new).transpose()?;
        let tags: Vec<Tag> = self.tags.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        let tags = (!tags.is_empty()).then_some(Subject::Tags(&tags));
        let widgets = self.widgets.iter().map(|name| Subject::Widget(name));
        let everything = self.everything.then_some(Subject::Everything);
        let how = How { cause, ..How::default() };
        for subject in tags.into_iter().chain(widgets).chain(everything) {
            inner.cache.invalidate(&subject, tenant.as_ref(), &how).await?;
        }
        Ok(())
    }
}

/// Repeating is safe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum SettleError {
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Inner {
    /// Warm-ups that events ask for. While one for the same event and tenant waits to be divided, there
    /// is no second one: what waits is yet to read what has changed.
    pub(super) async fn begin_warming<'e>(
        &self,
        of: impl Iterator<Item = (&'e str, Option<&'e str>)>,
    ) -> Result<Vec<WarmingBegun>, WarmFailure> {
        let mut pushed: BTreeMap<QueueName, Vec<(NewJob, WarmingBegun)>> = BTreeMap::new();
        for (event, tenant) in of {
            // Since it was raised, its rule may have gone.
            let rule = self.events.get(event);
            let Some(warm) = rule.and_then(|rule| rule.warm.clone()) else { continue };
            let queue = QueueName::new(warm.queue.as_deref().unwrap_or(request::QUEUE))?;
            let tenants = tenant.map(str::to_owned).into_iter().collect();
            let unique = match tenant {
                Some(tenant) => format!("event/{event}/{tenant}"),
                None => format!("event/{event}"),
            };
            let warm_up = WarmUp { tenants, ..warm };
            // On the queue of its jobs: while they are held up, so is the next one.
            let mut job = self.new_job(&Dispatch { warm_up, unique: Some(unique) }, &queue);
            job.tenant = request::owner(tenant);
            let begun = WarmingBegun {
                event: event.to_owned(),
                tenant: tenant.map(str::to_owned),
                batch: job.id.to_string(),
            };
            pushed.entry(queue).or_default().push((job, begun));
        }
        let mut all = Vec::new();
        for some in pushed.into_values() {
            let (jobs, begun): (Vec<_>, Vec<_>) = some.into_iter().unzip();
            let became = self.jobs()?.push(jobs).await?;
            all.extend(begun.into_iter().zip(became).map(|(begun, became)| match became {
                Pushed::New(_) => begun,
                Pushed::AlreadyThere(id) => WarmingBegun { batch: id.to_string(), ..begun },
            }));
        }
        Ok(all)
    }

    /// A delayed one.
    pub(crate) fn settling(&self, settle: &Settle, after: Duration) -> NewJob {
        let mut job = new_job(settle, &self.random).expect("plain data");
        job.delay = after;
        job.tenant = request::owner(settle.tenant.as_deref());
        job
    }
}
