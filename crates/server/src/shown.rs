//! Words for what an answer is, and figures as clients see them.

use std::time::Duration;

use samovar_engine::{Answer, Tier};

pub(crate) fn state(answer: &Answer) -> &'static str {
    if answer.is_fresh() { "fresh" } else { "stale" }
}

pub(crate) fn tier(answer: &Answer) -> &'static str {
    match answer.tier() {
        Tier::Local => "local",
        Tier::Shared => "shared",
        Tier::Computed => "computed",
    }
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
