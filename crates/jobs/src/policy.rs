//! How often a job is tried, how long it may take, what it may hold: constants of its kind.

use std::{borrow::Cow, time::Duration};

use samovar_memory::Class;
use serde::{Deserialize, Serialize};

use crate::limits;

/// Checked when a job is pushed, and stored with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Attempts in all.
    pub tries: u16,
    /// The wait after the first failed attempt, after the second and so on; the last one repeats.
    #[serde(with = "millis_list")]
    pub backoff: Cow<'static, [Duration]>,
    /// The longest one attempt may take.
    #[serde(with = "millis")]
    pub timeout: Duration,
    /// Attempts that may end in an error. Those that only asked to be tried later do not count.
    pub max_exceptions: Option<u16>,
    /// Attempts that may kill their process. They do not count as tries.
    pub max_kills: u16,
    /// A job whose subject is gone is deleted, and does not fail.
    pub delete_when_missing: bool,
    #[serde(with = "class")]
    pub class: Class,
    /// What is too big for its class is split into parts, if its kind knows how.
    pub split: bool,
    /// It always runs in a process of its own, with a hard limit.
    pub isolated: bool,
}

impl Policy {
    pub const DEFAULT: Policy = Policy {
        tries: 3,
        backoff: Cow::Borrowed(&[
            Duration::from_secs(60),
            Duration::from_secs(180),
            Duration::from_secs(300),
            Duration::from_secs(600),
            Duration::from_secs(1200),
        ]),
        timeout: Duration::from_secs(300),
        max_exceptions: None,
        max_kills: 2,
        delete_when_missing: false,
        class: Class::Mb256,
        split: true,
        isolated: false,
    };

    pub fn check(&self) -> Result<(), InvalidPolicy> {
        let within = |what, found: u64, least: u64, most: u64| {
            let fits = (least..=most).contains(&found);
            if fits { Ok(()) } else { Err(InvalidPolicy { what, found, least, most }) }
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        within("`tries`", self.tries.into(), 1, limits::TRIES.into())?;
        if let Some(exceptions) = self.max_exceptions {
            within("`max_exceptions`", exceptions.into(), 1, limits::TRIES.into())?;
        }
        within("`max_kills`", self.max_kills.into(), 1, limits::KILLS.into())?;
        within("`timeout` in ms", millis(self.timeout), 1, millis(limits::LONGEST_TIMEOUT))?;
        let steps = self.backoff.len() as u64;
        within("delays in `backoff`", steps, 0, limits::BACKOFF_STEPS as u64)?;
        let longest = self.backoff.iter().max().copied().unwrap_or_default();
        within("a delay of `backoff` in ms", millis(longest), 0, millis(limits::LONGEST_DELAY))
    }

    /// What follows an attempt that failed. It is counted already: `spent` attempts, the innocent
    /// ones given back, of which `exceptions` ended in an error.
    pub fn after_failure(&self, spent: u32, exceptions: u32) -> Next {
        if spent >= u32::from(self.tries) {
            return Next::GiveUp(GiveUp::Tries(self.tries));
        }
        match self.max_exceptions {
            Some(most) if exceptions >= u32::from(most) => Next::GiveUp(GiveUp::Exceptions(most)),
            _ => Next::Retry(self.delay_after(spent)),
        }
    }

    /// None without a list.
    fn delay_after(&self, spent: u32) -> Duration {
        let index = usize::try_from(spent.saturating_sub(1)).unwrap_or(usize::MAX);
        self.backoff.get(index).or(self.backoff.last()).copied().unwrap_or_default()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Retry(Duration),
    GiveUp(GiveUp),
}

/// Why there is no further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    #[error("all {0} tries are spent")]
    Tries(u16),
    #[error("{0} attempts ended in an error, as many as `max_exceptions` allows")]
    Exceptions(u16),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy has {found} {what}: set it between {least} and {most}")]
pub struct InvalidPolicy {
    what: &'static str,
    found: u64,
    least: u64,
    most: u64,
}

mod millis {
    //! Durations are stored as whole milliseconds.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn of(duration: Duration) -> u64 {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn serialize<S: Serializer>(it: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(of(*it))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

mod millis_list {
    //! The same for lists of them.

    use std::{borrow::Cow, time::Duration};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(it: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(it.iter().map(|duration| super::millis::of(*duration)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Cow<'static, [Duration]>, D::Error> {
        let list = Vec::<u64>::deserialize(from)?;
        Ok(list.into_iter().map(Duration::from_millis).collect())
    }
}

mod class {
    //! A memory class is stored under its name.

    use samovar_memory::Class;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(it: &Class, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Class, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_last_delay_repeats() {
        let policy = Policy { tries: 9, backoff: vec![secs(1), secs(5)].into(), ..Policy::DEFAULT };
        let delays: Vec<_> = (1..=4).map(|spent| policy.after_failure(spent, 0)).collect();
        assert_eq!(delays, [secs(1), secs(5), secs(5), secs(5)].map(Next::Retry));
        let at_once = Policy { backoff: Cow::Borrowed(&[]), ..policy };
        assert_eq!(at_once.after_failure(1, 0), Next::Retry(secs(0)));
    }

    #[test]
    fn tries_and_exceptions_each_end_it() {
        let policy = Policy { tries: 3, max_exceptions: Some(2), ..Policy::DEFAULT };
        assert_eq!(policy.after_failure(3, 0), Next::GiveUp(GiveUp::Tries(3)));
        assert_eq!(policy.after_failure(2, 2), Next::GiveUp(GiveUp::Exceptions(2)));
        assert_eq!(policy.after_failure(2, 1), Next::Retry(secs(180)));
    }

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_bounds() {
        Policy::DEFAULT.check().expect("sound");
        let bad = |change: fn(&mut Policy)| {
            let mut policy = Policy::DEFAULT;
            change(&mut policy);
            policy.check().expect_err("out of bounds").to_string()
        };
        assert_eq!(
            bad(|policy| policy.tries = 0),
            "the policy has 0 `tries`: set it between 1 and 1000"
        );
        assert!(bad(|policy| policy.max_kills = 11).contains("`max_kills`"));
        assert!(bad(|policy| policy.timeout = Duration::ZERO).contains("`timeout`"));
        assert!(bad(|policy| policy.max_exceptions = Some(0)).contains("`max_exceptions`"));
        assert!(bad(|policy| policy.backoff = vec![secs(1); 65].into()).contains("65 delays"));
        assert!(bad(|policy| policy.backoff = vec![secs(u64::MAX / 9)].into()).contains("a delay"));
    }

    #[test]
    fn a_stored_policy_comes_back_and_an_older_one_is_filled_up() {
        let policy = Policy { class: Class::Mb512, ..Policy::DEFAULT };
        let stored = serde_json::to_string(&policy).expect("it is plain");
        assert_eq!(serde_json::from_str::<Policy>(&stored).expect("readable"), policy);
        let older: Policy = serde_json::from_str(r#"{"tries":7}"#).expect("readable");
        assert_eq!(older, Policy { tries: 7, ..Policy::DEFAULT });
    }
}
