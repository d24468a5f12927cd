//! What the cache of this process holds and has done, in a form to be shown.

use std::{collections::BTreeMap, time::Duration};

use samovar_cache::{Counters, Health, Sample};
use samovar_widgets::SourceFigures;
use serde::Serialize;

use crate::{
    engine::{Engine, Inner},
    shadow::Comparisons,
    slow::SlowCompute,
};

/// A snapshot; counters begin with the process.
#[derive(Clone, Debug, Serialize)]
pub struct Statistics {
    /// Null before anything was read.
    pub health: Option<HealthShown>,
    pub local: Local,
    pub store: Store,
    /// Readings and boards that are refreshed before they are asked for.
    pub watched: usize,
    /// What this process has asked of them.
    pub sources: BTreeMap<String, SourceShown>,
    /// By widget, over all tenants.
    pub widgets: BTreeMap<String, WidgetStatistics>,
    /// The last computes that took long, the newest first.
    pub slow: Vec<SlowCompute>,
}

/// 50 % hit rate, 30 % response time, 20 % errors.
#[derive(Clone, Debug, Serialize)]
pub struct HealthShown {
    /// 0 to 100.
    pub score: f64,
    pub hit_rate: f64,
    pub target_hit_rate: f64,
    pub response_ms: f64,
    pub target_response_ms: f64,
    pub error_rate: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Local {
    pub entries: usize,
    pub bytes: u64,
    pub capacity_bytes: u64,
    /// What is being computed, or put together behind those who read.
    pub in_flight: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Store {
    pub kind: &'static str,
    pub connected: bool,
    pub keys: Option<u64>,
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub expired: Option<u64>,
    pub evicted: Option<u64>,
    pub reconnects: u64,
    pub warnings: Vec<String>,
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceShown {
    pub queries: u64,
    /// That came out of the database.
    pub rows: u64,
    /// Rows of tables that were read in full, where the database counts them for its client.
    pub scanned: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WidgetStatistics {
    pub reads: u64,
    pub hit_rate: Option<f64>,
    pub local_hits: u64,
    pub shared_hits: u64,
    pub stale_hits: u64,
    pub misses: u64,
    pub computes: u64,
    pub refreshes: u64,
    pub errors: u64,
    pub computed_bytes: u64,
    pub lease_waits: u64,
    /// Leases that were still held when the value came.
    pub lease_success: Option<f64>,
    pub read_p50_ms: Option<f64>,
    pub read_p99_ms: Option<f64>,
    pub compute_p50_ms: Option<f64>,
    pub compute_p99_ms: Option<f64>,
    /// What could be better about it.
    pub advice: Vec<&'static str>,
    /// Of a widget in the shadow.
    pub shadow: Option<Comparisons>,
}

/// One widget in detail.
#[derive(Clone, Debug, Serialize)]
pub struct WidgetDetail {
    pub total: WidgetStatistics,
    pub tenants: BTreeMap<String, WidgetStatistics>,
    /// Samples of five minutes of the last day, the oldest first.
    pub history: Vec<SampleShown>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SampleShown {
    pub at_ms: i64,
    pub reads: u64,
    pub hits: u64,
    pub stale_hits: u64,
    pub computes: u64,
    pub errors: u64,
    pub computed_bytes: u64,
    pub response_ms: f64,
}

impl Engine {
    pub async fn statistics(&self) -> Statistics {
        self.0.statistics().await
    }

    /// By widget, over all tenants; those that nobody has read as well.
    pub fn counters(&self) -> BTreeMap<String, Counters> {
        let declared = self.0.widgets.keys().map(|name| (name.clone(), Counters::default()));
        let mut totals: BTreeMap<String, Counters> = declared.collect();
        for (widget, _, counters) in self.0.cache.counters() {
            // Lists of tenants and values are nobody's widgets.
            if let Some(total) = totals.get_mut(&widget) {
                total.add(&counters);
            }
        }
        totals
    }

    /// `None` for a widget that there is not.
    pub fn widget_statistics(&self, widget: &str) -> Option<WidgetDetail> {
        let served = self.0.widgets.get(widget)?;
        let mut total = Counters::default();
        let mut tenants = BTreeMap::new();
        for (name, tenant, counters) in self.0.cache.counters() {
            if name == widget {
                total.add(&counters);
                tenants.insert(tenant, WidgetStatistics::of(&counters));
            }
        }
        let history = self.0.cache.history(widget).iter().map(SampleShown::of).collect();
        let total = self.0.dressed(&served.entry.name, &total);
        Some(WidgetDetail { total, tenants, history })
    }
}

impl Inner {
    async fn statistics(&self) -> Statistics {
        let local = self.cache.local_state();
        let store = self.cache.store_state().await;
        let mut totals: BTreeMap<String, Counters> = BTreeMap::new();
        // Lists of tenants and values are nobody's widgets.
        let declared =
            |(widget, ..): &(String, String, Counters)| self.widgets.contains_key(widget);
        for (widget, _, counters) in self.cache.counters().into_iter().filter(declared) {
            totals.entry(widget).or_default().add(&counters);
        }
        let widgets = totals.into_iter().map(|(name, it)| {
            let shown = self.dressed(&name, &it);
            (name, shown)
        });
        Statistics {
            health: self.health_now().map(|health| self.health_shown(&health)),
            local: Local {
                entries: local.entries,
                bytes: local.bytes,
                capacity_bytes: local.capacity_bytes,
                in_flight: local.in_flight.max(self.bundling.in_flight()),
            },
            store: Store {
                kind: store.kind,
                connected: store.connected,
                keys: store.keys,
                memory_bytes: store.memory_bytes,
                memory_limit_bytes: store.memory_limit_bytes,
                expired: store.expired,
                evicted: store.evicted,
                reconnects: store.reconnects,
                warnings: store.warnings,
                last_error: store.last_error,
            },
            watched: self.hot.len(),
            sources: self.sources(),
            widgets: widgets.collect(),
            slow: self.slow.kept(),
        }
    }

    fn sources(&self) -> BTreeMap<String, SourceShown> {
        let sources = self.widgets.values().map(|it| (&it.entry.source_name, &it.entry.source));
        let shown = |(name, source): (&String, &samovar_widgets::Source)| {
            let SourceFigures { queries, rows, scanned } = source.figures();
            (name.clone(), SourceShown { queries, rows, scanned })
        };
        sources.map(shown).collect()
    }

    pub(crate) fn health_now(&self) -> Option<Health> {
        let health = self.cache.health(self.health)?;
        Some(self.verified.counted_in(health, self.clock.now()))
    }

    fn health_shown(&self, health: &Health) -> HealthShown {
        HealthShown {
            score: health.score,
            hit_rate: health.hit_rate,
            target_hit_rate: self.health.hit_rate,
            response_ms: ms(health.response),
            target_response_ms: ms(self.health.response),
            error_rate: health.error_rate,
        }
    }

    /// With what is known of a widget besides its counters.
    fn dressed(&self, widget: &str, counters: &Counters) -> WidgetStatistics {
        let advice = self.cache.advice(widget).iter().map(|advice| advice.text()).collect();
        let shadow = self.widgets.get(widget).map(|served| served.shadow.comparisons());
        let shadow = shadow.filter(|seen| *seen != Comparisons::default());
        WidgetStatistics { advice, shadow, ..WidgetStatistics::of(counters) }
    }
}

impl WidgetStatistics {
    fn of(counters: &Counters) -> Self {
        let compute = |q| counters.compute_quantile(q).map(ms);
        Self {
            reads: counters.reads(),
            hit_rate: counters.hit_rate(),
            local_hits: counters.local_hits,
            shared_hits: counters.shared_hits,
            stale_hits: counters.stale_hits,
            misses: counters.misses,
            computes: counters.computes,
            refreshes: counters.refreshes,
            errors: counters.errors,
            computed_bytes: counters.computed_bytes,
            lease_waits: counters.lease_waits,
            lease_success: counters.lease_success(),
            read_p50_ms: counters.read_quantile(0.5).map(ms),
            read_p99_ms: counters.read_quantile(0.99).map(ms),
            compute_p50_ms: compute(0.5),
            compute_p99_ms: compute(0.99),
            advice: Vec::new(),
            shadow: None,
        }
    }
}

impl SampleShown {
    fn of(sample: &Sample) -> Self {
        Self {
            at_ms: sample.at.as_millis(),
            reads: sample.reads,
            hits: sample.hits,
            stale_hits: sample.stale_hits,
            computes: sample.computes,
            errors: sample.errors,
            computed_bytes: sample.computed_bytes,
            response_ms: ms(sample.response),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
