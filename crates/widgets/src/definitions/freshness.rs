//! Freshness classes of a team's own. Whether their figures make sense is for the cache to say.

use std::time::Duration;

use super::check_name;
use crate::{Located, Section, limits};

/// A class that widgets name. What is left out has the cache's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct FreshnessDefinition {
    pub name: Located<String>,
    /// `None` is a mistake that was told.
    pub ttl: Option<Located<Duration>>,
    pub grace: Option<Located<Duration>>,
    pub jitter: Option<Located<f64>>,
    pub refresh_ahead: Option<Located<RefreshAheadDefinition>>,
    pub negative_ttl: Option<Located<Duration>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RefreshAheadDefinition {
    /// A fraction of the TTL.
    At(f64),
    Never,
}

/// A class that is wrong is kept all the same: who refers to it makes no mistake.
pub(super) fn read(name: Located<String>, mut section: Section<'_>) -> FreshnessDefinition {
    const ANY: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;
    check_name(&name, &section);
    section.require("ttl", "ttl = \"10m\"");
    let ttl = section.duration("ttl", ANY);
    let grace = section.duration("grace", ANY);
    let jitter = section.number("jitter");
    let refresh_ahead = read_refresh_ahead(&mut section);
    let least = Duration::from_millis(1);
    let negative_ttl = section.duration("negative_ttl", least..=limits::LONGEST_NEGATIVE_TTL);
    section.finish();
    FreshnessDefinition { name, ttl, grace, jitter, refresh_ahead, negative_ttl }
}

fn read_refresh_ahead(section: &mut Section<'_>) -> Option<Located<RefreshAheadDefinition>> {
    const KEY: &str = "refresh_ahead";
    if !section.is_flag(KEY) {
        let Located { value, line } = section.number(KEY)?;
        return Some(Located { value: RefreshAheadDefinition::At(value), line });
    }
    let Located { value, line } = section.flag(KEY)?;
    if value {
        let hint = "leave it out: refreshing ahead is the default; or give a fraction like 0.8";
        section.refuse(KEY, line, "is true", hint);
        return None;
    }
    Some(Located { value: RefreshAheadDefinition::Never, line })
}
