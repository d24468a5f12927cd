//! What a configuration says of kinds of jobs: where they go, how often they are tried, what they may
//! reach.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use samovar_jobs::{
    NewJob, Policy, QueueName, Rate,
    http::{Http, InvalidHttp, Target, Targets},
    run::{Job, Registry, UnfitKind},
};
use samovar_memory::Class;

use crate::warm::jobs::Warm;

/// Kinds of which a configuration may say something.
pub const KINDS: [&str; 2] = [Http::KIND, Warm::KIND];
/// Kinds that are pushed from outside. All others follow from what was asked for.
pub(crate) const PUSHED_FROM_OUTSIDE: [&str; 1] = [Http::KIND];

/// What is not said is left as the kind has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRule {
    pub queue: Option<QueueName>,
    pub tries: Option<u16>,
    pub backoff: Option<Vec<Duration>>,
    pub timeout: Option<Duration>,
    pub max_exceptions: Option<u16>,
    pub delete_when_missing: Option<bool>,
    pub class: Option<Class>,
    pub split: Option<bool>,
    pub rate: Option<Rate>,
}

/// Of all kinds.
#[derive(Clone, Debug, Default)]
pub struct JobRules {
    kinds: BTreeMap<String, JobRule>,
    queues: Vec<QueueName>,
    targets: Option<Arc<Targets>>,
}

impl JobRule {
    /// Where jobs of the kind go unless whoever pushes them says otherwise is not set here.
    pub(crate) fn apply(&self, policy: &mut Policy) {
        let rule = self.clone();
        policy.tries = rule.tries.unwrap_or(policy.tries);
        policy.timeout = rule.timeout.unwrap_or(policy.timeout);
        policy.max_exceptions = rule.max_exceptions.or(policy.max_exceptions);
        policy.delete_when_missing = rule.delete_when_missing.unwrap_or(policy.delete_when_missing);
        policy.class = rule.class.unwrap_or(policy.class);
        policy.split = rule.split.unwrap_or(policy.split);
        if let Some(backoff) = rule.backoff {
            policy.backoff = Cow::Owned(backoff);
        }
    }
}

impl JobRules {
    /// `queues` are those that are declared, and jobs of kind `http` may post to `targets`.
    ///
    /// # Errors
    /// When there are too many targets.
    pub fn new(
        kinds: BTreeMap<String, JobRule>,
        queues: Vec<QueueName>,
        targets: Vec<Target>,
    ) -> Result<Self, InvalidHttp> {
        // A client takes time to be made, and nobody needs one that may post nowhere.
        let targets = (!targets.is_empty()).then(|| Targets::new(targets).map(Arc::new));
        Ok(Self { kinds, queues, targets: targets.transpose()? })
    }

    pub(crate) fn of(&self, kind: &str) -> Option<&JobRule> {
        self.kinds.get(kind)
    }

    /// Those that are declared.
    pub(crate) fn queues(&self) -> &[QueueName] {
        &self.queues
    }

    pub(crate) fn targets(&self) -> Option<&Targets> {
        self.targets.as_deref()
    }

    /// As the rule of its kind has it. What was asked for with the job comes later, and counts more.
    pub(crate) fn apply(&self, job: &mut NewJob) {
        if let Some(rule) = self.of(job.kind.as_str()) {
            rule.apply(&mut job.policy);
        }
    }

    /// The kinds of which something is said here.
    pub(crate) fn register(&self, registry: Registry) -> Result<Registry, UnfitKind> {
        let mut registry = registry.with::<Http>()?;
        if let Some(targets) = &self.targets {
            registry = registry.service_arc(targets.clone());
        }
        for (kind, rule) in &self.kinds {
            if rule.rate.is_some() {
                registry = registry.rate(kind, rule.rate)?;
            }
        }
        Ok(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_does_not_say_is_left_as_the_kind_has_it() {
        let mut policy = Policy { max_exceptions: Some(3), ..Policy::DEFAULT };
        JobRule::default().apply(&mut policy);
        assert_eq!(policy, Policy { max_exceptions: Some(3), ..Policy::DEFAULT });
        let backoff = vec![Duration::from_secs(60)];
        let rule = JobRule {
            tries: Some(5),
            backoff: Some(backoff.clone()),
            split: Some(false),
            class: Some(Class::Mb512),
            ..JobRule::default()
        };
        rule.apply(&mut policy);
        let expected = Policy {
            tries: 5,
            backoff: Cow::Owned(backoff),
            split: false,
            class: Class::Mb512,
            max_exceptions: Some(3),
            ..Policy::DEFAULT
        };
        assert_eq!(policy, expected);
    }
}
