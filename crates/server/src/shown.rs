//! Words for what an answer is.

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
