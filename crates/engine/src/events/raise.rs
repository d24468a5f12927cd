//! Events are checked, all of a call, and only then applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use jiff::tz::TimeZone;
use samovar_cache::{ChangeError, How, Subject, Tag};
use samovar_jobs::NewJob;
use samovar_widgets::nearest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    jobs::Settle,
    rule::{EventFault, EventRule, EventShown},
};
use crate::{
    Member, NoTenant, WarmFailure,
    engine::{Engine, Inner},
};

/// Something that happened in an application.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub name: String,
    /// Whose it is. Without one it can name global tags only, and is warmed for all.
    #[serde(default)]
    pub tenant: Option<String>,
    #[serde(default)]
    pub data: Value,
}

/// What became of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Raised {
    pub events: usize,
    pub invalidated: Vec<Invalidated>,
    pub warming: Vec<WarmingBegun>,
    pub settling: Vec<Settling>,
}

/// The tags of a tenant; the global ones where it is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invalidated {
    pub tenant: Option<String>,
    pub tags: Vec<String>,
}

/// A warm-up is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WarmingBegun {
    pub event: String,
    /// All, where it is none.
    pub tenant: Option<String>,
    /// The batch that it becomes, as soon as a worker divides it.
    pub batch: String,
}

/// A job invalidates the same once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settling {
    pub tenant: Option<String>,
    pub after_ms: u64,
    pub job: String,
}

/// Why events were not applied. Repeating is safe: where a store failed, some may have been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EventFailure {
    #[error("no event is named")]
    Nothing,
    #[error("{found} events are too many for one call: at most {most} are taken")]
    TooMany { found: usize, most: usize },
    /// `index` counts from zero.
    #[error("there is no event `{name}`")]
    Unknown { index: usize, name: String, nearest: Option<String> },
    #[error("the event `{name}` cannot be applied: {fault}")]
    Invalid { index: usize, name: String, fault: EventFault },
    #[error(transparent)]
    Tenants(NoTenant),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Jobs(#[from] WarmFailure),
}

/// Events in one call.
pub(crate) const MOST_EVENTS: usize = 1000;
/// Tags of one change, and of one that is made once more: as many as the cache takes in a call.
const TAGS_AT_ONCE: usize = 1024;
/// Changes that are made at the same time.
const TOGETHER: usize = 64;
/// Names of events in a cause. More are counted.
const NAMES_IN_A_CAUSE: usize = 3;

/// What a call comes down to, each thing once.
#[derive(Default)]
struct Plan<'e> {
    /// By tenant; of none are the global tags.
    touched: BTreeMap<Option<&'e str>, (Option<Arc<Member>>, Touched<'e>)>,
    settled: BTreeMap<(Duration, Option<&'e str>), Touched<'e>>,
    /// Events and tenants.
    warmed: BTreeSet<(&'e str, Option<&'e str>)>,
}

#[derive(Default)]
struct Touched<'e> {
    tags: BTreeSet<Tag>,
    events: BTreeSet<&'e str>,
}

impl Engine {
    /// When this returns, what depends on what they touch is not served as fresh any more, and what
    /// they warm or do once more is pushed. Either all of them are sound or nothing is done.
    pub async fn raise(&self, events: Vec<Event>) -> Result<Raised, EventFailure> {
        let inner = &self.0;
        let plan = inner.plan_events(&events).await?;
        if !plan.settled.is_empty() || !plan.warmed.is_empty() {
            inner.jobs()?;
        }
        let invalidated = inner.invalidate_touched(&plan).await?;
        let settling = inner.push_settles(&plan).await?;
        let warming = inner.begin_warming(plan.warmed.iter().copied()).await?;
        Ok(Raised { events: events.len(), invalidated, warming, settling })
    }

    /// Those that are declared, by name.
    pub fn events(&self) -> Vec<EventShown> {
        self.0.events.iter().map(|(name, rule)| rule.shown(name)).collect()
    }
}

impl Inner {
    async fn plan_events<'e>(
        self: &Arc<Self>,
        events: &'e [Event],
    ) -> Result<Plan<'e>, EventFailure> {
        match events.len() {
            0 => return Err(EventFailure::Nothing),
            1..=MOST_EVENTS => {}
            found => return Err(EventFailure::TooMany { found, most: MOST_EVENTS }),
        }
        let mut members: BTreeMap<&str, Arc<Member>> = BTreeMap::new();
        let mut plan = Plan::default();
        for (index, event) in events.iter().enumerate() {
            let name = &event.name;
            let Some(rule) = self.events.get(name) else {
                let nearest = nearest(name, self.events.keys().map(String::as_str));
                let (name, nearest) = (name.clone(), nearest.map(str::to_owned));
                return Err(EventFailure::Unknown { index, name, nearest });
            };
            let invalid = |fault| EventFailure::Invalid { index, name: name.clone(), fault };
            let member = match event.tenant.as_deref() {
                None => None,
                Some(id) => match members.get(id) {
                    Some(member) => Some(member.clone()),
                    None => {
                        let found = self.member(id).await;
                        let member = found.map_err(|error| match error {
                            NoTenant::Unknown { .. } => invalid(EventFault::Tenant(error)),
                            NoTenant::Unread { .. } => EventFailure::Tenants(error),
                        })?;
                        Some(members.entry(id).or_insert(member).clone())
                    }
                },
            };
            let tags = tags_of(rule, event, member.as_deref()).map_err(invalid)?;
            plan.add(rule, event, member.as_ref(), tags);
        }
        Ok(plan)
    }

    async fn invalidate_touched(&self, plan: &Plan<'_>) -> Result<Vec<Invalidated>, EventFailure> {
        let mut changes = Vec::new();
        let mut invalidated = Vec::new();
        for (tenant, (member, touched)) in &plan.touched {
            let tags: Vec<Tag> = touched.tags.iter().cloned().collect();
            let named = Invalidated {
                tenant: tenant.map(str::to_owned),
                tags: tags.iter().map(ToString::to_string).collect(),
            };
            invalidated.push(named);
            let how = How { cause: touched.cause(), ..How::default() };
            for some in tags.chunks(TAGS_AT_ONCE) {
                changes.push((some.to_vec(), member.clone(), how.clone()));
            }
        }
        for some in changes.chunks(TOGETHER) {
            let made = join_all(some.iter().map(async |(tags, member, how)| {
                let tenant = member.as_ref().map(|member| &member.tenant);
                self.cache.invalidate(&Subject::Tags(tags), tenant, how).await
            }));
            made.await.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(invalidated)
    }

    async fn push_settles(&self, plan: &Plan<'_>) -> Result<Vec<Settling>, EventFailure> {
        let mut jobs: Vec<NewJob> = Vec::new();
        let mut settling = Vec::new();
        for ((after, tenant), touched) in &plan.settled {
            let tags: Vec<String> = touched.tags.iter().map(ToString::to_string).collect();
            let is_warmed = |event: &&&str| plan.warmed.contains(&(**event, *tenant));
            let warm: Vec<String> =
                touched.events.iter().filter(is_warmed).map(|event| event.to_string()).collect();
            let last = tags.chunks(TAGS_AT_ONCE).count().saturating_sub(1);
            for (index, tags) in tags.chunks(TAGS_AT_ONCE).enumerate() {
                let settle = Settle {
                    tenant: tenant.map(str::to_owned),
                    tags: tags.to_vec(),
                    cause: touched.cause(),
                    warm: if index == last { warm.clone() } else { Vec::new() },
                    ..Settle::default()
                };
                let job = self.settling(&settle, *after);
                settling.push(Settling {
                    tenant: settle.tenant,
                    after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
                    job: job.id.to_string(),
                });
                jobs.push(job);
            }
        }
        if !jobs.is_empty() {
            self.jobs()?.push(jobs).await.map_err(WarmFailure::from)?;
        }
        Ok(settling)
    }
}

fn tags_of(
    rule: &EventRule,
    event: &Event,
    member: Option<&Member>,
) -> Result<Vec<Tag>, EventFault> {
    if let (None, Some(tag)) = (member, rule.tag_of_a_tenant()) {
        return Err(EventFault::MissingTenant { tag: tag.to_owned() });
    }
    rule.tags(&event.data, member.map_or(&TimeZone::UTC, |member| &member.zone))
}

impl<'e> Plan<'e> {
    fn add(
        &mut self,
        rule: &EventRule,
        event: &'e Event,
        member: Option<&Arc<Member>>,
        tags: Vec<Tag>,
    ) {
        let (name, tenant) = (event.name.as_str(), event.tenant.as_deref());
        if rule.warm.is_some() {
            self.warmed.insert((name, tenant));
        }
        if let Some(after) = rule.settle {
            self.settled.entry((after, tenant)).or_default().add(name, tags.iter().cloned());
        }
        for tag in tags {
            let whose = if tag.is_global() { (None, None) } else { (tenant, member.cloned()) };
            let (_, touched) =
                self.touched.entry(whose.0).or_insert_with(|| (whose.1, Touched::default()));
            touched.add(name, [tag]);
        }
    }
}

impl<'e> Touched<'e> {
    fn add(&mut self, event: &'e str, tags: impl IntoIterator<Item = Tag>) {
        self.events.insert(event);
        self.tags.extend(tags);
    }

    /// As `why` shows it.
    fn cause(&self) -> String {
        let some: Vec<_> = self.events.iter().take(NAMES_IN_A_CAUSE).copied().collect();
        let (what, some) = (if some.len() == 1 { "event" } else { "events" }, some.join(", "));
        match self.events.len().saturating_sub(NAMES_IN_A_CAUSE) {
            0 => format!("{what} {some}"),
            others => format!("{what} {some} and {others} more"),
        }
    }
}
