//! What holds back all jobs of a kind: its rate, and the remotes it cannot do without.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    name::{Kind, RemoteName},
};

/// So many jobs at once, and as many over each such time after that: a claim counts, whatever
/// becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

impl Rate {
    pub const fn per_second(count: u32) -> Self {
        Self { count, per: Duration::from_secs(1) }
    }

    pub const fn per_minute(count: u32) -> Self {
        Self { count, per: Duration::from_secs(60) }
    }

    pub fn check(&self) -> Result<(), InvalidRate> {
        let fits =
            (1..=limits::RATE_COUNT).contains(&self.count) && limits::RATE_PER.contains(&self.per);
        if fits { Ok(()) } else { Err(InvalidRate { rate: *self }) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate of {} per {:?}: choose from 1 to {} jobs per {:?} to {:?}",
    .rate.count, .rate.per, limits::RATE_COUNT, limits::RATE_PER.start(), limits::RATE_PER.end()
)]
pub struct InvalidRate {
    rate: Rate,
}

/// Of one kind, as its worker knows it; it comes with each claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub kind: Kind,
    pub rate: Option<Rate>,
    /// While the breaker of one of them is open, its jobs are left alone.
    pub needs: Vec<RemoteName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_out_of_bounds_is_refused_with_the_bounds() {
        Rate::per_minute(90).check().expect("sound");
        let error = Rate::per_second(0).check().expect_err("none").to_string();
        assert_eq!(error, "a rate of 0 per 1s: choose from 1 to 1000000 jobs per 1ms to 86400s");
        let slow = Rate { count: 1, per: limits::RATE_PER.end().saturating_mul(2) };
        slow.check().expect_err("too slow");
    }
}
