//! What widgets of both kinds declare: those with a query, and those over a rollup.

use std::time::Duration;

use samovar_cache::{Bucket, Definition, Freshness};
use samovar_widgets::{
    BucketDefinition, Located, ParamDefinition, Range, RollupWidgetDefinition, WidgetDefinition,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared<'d> {
    pub(crate) name: &'d Located<String>,
    pub(crate) params: &'d [ParamDefinition],
    pub(crate) ranges: &'d [Range],
    pub(crate) key: Option<&'d Located<String>>,
    pub(crate) bucket: Option<BucketDefinition>,
    pub(crate) patience: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) compute_limit: Option<Duration>,
    pub(crate) strict: bool,
}

/// What a reader waits for a recomputation where its widget does not say otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
pub(super) const COMPUTE_LIMIT: Duration = Duration::from_secs(120);

macro_rules! declared {
    ($definition:ty) => {
        impl<'d> From<&'d $definition> for Declared<'d> {
            fn from(it: &'d $definition) -> Self {
                Self {
                    name: &it.name,
                    params: &it.params,
                    ranges: &it.ranges,
                    key: it.key.as_ref(),
                    bucket: it.bucket,
                    patience: it.patience,
                    deadline: it.deadline,
                    compute_limit: it.compute_limit,
                    strict: it.strict,
                }
            }
        }
    };
}

declared!(WidgetDefinition);
declared!(RollupWidgetDefinition);

impl Declared<'_> {
    /// As the cache knows it.
    pub(super) fn define(&self, freshness: Freshness, version: &str) -> Definition {
        let mut definition = Definition::new(&self.name.value)
            .version(version)
            .freshness(freshness)
            .patience(self.patience.unwrap_or(PATIENCE))
            .compute_limit(self.compute_limit.unwrap_or(COMPUTE_LIMIT));
        if let Some(key) = self.key {
            definition = definition.key(&key.value);
        }
        if let Some(bucket) = self.bucket {
            definition = definition.bucket(match bucket {
                BucketDefinition::Minute => Bucket::Minute,
                BucketDefinition::Hour => Bucket::Hour,
                BucketDefinition::Day => Bucket::Day,
            });
        }
        if let Some(deadline) = self.deadline {
            definition = definition.deadline(deadline);
        }
        if self.strict { definition.strict() } else { definition }
    }

    /// The name and the parameters with their types: an answer repeats them.
    pub(super) fn signature(&self) -> String {
        let kinds = self.params.iter().map(|it| format!("{}: {}", it.name.value, it.kind));
        kinds.fold(self.name.value.clone(), |text, kind| text + "\n" + &kind)
    }
}
