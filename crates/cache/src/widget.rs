//! Widgets as the cache knows them, and readings of them.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::tz::TimeZone;
use samovar_clock::{Clock, Instant};

use crate::{
    Tag, TagError, Tenant,
    cells::{Cells, Dependencies},
    freshness::{Freshness, FreshnessError},
    key::{Bucket, EntryKey, KeyError, KeyParts, KeyTemplate},
    limits,
    shared::LookUp,
    stats::{Row, Rows},
    version::dependencies,
};

/// What is said once about a family of readings.
#[derive(Clone, Debug)]
pub struct Definition {
    name: String,
    version: String,
    key: Option<String>,
    freshness: Freshness,
    bucket: Option<Bucket>,
    strict: bool,
    local: bool,
    patience: Duration,
    deadline: Duration,
    compute_limit: Duration,
    back_off: (Duration, Duration),
}

impl Definition {
    /// `medium` freshness, keys like `widget:{widget}:{tenant}`, two seconds of patience.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "1".to_owned(),
            key: None,
            freshness: Freshness::default(),
            bucket: None,
            strict: false,
            local: true,
            patience: Duration::from_secs(2),
            deadline: Duration::from_secs(30),
            compute_limit: Duration::from_secs(120),
            back_off: (Duration::from_secs(1), Duration::from_secs(60)),
        }
    }

    /// Part of every key: values of another version are never found.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// A [`KeyTemplate`] as text.
    pub fn key(mut self, template: &str) -> Self {
        self.key = Some(template.to_owned());
        self
    }

    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Rolls over on the wall clock, in the reader's time zone.
    pub fn bucket(mut self, bucket: Bucket) -> Self {
        self.bucket = Some(bucket);
        self
    }

    /// Asks the shared tier on every read; rather an error than a stale value.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Kept in the shared tier only: for parts of other values, which are asked for there anyway.
    pub fn shared_only(mut self) -> Self {
        self.local = false;
        self
    }

    /// How long a reader waits for a recomputation before it takes the value from before a change.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long a reader without any usable value waits before it gets an error.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long one compute may take before it counts as failed.
    pub fn compute_limit(mut self, limit: Duration) -> Self {
        self.compute_limit = limit;
        self
    }

    /// The wait after a first failure, doubled with each further one up to `longest`.
    pub fn back_off(mut self, first: Duration, longest: Duration) -> Self {
        self.back_off = (first, longest);
        self
    }

    pub(crate) fn check(self) -> Result<Widget, DefinitionError> {
        let good = |name: &str| {
            !name.is_empty()
                && name.len() <= limits::NAME_BYTES
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        for name in [&self.name, &self.freshness.class().to_owned(), &self.version] {
            if !good(name) {
                return Err(DefinitionError::Name { name: name.clone() });
            }
        }
        self.freshness.check()?;
        if self.deadline.is_zero() || self.compute_limit.is_zero() {
            return Err(DefinitionError::NoTime { name: self.name });
        }
        let default = if self.bucket.is_some() {
            "widget:{widget}:{tenant}:{bucket}"
        } else {
            "widget:{widget}:{tenant}"
        };
        let template = KeyTemplate::parse(self.key.as_deref().unwrap_or(default))?;
        Ok(Widget(Arc::new(Declared {
            name: Arc::from(self.name),
            version: self.version,
            template,
            freshness: self.freshness,
            bucket: self.bucket,
            strict: self.strict,
            local: self.local,
            patience: self.patience.min(self.deadline),
            deadline: self.deadline,
            compute_limit: self.compute_limit,
            back_off: self.back_off,
            compute: Row::default(),
        })))
    }
}

/// A definition that was checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Widget(pub(crate) Arc<Declared>);

#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: Arc<str>,
    pub(crate) version: String,
    pub(crate) template: KeyTemplate,
    pub(crate) freshness: Freshness,
    pub(crate) bucket: Option<Bucket>,
    pub(crate) strict: bool,
    pub(crate) local: bool,
    pub(crate) patience: Duration,
    pub(crate) deadline: Duration,
    pub(crate) compute_limit: Duration,
    pub(crate) back_off: (Duration, Duration),
    /// Compute times over all tenants, from which leads and patience are judged.
    pub(crate) compute: Row,
}

impl Widget {
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn freshness(&self) -> &Freshness {
        &self.0.freshness
    }

    /// A reading without parameters and tags, to be completed.
    pub fn reading<'a>(&'a self, tenant: &'a Tenant) -> Reading<'a> {
        Reading {
            widget: self,
            tenant,
            params: &[],
            tags: Tags::Given(&[]),
            divided: false,
            zone: None,
            patience: None,
            deadline: None,
        }
    }
}

/// A widget with every parameter bound, for one tenant. Borrows everything: making one and reading
/// it from the local tier allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    pub(crate) widget: &'a Widget,
    pub(crate) tenant: &'a Tenant,
    params: &'a [(&'a str, &'a str)],
    tags: Tags<'a>,
    divided: bool,
    zone: Option<&'a TimeZone>,
    patience: Option<Duration>,
    deadline: Option<Duration>,
}

/// Tags are needed only when the local tier has no answer, so they may be worked out then.
#[derive(Clone, Copy)]
enum Tags<'a> {
    Given(&'a [Tag]),
    Later(&'a (dyn Fn() -> Result<Vec<Tag>, TagError> + Sync)),
}

impl std::fmt::Debug for Tags<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tags::Given(tags) => tags.fmt(f),
            Tags::Later(_) => f.write_str("worked out when needed"),
        }
    }
}

impl<'a> Reading<'a> {
    pub fn params(mut self, params: &'a [(&'a str, &'a str)]) -> Self {
        self.params = params;
        self
    }

    pub fn tags(mut self, tags: &'a [Tag]) -> Self {
        self.tags = Tags::Given(tags);
        self
    }

    /// Tags that are worked out when the local tier has no answer. They must follow from the
    /// widget and its parameters alone.
    pub fn tags_from(mut self, tags: &'a (dyn Fn() -> Result<Vec<Tag>, TagError> + Sync)) -> Self {
        self.tags = Tags::Later(tags);
        self
    }

    /// Each piece of the value depends on one of the tags alone, of which there may be more then: what
    /// has not moved is found by [`Cache::find_divided`](crate::Cache::find_divided). To everything
    /// else it is a value that depends on all of them.
    pub fn divided(mut self) -> Self {
        self.divided = true;
        self
    }

    /// The zone in which the widget's bucket is cut; UTC unless given.
    pub fn zone(mut self, zone: &'a TimeZone) -> Self {
        self.zone = Some(zone);
        self
    }

    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    #[inline]
    pub(crate) fn write_key(&self, clock: &Clock, out: &mut String) -> Result<(), KeyError> {
        let declared = &*self.widget.0;
        let bucket = declared
            .bucket
            .map(|bucket| (bucket, clock.wall(), self.zone.unwrap_or(const { &TimeZone::UTC })));
        let parts = KeyParts {
            widget: &declared.name,
            version: &declared.version,
            tenant: self.tenant.as_str(),
            bucket,
            params: self.params,
        };
        declared.template.write(parts, out)
    }

    fn work_out_tags(&self) -> Result<Cow<'a, [Tag]>, TagError> {
        let tags = match self.tags {
            Tags::Given(tags) => Cow::Borrowed(tags),
            Tags::Later(work_out) => Cow::Owned(work_out()?),
        };
        let limit = match self.divided {
            true => limits::TAGS_OF_DIVIDED,
            false => limits::TAGS_PER_READING,
        };
        match tags.len() {
            count if count > limit => Err(TagError::TooMany { count, limit }),
            _ => Ok(tags),
        }
    }

    /// For each of these versions, which of the reading's tags depend on it: a bit for each, the first
    /// one the lowest.
    pub(crate) fn depending(&self, versions: &Dependencies) -> Result<Box<[u32]>, TagError> {
        const { assert!(limits::TAGS_OF_DIVIDED <= u32::BITS as usize) };
        let (name, class) = (&self.widget.0.name, self.widget.0.freshness.class());
        let mut depending = vec![0; versions.len()].into_boxed_slice();
        for (place, tag) in self.work_out_tags()?.iter().enumerate() {
            dependencies(self.tenant, name, class, std::slice::from_ref(tag), |name| {
                if let Some(version) = versions.find(name) {
                    depending[version] |= 1 << place;
                }
            });
        }
        Ok(depending)
    }

    pub(crate) fn bind(
        &self,
        clock: &Clock,
        rows: &Rows,
        cells: &Cells,
    ) -> Result<Bound, ReadingError> {
        let tags = &*self.work_out_tags()?;
        let mut key = String::with_capacity(96);
        self.write_key(clock, &mut key)?;
        let declared = &*self.widget.0;
        let row = rows.row(&declared.name, self.tenant.as_str());
        let (name, class) = (&declared.name, declared.freshness.class());
        let versions = row.last.of(self.tenant, class, tags, || {
            cells.depend(|depend| dependencies(self.tenant, name, class, tags, depend))
        });
        let deadline = self.deadline.unwrap_or(declared.deadline);
        Ok(Bound {
            widget: self.widget.clone(),
            key: EntryKey::from_stored(&key),
            versions,
            patience: self.patience.unwrap_or(declared.patience).min(deadline),
            deadline,
            row,
        })
    }
}

/// A reading that outlives its caller: what a compute in the background works on.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) widget: Widget,
    pub(crate) key: EntryKey,
    pub(crate) versions: Dependencies,
    pub(crate) patience: Duration,
    pub(crate) deadline: Duration,
    pub(crate) row: Arc<Row>,
}

impl Bound {
    pub(crate) fn strict(&self) -> bool {
        self.widget.0.strict
    }

    /// The question for the entry and all its versions.
    pub(crate) fn look_up(&self) -> LookUp {
        LookUp { entry: self.key.clone(), versions: self.versions.keys() }
    }

    /// The question for the entry alone.
    pub(crate) fn look_up_entry(&self) -> LookUp {
        LookUp { entry: self.key.clone(), versions: Arc::default() }
    }

    /// How long the store may be silent before a reader takes what this node has: no matter how long
    /// computes are known to take.
    pub(crate) fn silence(&self) -> Duration {
        self.patience.max(limits::SILENCE).min(self.deadline)
    }

    /// When a reader who has an old value stops waiting for a new one: at once if earlier computes
    /// are known to take longer than it would wait.
    pub(crate) fn patient_until(&self, started: Instant) -> Instant {
        let median = self.widget.0.compute.compute_quantile(0.5);
        if median.is_some_and(|median| median > self.patience) {
            return started;
        }
        started + self.patience
    }
}

/// What the reading before depended on. Those of one widget and tenant hardly ever differ, and to
/// name the versions and find their cells is most of what a reading costs to bind.
#[derive(Debug, Default)]
pub(crate) struct LastDependencies(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    tenant: Tenant,
    class: Box<str>,
    tags: Box<[Tag]>,
    versions: Dependencies,
}

impl LastDependencies {
    fn of(
        &self,
        tenant: &Tenant,
        class: &str,
        tags: &[Tag],
        find: impl FnOnce() -> Dependencies,
    ) -> Dependencies {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && (&last.tenant, &*last.class, &*last.tags) == (tenant, class, tags)
            && last.versions.are_alive()
        {
            return last.versions.clone();
        }
        let versions = find();
        *last = Some(Last {
            tenant: tenant.clone(),
            class: class.into(),
            tags: tags.into(),
            versions: versions.clone(),
        });
        versions
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DefinitionError {
    #[error(
        "`{name}` is no name: 1 to {} letters, digits, `_`, `-` or `.` are allowed",
        limits::NAME_BYTES
    )]
    Name { name: String },
    #[error("widget `{name}` needs a deadline and a compute limit above zero")]
    NoTime { name: String },
    #[error("more than {} widgets are declared", limits::WIDGETS)]
    TooMany,
    #[error(transparent)]
    Freshness(#[from] FreshnessError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A reading that cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("one call names {count} things, at most {limit} are allowed")]
    TooMany { count: usize, limit: usize },
}
