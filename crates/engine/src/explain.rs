//! Why a reading is what it is, in a form to be shown.

use std::{collections::BTreeMap, time::Duration};

use samovar_cache::{Explanation, State};
use samovar_widgets::Mode;
use serde::Serialize;

use crate::{ReadFailure, engine::Engine};

/// Everything that decides about one reading right now. Durations are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    pub widget: String,
    pub tenant: String,
    pub params: BTreeMap<String, String>,
    pub key: String,
    /// `on`, `off` or `shadow`, for this tenant.
    pub mode: &'static str,
    pub freshness: String,
    /// One sentence for people.
    pub summary: String,
    /// `fresh` or `stale`; null where nothing usable is stored.
    pub state: Option<&'static str>,
    pub stale_because: Option<&'static str>,
    /// Whether this process would answer without asking the store.
    pub local: bool,
    pub stored: Option<Stored>,
    pub stamps: Vec<StampShown>,
    /// Who computes it right now.
    pub lease: Option<LeaseShown>,
    pub back_off: Option<BackOffShown>,
    /// The one that was invalidated last.
    pub last_change: Option<ChangeShown>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stored {
    pub age_ms: u64,
    pub ttl_ms: u64,
    pub grace_ms: u64,
    /// Zero when it is due.
    pub refresh_in_ms: u64,
    pub compute_ms: u64,
    pub bytes: u64,
    pub raw_bytes: u64,
}

/// A version it depends on: as it was when the value was computed, and as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StampShown {
    pub what: String,
    pub holds: bool,
    pub verdict: &'static str,
    pub changed_ms_ago: Option<u64>,
    pub cause: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeaseShown {
    pub node: String,
    pub left_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackOffShown {
    pub error: String,
    pub failures: u32,
    pub left_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeShown {
    pub what: String,
    pub ms_ago: u64,
    pub cause: Option<String>,
}

impl Engine {
    /// Explains a reading without touching it.
    pub async fn why(
        &self,
        widget: &str,
        tenant: &str,
        given: Vec<(String, String)>,
    ) -> Result<Why, ReadFailure> {
        let reading = self.0.bind(widget, tenant, given).await?;
        let (pairs, tags) = (reading.pairs(), || reading.tags());
        let found = self.0.cache.explain(&reading.borrow(&pairs, &tags)).await?;
        let entry = &reading.served.entry;
        let mut why = Why::of(found);
        reading.widget().clone_into(&mut why.widget);
        reading.tenant().clone_into(&mut why.tenant);
        why.params = reading.params().clone();
        why.mode = match entry.mode.of(tenant) {
            Mode::On => "on",
            Mode::Off => "off",
            Mode::Shadow => "shadow",
        };
        why.freshness.clone_from(&entry.class);
        Ok(why)
    }
}

impl Why {
    fn of(found: Explanation) -> Self {
        let now = found.store_now_ms;
        let ago = |at: u64| now.saturating_sub(at);
        let stamps = found.stamps.iter().map(|stamp| StampShown {
            what: stamp.what.clone(),
            holds: stamp.holds,
            verdict: stamp.verdict,
            changed_ms_ago: stamp.changed_at_ms.map(ago),
            cause: stamp.cause.clone().filter(|cause| !cause.is_empty()),
        });
        let stamps: Vec<_> = stamps.collect();
        let changed = stamps.iter().filter_map(|stamp| Some((stamp.changed_ms_ago?, stamp)));
        let last_change = changed.min_by_key(|(ms_ago, _)| *ms_ago).map(|(ms_ago, stamp)| {
            ChangeShown { what: stamp.what.clone(), ms_ago, cause: stamp.cause.clone() }
        });
        let stored = found.stored.as_ref().map(|stored| Stored {
            age_ms: ms(stored.age),
            ttl_ms: ms(stored.ttl),
            grace_ms: ms(stored.grace),
            refresh_in_ms: ms(stored.refresh_in),
            compute_ms: ms(stored.compute),
            bytes: stored.bytes,
            raw_bytes: stored.raw_bytes,
        });
        let lease = found.lease.as_ref().map(|lease| LeaseShown {
            node: format!("{:016x}", lease.node),
            left_ms: ms(lease.left),
        });
        let back_off = found.back_off.as_ref().map(|it| BackOffShown {
            error: it.error.clone(),
            failures: it.failures,
            left_ms: ms(it.left),
        });
        let (state, stale_because) = match found.state {
            None => (None, None),
            Some(State::Fresh) => (Some("fresh"), None),
            Some(State::Stale(because)) => (Some("stale"), Some(because.name())),
        };
        let summary = summary(state, stale_because, stored.as_ref(), &stamps, lease.is_some());
        Self {
            widget: String::new(),
            tenant: String::new(),
            params: BTreeMap::new(),
            key: found.key,
            mode: "on",
            freshness: String::new(),
            summary,
            state,
            stale_because,
            local: found.local,
            stored,
            stamps,
            lease,
            back_off,
            last_change,
        }
    }
}

fn summary(
    state: Option<&str>,
    because: Option<&str>,
    stored: Option<&Stored>,
    stamps: &[StampShown],
    computing: bool,
) -> String {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let moved = stamps.iter().find(|stamp| !stamp.holds);
    let text = match (state, stored) {
        (None, None) => "nothing is stored: the next read computes it".to_owned(),
        (None, Some(stored)) => {
            let why = moved.map_or("it is past its grace".to_owned(), |stamp| {
                format!("{} is {}", stamp.what, stamp.verdict)
            });
            let age = seconds(stored.age_ms);
            format!("what is stored ({age:.1} s old) cannot be used: {why}")
        }
        (Some("fresh"), Some(stored)) => {
            let (age, left) = (seconds(stored.age_ms), seconds(stored.refresh_in_ms));
            format!("fresh: {age:.1} s old, to be refreshed in {left:.1} s")
        }
        (Some(_), _) => {
            let because = because.unwrap_or("age");
            let what = moved.map(|stamp| format!(" of {}", stamp.what)).unwrap_or_default();
            format!("stale because of {because}{what}: the next read computes it")
        }
    };
    if computing { format!("{text}; it is being computed") } else { text }
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
