//! How long an entry serves as fresh, how long it may still be served stale, and when it is
//! refreshed before either.

use std::{fmt, sync::Arc, time::Duration};

use samovar_clock::Random;

use crate::limits;

/// A freshness class: a name people know, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Freshness {
    class: Arc<str>,
    pub ttl: Duration,
    /// After the TTL, the time in which the value may still be served, marked stale.
    pub grace: Duration,
    /// The share of the TTL by which each entry's own is shortened at random, so that entries that
    /// were made together do not expire together.
    pub jitter: f64,
    pub refresh: RefreshAhead,
    /// TTL of an answer that says "there is nothing".
    pub negative_ttl: Duration,
}

/// When a refresh in the background begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RefreshAhead {
    /// `min(max(3 × p99 of the compute time + jitter, 1 s), 20 % of the TTL)` before expiry.
    ByComputeTime,
    /// At this fraction of the TTL.
    At(f64),
    Never,
}

/// The classes everybody has: name, TTL, grace.
const BUILT_IN: [(&str, u64, u64); 8] = [
    ("realtime", 60, 60),
    ("short", 300, 300),
    ("medium", 900, 900),
    ("long", 3600, 3600),
    ("daily", 86_400, 21_600),
    ("live", 60, 60),
    ("statistics", 300, 300),
    ("heavy", 900, 900),
];

impl Freshness {
    /// A class of one's own, with grace as long as the TTL (an hour at most), 10 % jitter, and a
    /// refresh that follows the compute time.
    pub fn new(class: &str, ttl: Duration) -> Self {
        Self {
            class: Arc::from(class),
            ttl,
            grace: ttl.min(Duration::from_secs(3600)),
            jitter: 0.1,
            refresh: RefreshAhead::ByComputeTime,
            negative_ttl: ttl.min(Duration::from_secs(30)),
        }
    }

    /// One of `realtime`, `short`, `medium`, `long`, `daily`, or of the data kinds `live`,
    /// `statistics`, `heavy`.
    pub fn built_in(class: &str) -> Option<Self> {
        let (name, ttl, grace) = BUILT_IN.into_iter().find(|(name, ..)| *name == class)?;
        let mut freshness = Self::new(name, Duration::from_secs(ttl));
        freshness.grace = Duration::from_secs(grace);
        Some(freshness)
    }

    pub fn built_in_classes() -> impl Iterator<Item = &'static str> {
        BUILT_IN.into_iter().map(|(name, ..)| name)
    }

    pub fn class(&self) -> &str {
        &self.class
    }

    /// What a declaration would refuse, before there is a cache to declare it to.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), FreshnessError> {
        let class = self.class.to_string();
        if self.ttl.is_zero() {
            return Err(FreshnessError::NoTtl { class });
        }
        if self.ttl > limits::LONGEST_TTL || self.grace > limits::LONGEST_TTL {
            return Err(FreshnessError::TooLong { class });
        }
        if !(0.0..=0.9).contains(&self.jitter) {
            return Err(FreshnessError::Jitter { class, jitter: self.jitter });
        }
        match self.refresh {
            RefreshAhead::At(fraction) if !(fraction > 0.0 && fraction < 1.0) => {
                Err(FreshnessError::RefreshAhead { class, fraction })
            }
            _ => Ok(()),
        }
    }

    /// The lifetimes of one entry, its share of jitter drawn.
    pub(crate) fn draw(&self, absent: bool, compute_p99: Duration, random: &Random) -> Lifetimes {
        let ttl = if absent { self.negative_ttl.min(self.ttl) } else { self.ttl };
        let ttl = ttl.mul_f64(1.0 - self.jitter * random.fraction());
        let lead = match self.refresh {
            RefreshAhead::Never => Duration::ZERO,
            RefreshAhead::At(fraction) => ttl.mul_f64(1.0 - fraction),
            RefreshAhead::ByComputeTime => {
                let spread = 1.0 + self.jitter * random.fraction();
                let wanted = (compute_p99 * 3).mul_f64(spread).max(Duration::from_secs(1));
                wanted.min(ttl / 5)
            }
        };
        Lifetimes { ttl, grace: self.grace, lead }
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self::built_in("medium").expect("a built-in class")
    }
}

/// Drawn once, when a value is committed, and kept in the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    pub(crate) ttl: Duration,
    pub(crate) grace: Duration,
    pub(crate) lead: Duration,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FreshnessError {
    #[error("freshness `{class}` needs a ttl above zero")]
    NoTtl { class: String },
    #[error("freshness `{class}` is longer than a year")]
    TooLong { class: String },
    #[error("freshness `{class}` has jitter {jitter}: it must lie between 0 and 0.9")]
    Jitter { class: String, jitter: f64 },
    #[error(
        "freshness `{class}` refreshes at {fraction} of its ttl: it must lie above 0 and below 1"
    )]
    RefreshAhead { class: String, fraction: f64 },
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_classes_are_the_documented_ones() {
        let ttl = |class| Freshness::built_in(class).expect(class).ttl.as_secs();
        assert_eq!(
            ["realtime", "short", "medium", "long", "daily"].map(ttl),
            [60, 300, 900, 3600, 86_400]
        );
        assert_eq!(["live", "statistics", "heavy"].map(ttl), [60, 300, 900]);
        assert_eq!(Freshness::built_in("soon"), None);
    }

    #[test]
    fn the_lead_follows_the_compute_time_between_a_second_and_a_fifth_of_the_ttl() {
        let random = Random::seeded(1);
        let mut freshness = Freshness::new("own", Duration::from_secs(100));
        freshness.jitter = 0.0;
        let lead = |p99| freshness.draw(false, Duration::from_millis(p99), &random).lead;
        assert_eq!(lead(1), Duration::from_secs(1));
        assert_eq!(lead(2_000), Duration::from_secs(6));
        assert_eq!(lead(60_000), Duration::from_secs(20));
        freshness.refresh = RefreshAhead::At(0.8);
        assert_eq!(freshness.draw(false, Duration::ZERO, &random).lead, Duration::from_secs(20));
    }

    #[test]
    fn jitter_only_shortens() {
        let random = Random::seeded(2);
        let freshness = Freshness::new("own", Duration::from_secs(100));
        for _ in 0..100 {
            let ttl = freshness.draw(false, Duration::ZERO, &random).ttl;
            assert!(ttl <= Duration::from_secs(100) && ttl >= Duration::from_secs(90));
        }
    }

    #[test]
    fn wrong_values_are_refused_with_the_class() {
        let mut freshness = Freshness::new("menu", Duration::from_secs(1));
        freshness.refresh = RefreshAhead::At(1.5);
        assert!(freshness.check().expect_err("1.5").to_string().contains("`menu`"));
    }
}
