//! What the cache of this process holds and has done, in a form to be shown.

use std::collections::BTreeMap;

use samovar_cache::{Cache, Counters, HealthTargets};
use serde::Serialize;

/// A snapshot; counters begin with the process.
#[derive(Clone, Debug, Serialize)]
pub struct Statistics {
    /// 0 to 100; null before anything was read.
    pub health: Option<f64>,
    pub local: Local,
    pub store: Store,
    /// By widget, over all tenants.
    pub widgets: BTreeMap<String, WidgetStatistics>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Local {
    pub entries: usize,
    pub bytes: u64,
    pub capacity_bytes: u64,
    pub in_flight: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Store {
    pub kind: &'static str,
    pub connected: bool,
    pub keys: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub warnings: Vec<String>,
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WidgetStatistics {
    pub reads: u64,
    pub hit_rate: Option<f64>,
    pub local_hits: u64,
    pub shared_hits: u64,
    pub stale_hits: u64,
    pub computes: u64,
    pub errors: u64,
}

pub(crate) async fn statistics(cache: &Cache) -> Statistics {
    let local = cache.local_state();
    let store = cache.store_state().await;
    let mut totals: BTreeMap<String, Counters> = BTreeMap::new();
    for (widget, _, counters) in cache.counters() {
        totals.entry(widget).or_default().add(&counters);
    }
    Statistics {
        health: cache.health(HealthTargets::default()).map(|health| health.score),
        local: Local {
            entries: local.entries,
            bytes: local.bytes,
            capacity_bytes: local.capacity_bytes,
            in_flight: local.in_flight,
        },
        store: Store {
            kind: store.kind,
            connected: store.connected,
            keys: store.keys,
            memory_bytes: store.memory_bytes,
            warnings: store.warnings,
            last_error: store.last_error,
        },
        widgets: totals.into_iter().map(|(name, it)| (name, WidgetStatistics::of(&it))).collect(),
    }
}

impl WidgetStatistics {
    fn of(counters: &Counters) -> Self {
        Self {
            reads: counters.reads(),
            hit_rate: counters.hit_rate(),
            local_hits: counters.local_hits,
            shared_hits: counters.shared_hits,
            stale_hits: counters.stale_hits,
            computes: counters.computes,
            errors: counters.errors,
        }
    }
}
