//! The jobs of a warm-up.

use std::sync::Arc;

use samovar_cache::{Due, How, Subject};
use samovar_jobs::{
    BatchId, Policy,
    run::{Context, Job, Registry, Stop, UnfitKind},
};
use samovar_memory::{Class, Pressure};
use samovar_widgets::WARMED;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::request::WarmUp;
use crate::{
    Event, NoTenant,
    engine::{Engine, Inner},
    events::Settle,
    make::{Fulfilled, Want, Wish},
    reading::BoundReading,
};

/// Makes readings of tenants, one tenant after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Warm {
    pub(super) tenants: Vec<String>,
    /// None: all.
    pub(super) widgets: Vec<String>,
    /// None: those that the widgets list.
    pub(super) ranges: Vec<String>,
    pub(super) force: bool,
    /// These instead, of each tenant: a widget and what is given for its parameters.
    #[serde(default)]
    pub(super) readings: Vec<(String, Vec<(String, String)>)>,
}

/// A warm-up that is yet to be divided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dispatch {
    pub(crate) warm_up: WarmUp,
    /// While one of this name is under way, there is no second one.
    pub(crate) unique: Option<String>,
}

/// What is usually read in the next hour.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Usual {}

/// A warm-up is over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Warmed {
    pub(super) batch: String,
    /// Different ranges that were warmed.
    pub(super) periods: usize,
}

/// Of tries that fail because a source is away.
const WARM: Policy = Policy {
    tries: 3,
    backoff: std::borrow::Cow::Borrowed(&[
        std::time::Duration::from_secs(10),
        std::time::Duration::from_secs(60),
    ]),
    max_exceptions: Some(3),
    class: Class::Mb128,
    ..Policy::DEFAULT
};

/// Readings of one rollup that are made together. They hold what they show, and little else.
const ROLLED_TOGETHER: usize = 512;
/// The same where memory is tight.
const ROLLED_IN_SMALL_BITES: usize = 32;

/// What became of the readings of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    tenants: u64,
    readings: u64,
    made: u64,
    /// They were fresh.
    fresh: u64,
    /// Somebody else was at it.
    elsewhere: u64,
    failed: u64,
    /// The first reason.
    error: Option<String>,
}

/// Where a job goes on after it was interrupted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// Tenants that are done.
    done: usize,
    counts: Counts,
}

impl Job for Warm {
    const KIND: &'static str = "samovar.warm";
    const POLICY: Policy = WARM;
    const QUEUE: &'static str = super::request::QUEUE;

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let engine = cx.service::<Engine>()?;
        let Cursor { done, mut counts } = cx.saved::<Cursor>()?.unwrap_or_default();
        for (index, tenant) in self.tenants.iter().enumerate().skip(done) {
            cx.check()?;
            self.warm_tenant(&engine.0, cx, tenant, &mut counts).await?;
            if self.tenants.len() > 1 && counts.failed == 0 {
                cx.checkpoint(&Cursor { done: index + 1, counts: counts.clone() }).await?;
            }
        }
        let peak = cx.memory().map(|usage| usage.peak_bytes);
        let Counts { tenants, readings, made, fresh, failed, .. } = counts;
        tracing::info!(tenants, readings, made, fresh, failed, peak_bytes = peak, "cache warmed");
        if let Some(error) = &counts.error {
            // What was made is fresh when it is tried again.
            return Err(Stop::Error(format!("{failed} of {readings} readings: {error}")));
        }
        cx.result(&counts)
    }

    async fn split(&self, cx: &Context, parts: usize) -> Result<Vec<Self>, Stop> {
        let done = cx.saved::<Cursor>()?.unwrap_or_default().done;
        let engine = cx.service::<Engine>()?;
        Ok(self.parts(done, parts, || engine.0.widgets.keys().cloned().collect()))
    }
}

impl Warm {
    /// What is left, by tenants; of one tenant by what it is to make. `widgets` are all that there are.
    fn parts(&self, done: usize, parts: usize, widgets: impl FnOnce() -> Vec<String>) -> Vec<Self> {
        let left = &self.tenants[done.min(self.tenants.len())..];
        let part = |tenants: &[String], widgets: &[String], readings: &[_]| Self {
            tenants: tenants.to_vec(),
            widgets: widgets.to_vec(),
            ranges: self.ranges.clone(),
            force: self.force,
            readings: readings.to_vec(),
        };
        let size = |count: usize| count.div_ceil(parts.max(1)).max(1);
        if left.len() > 1 {
            let some = left.chunks(size(left.len()));
            return some.map(|some| part(some, &self.widgets, &self.readings)).collect();
        }
        if self.readings.len() > 1 {
            let some = self.readings.chunks(size(self.readings.len()));
            return some.map(|some| part(left, &[], some)).collect();
        }
        let widgets = if self.widgets.is_empty() { widgets() } else { self.widgets.clone() };
        widgets.chunks(size(widgets.len())).map(|some| part(left, some, &[])).collect()
    }

    async fn warm_tenant(
        &self,
        inner: &Arc<Inner>,
        cx: &Context,
        tenant: &str,
        counts: &mut Counts,
    ) -> Result<(), Stop> {
        let member = match inner.member(tenant).await {
            Ok(member) => member,
            Err(NoTenant::Unknown { .. }) => {
                cx.note(format!("there is no tenant {tenant} any more"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if self.force {
            cx.once(&format!("force/{tenant}"), async |_| self.forget(inner, &member).await)
                .await?;
        }
        let popular = inner.usual.popular(inner).await;
        let planned = inner.plan_readings(self, &member, &popular).await;
        let of = planned.count() as u64;
        counts.tenants += 1;
        counts.readings += of;
        for reason in &planned.failed {
            counts.fail(reason);
        }
        let mut done = 0;
        for mut group in planned.groups {
            let before = group.len();
            group.retain(|reading| !inner.is_fresh(reading));
            counts.fresh += (before - group.len()) as u64;
            done += (before - group.len()) as u64;
            let mut left = &group[..];
            while !left.is_empty() {
                cx.check()?;
                let tight = cx.pressure() > Pressure::None;
                let most = if tight { ROLLED_IN_SMALL_BITES } else { ROLLED_TOGETHER };
                let (some, rest) = left.split_at(left.len().min(most));
                left = rest;
                for fulfilled in inner.make_ahead(some).await {
                    counts.add(&fulfilled);
                }
                done += some.len() as u64;
                cx.progress(done, of, tenant).await?;
            }
        }
        Ok(())
    }

    /// What is kept of these widgets is not fresh any more, and neither are the partials that they are
    /// made of.
    async fn forget(&self, inner: &Inner, member: &crate::Member) -> Result<(), Stop> {
        let named = |name: &String| self.widgets.is_empty() || self.widgets.contains(name);
        let how = How { cause: "it was warmed by force".to_owned(), ..How::default() };
        for (_, served) in inner.widgets.iter().filter(|(name, _)| named(name)) {
            for name in inner.names_of(served) {
                let subject = Subject::Widget(name);
                inner.cache.invalidate(&subject, Some(&member.tenant), &how).await?;
            }
        }
        Ok(())
    }
}

impl Counts {
    fn add(&mut self, fulfilled: &Fulfilled) {
        match fulfilled {
            Fulfilled::Made(_) => self.made += 1,
            Fulfilled::Found(_) => self.fresh += 1,
            Fulfilled::Elsewhere => self.elsewhere += 1,
            Fulfilled::Failed(error) => self.fail(error),
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failed += 1;
        self.error.get_or_insert_with(|| reason.to_owned());
    }
}

impl Inner {
    /// Under the limit of their source, and in the account of whoever asks.
    async fn make_ahead(self: &Arc<Self>, readings: &[BoundReading]) -> Vec<Fulfilled> {
        let Some(first) = readings.first() else { return Vec::new() };
        let places = self.hot.places_of(&first.served.entry.source_name);
        // It is never closed.
        let _place = match places {
            Some(places) => places.acquire_owned().await.ok(),
            None => None,
        };
        let wish = |reading: &BoundReading| Wish { reading: reading.clone(), want: Want::Ahead };
        self.make(readings.iter().map(wish).collect()).await
    }

    /// As far as this process knows: then nobody has to be asked.
    fn is_fresh(&self, reading: &BoundReading) -> bool {
        let due = reading.with(|reading| self.cache.due(reading));
        matches!(due, Ok(Due::In(left)) if !left.is_zero())
    }
}

impl Job for Dispatch {
    const KIND: &'static str = "samovar.warm.dispatch";
    const POLICY: Policy = WARM;
    const QUEUE: &'static str = super::request::QUEUE;

    fn unique_key(&self) -> Option<String> {
        self.unique.clone()
    }

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let inner = &cx.service::<Engine>()?.0;
        let tenants = inner.tenants_to_warm(&self.warm_up).await?;
        // Of the same id when this is run again.
        let batch = BatchId::from_u64(cx.id().as_u64());
        let warming = inner.push_warm_up(&self.warm_up, tenants, batch).await?;
        cx.result(&warming)
    }
}

impl Job for Usual {
    const KIND: &'static str = "samovar.warm.usual";
    const POLICY: Policy = WARM;
    const QUEUE: &'static str = super::request::QUEUE;

    fn unique_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let inner = &cx.service::<Engine>()?.0;
        let jobs: Vec<Warm> = inner
            .usual
            .next_hour(inner)
            .await
            .into_iter()
            .map(|(tenant, readings)| {
                let (tenants, widgets, ranges) = (vec![tenant], Vec::new(), Vec::new());
                Warm { tenants, widgets, ranges, force: false, readings }
            })
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let tenants = jobs.len();
        let batch = BatchId::from_u64(cx.id().as_u64());
        let warm_up = WarmUp { name: Some("usual".to_owned()), ..WarmUp::default() };
        let warming = inner.push_warm_jobs(&warm_up, jobs, tenants, batch).await?;
        cx.result(&warming)
    }
}

impl Job for Warmed {
    const KIND: &'static str = "samovar.warm.completed";
    const POLICY: Policy = WARM;
    const QUEUE: &'static str = super::request::QUEUE;

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let engine = cx.service::<Engine>()?;
        let Some(batch) = engine.batch(&self.batch).await? else { return Ok(()) };
        let (name, state) = (&batch.name, batch.state);
        let (jobs, failed, cancelled) = (batch.total, batch.failed, batch.cancelled);
        let took_ms = batch.finished_ms.map(|at| at.saturating_sub(batch.created_ms));
        tracing::info!(
            event = "cache.warming.completed",
            batch = batch.id,
            name,
            state,
            jobs,
            failed,
            cancelled,
            took_ms,
            periods = self.periods,
            "cache warming batch completed"
        );
        if engine.0.events.contains_key(WARMED) {
            let data = json!({
                "batch": batch.id, "name": name, "state": state, "jobs": jobs, "failed": failed,
                "cancelled": cancelled, "periods": self.periods,
            });
            engine.raise(vec![Event { name: WARMED.to_owned(), tenant: None, data }]).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// The kinds of jobs it pushes, for the workers of this process.
    pub fn registry(&self) -> Result<Registry, UnfitKind> {
        let registry = Registry::default().service(self.clone());
        let registry = registry.with::<Warm>()?.with::<Dispatch>()?.with::<Usual>()?;
        let registry = registry.with::<Warmed>()?.with::<Settle>()?;
        self.0.rules.register(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn what_is_too_big_is_split_by_tenants_and_then_by_what_it_makes() {
        let all = || names(&["a", "b", "c"]);
        let warm = |tenants: &[&str], widgets: &[&str]| Warm {
            tenants: names(tenants),
            widgets: names(widgets),
            ranges: names(&["7d"]),
            force: true,
            readings: Vec::new(),
        };
        let split = |warm: &Warm, done, parts| {
            let parts = warm.parts(done, parts, all);
            assert!(parts.iter().all(|it| it.ranges == ["7d"] && it.force));
            parts.into_iter().map(|it| (it.tenants, it.widgets, it.readings)).collect::<Vec<_>>()
        };
        let three = warm(&["x", "y", "z"], &["a"]);
        let part =
            |tenants: &[&str], widgets: &[&str]| (names(tenants), names(widgets), Vec::new());
        assert_eq!(split(&three, 0, 2), [part(&["x", "y"], &["a"]), part(&["z"], &["a"])]);
        assert_eq!(split(&three, 1, 2), [part(&["y"], &["a"]), part(&["z"], &["a"])]);
        let one = warm(&["x"], &[]);
        assert_eq!(split(&one, 0, 2), [part(&["x"], &["a", "b"]), part(&["x"], &["c"])]);
        // It cannot be split any further, and takes the next rung.
        assert_eq!(split(&three, 2, 4), [part(&["z"], &["a"])]);
        let given = |widget: &str| (widget.to_owned(), Vec::new());
        let named = Warm { readings: vec![given("a"), given("b")], ..warm(&["x"], &[]) };
        let parts = split(&named, 0, 8);
        assert_eq!(
            parts.iter().map(|it| &it.2[..]).collect::<Vec<_>>(),
            [[given("a")], [given("b")]]
        );
    }
}
