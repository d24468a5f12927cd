//! Counters per widget and tenant, and what they say about health.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{limits, widget::LastDependencies};

/// What happened to a read or a compute. One counter each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Count {
    LocalHits,
    SharedHits,
    StaleHits,
    Misses,
    Computes,
    Errors,
    /// Computes whose result was equal to the old one.
    Unchanged,
    /// Computes whose result differed although no version had changed.
    Drifted,
    LeasesWon,
    LeasesLost,
    LeaseWaits,
    Refreshes,
    /// Served straight from the source because the store was down.
    Unstored,
    ComputedBytes,
}

const COUNTS: usize = Count::ComputedBytes as usize + 1;
const STRIPES: usize = 8;
/// Upper bounds of the latency buckets, in microseconds; the last is open.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// The counters of one widget and tenant, and what its last reading depended on. Striped, so that a hit writes to no cache line that
/// another core's hit needs.
#[derive(Debug, Default)]
pub(crate) struct Row {
    stripes: [Stripe; STRIPES],
    compute_us: Histogram,
    read_us: Histogram,
    pub(crate) last: LastDependencies,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; COUNTS]);

impl Row {
    #[inline]
    pub(crate) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    #[inline]
    pub(crate) fn add(&self, what: Count, amount: u64) {
        self.stripes[stripe()].0[what as usize].fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn computed(&self, took: Duration) {
        self.compute_us.record(took);
    }

    /// Reads that had to wait for anything; local hits are counted, not timed.
    pub(crate) fn waited(&self, took: Duration) {
        self.read_us.record(took);
    }

    pub(crate) fn compute_quantile(&self, q: f64) -> Option<Duration> {
        quantile(&self.compute_us.snapshot(), q)
    }

    fn total(&self, what: Count) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0[what as usize].load(Ordering::Relaxed)).sum()
    }

    fn snapshot(&self) -> Counters {
        let local_hits = self.total(Count::LocalHits);
        let mut read_latency = self.read_us.snapshot();
        read_latency[0] += local_hits;
        Counters {
            local_hits,
            shared_hits: self.total(Count::SharedHits),
            stale_hits: self.total(Count::StaleHits),
            misses: self.total(Count::Misses),
            computes: self.total(Count::Computes),
            errors: self.total(Count::Errors),
            unchanged: self.total(Count::Unchanged),
            drifted: self.total(Count::Drifted),
            leases_won: self.total(Count::LeasesWon),
            leases_lost: self.total(Count::LeasesLost),
            lease_waits: self.total(Count::LeaseWaits),
            refreshes: self.total(Count::Refreshes),
            unstored: self.total(Count::Unstored),
            computed_bytes: self.total(Count::ComputedBytes),
            read_latency,
            compute_latency: self.compute_us.snapshot(),
            read_time_us: self.read_us.sum_us(),
            compute_time_us: self.compute_us.sum_us(),
        }
    }
}

/// Threads take the stripes in turn, once each.
#[inline]
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

pub type Latency = [u64; LATENCY_BOUNDS_US.len() + 1];

impl Histogram {
    fn record(&self, took: Duration) {
        let us = took.as_micros().try_into().unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Latency {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed))
    }

    fn sum_us(&self) -> u64 {
        self.sum_us.load(Ordering::Relaxed)
    }
}

/// The upper bound of the bucket that holds the quantile.
fn quantile(latency: &Latency, q: f64) -> Option<Duration> {
    let total: u64 = latency.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((total as f64 * q).ceil() as u64).max(1);
    let mut seen = 0;
    for (bucket, count) in latency.iter().enumerate() {
        seen += count;
        if seen >= rank {
            let last = LATENCY_BOUNDS_US[LATENCY_BOUNDS_US.len() - 1];
            let bound = LATENCY_BOUNDS_US.get(bucket).copied().unwrap_or(last * 2);
            return Some(Duration::from_micros(bound));
        }
    }
    None
}

/// The counters of a widget for one tenant, or sums of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub local_hits: u64,
    pub shared_hits: u64,
    pub stale_hits: u64,
    pub misses: u64,
    pub computes: u64,
    pub errors: u64,
    /// Refreshes that changed nothing: a TTL that may be too short.
    pub unchanged: u64,
    /// Recomputations that found a change which nobody had announced.
    pub drifted: u64,
    pub leases_won: u64,
    pub leases_lost: u64,
    pub lease_waits: u64,
    pub refreshes: u64,
    pub unstored: u64,
    pub computed_bytes: u64,
    /// By [`LATENCY_BOUNDS_US`]; local hits count in the first bucket.
    pub read_latency: Latency,
    pub compute_latency: Latency,
    /// Of all reads that had to wait.
    pub read_time_us: u64,
    pub compute_time_us: u64,
}

impl Counters {
    pub fn reads(&self) -> u64 {
        self.local_hits + self.shared_hits + self.stale_hits + self.misses
    }

    /// Reads that found a value ready, stale ones included.
    pub fn hit_rate(&self) -> Option<f64> {
        let hits = self.local_hits + self.shared_hits + self.stale_hits;
        (self.reads() > 0).then(|| hits as f64 / self.reads() as f64)
    }

    /// Leases that were still held when the value came, of all that were won.
    pub fn lease_success(&self) -> Option<f64> {
        let won = self.leases_won;
        (won > 0).then(|| won.saturating_sub(self.leases_lost) as f64 / won as f64)
    }

    pub fn read_quantile(&self, q: f64) -> Option<Duration> {
        quantile(&self.read_latency, q)
    }

    pub fn compute_quantile(&self, q: f64) -> Option<Duration> {
        quantile(&self.compute_latency, q)
    }

    pub fn add(&mut self, other: &Counters) {
        self.combine(other, |mine, theirs| mine + theirs);
    }

    /// What was counted behind `earlier`.
    pub fn since(&self, earlier: &Counters) -> Counters {
        let mut counted = self.clone();
        counted.combine(earlier, u64::saturating_sub);
        counted
    }

    fn combine(&mut self, other: &Counters, combined: impl Fn(u64, u64) -> u64) {
        let pairs = [
            (&mut self.local_hits, other.local_hits),
            (&mut self.shared_hits, other.shared_hits),
            (&mut self.stale_hits, other.stale_hits),
            (&mut self.misses, other.misses),
            (&mut self.computes, other.computes),
            (&mut self.errors, other.errors),
            (&mut self.unchanged, other.unchanged),
            (&mut self.drifted, other.drifted),
            (&mut self.leases_won, other.leases_won),
            (&mut self.leases_lost, other.leases_lost),
            (&mut self.lease_waits, other.lease_waits),
            (&mut self.refreshes, other.refreshes),
            (&mut self.unstored, other.unstored),
            (&mut self.computed_bytes, other.computed_bytes),
            (&mut self.read_time_us, other.read_time_us),
            (&mut self.compute_time_us, other.compute_time_us),
        ];
        let reads = self.read_latency.iter_mut().zip(other.read_latency);
        let computes = self.compute_latency.iter_mut().zip(other.compute_latency);
        for (mine, theirs) in pairs.into_iter().chain(reads).chain(computes) {
            *mine = combined(*mine, theirs);
        }
    }
}

/// What the health score is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthTargets {
    /// The hit rate that counts as full, between 0 and 1.
    pub hit_rate: f64,
    /// Full marks for the mean response at or below this; none at two and a half times as much.
    pub response: Duration,
}

impl Default for HealthTargets {
    fn default() -> Self {
        Self { hit_rate: 0.99, response: Duration::from_millis(200) }
    }
}

/// 0 to 100: half hit rate, 30 % response time, 20 % errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    pub score: f64,
    pub hit_rate: f64,
    pub response: Duration,
    pub error_rate: f64,
}

impl Health {
    /// `None` before anything was read.
    pub fn of(counters: &Counters, targets: HealthTargets) -> Option<Self> {
        let hit_rate = counters.hit_rate()?;
        let response = mean(&counters.read_latency);
        let error_rate = counters.errors as f64 / counters.reads() as f64;
        let (full, none) = (targets.response.as_secs_f64(), targets.response.as_secs_f64() * 2.5);
        let speed = ((none - response.as_secs_f64()) / (none - full)).clamp(0.0, 1.0);
        let hits = (hit_rate / targets.hit_rate).clamp(0.0, 1.0);
        let score = 50.0 * hits + 30.0 * speed + marks_for(error_rate);
        Some(Self { score, hit_rate, response, error_rate })
    }

    /// With so many more answers, as a share of all, that were wrong.
    pub fn with_errors(self, rate: f64) -> Self {
        let error_rate = self.error_rate + rate;
        let score = self.score - marks_for(self.error_rate) + marks_for(error_rate);
        Self { score, error_rate, ..self }
    }
}

/// None at 1 % of errors.
fn marks_for(error_rate: f64) -> f64 {
    20.0 * (1.0 - error_rate / 0.01).clamp(0.0, 1.0)
}

pub(crate) fn mean(latency: &Latency) -> Duration {
    let total: u64 = latency.iter().sum();
    let last = LATENCY_BOUNDS_US[LATENCY_BOUNDS_US.len() - 1];
    let sum: u128 = latency
        .iter()
        .zip(LATENCY_BOUNDS_US.iter().chain([&(last * 2)]))
        .map(|(count, bound)| u128::from(*count) * u128::from(*bound))
        .sum();
    Duration::from_micros((sum / u128::from(total.max(1))).try_into().unwrap_or(u64::MAX))
}

/// The rows of all widgets and tenants of a node.
#[derive(Debug, Default)]
pub(crate) struct Rows(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<Arc<str>, HashMap<Box<str>, Arc<Row>>>,
    count: usize,
}

/// The tenant under which those beyond the limit are counted.
pub(crate) const OTHER_TENANTS: &str = "*";

impl Rows {
    pub(crate) fn row(&self, widget: &Arc<str>, tenant: &str) -> Arc<Row> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = table.rows.get(widget).and_then(|tenants| tenants.get(tenant)) {
            return row.clone();
        }
        drop(table);
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Table { rows, count } = &mut *table;
        let tenant = if *count < limits::STATISTICS_ROWS { tenant } else { OTHER_TENANTS };
        let tenants = rows.entry(widget.clone()).or_default();
        let made = || {
            *count += 1;
            Arc::default()
        };
        tenants.entry(tenant.into()).or_insert_with(made).clone()
    }

    pub(crate) fn snapshot(&self) -> Vec<(String, String, Counters)> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::with_capacity(table.count);
        for (widget, tenants) in &table.rows {
            for (tenant, row) in tenants {
                all.push((widget.to_string(), tenant.to_string(), row.snapshot()));
            }
        }
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_half_hits_a_third_speed_and_a_fifth_errors() {
        let targets = HealthTargets::default();
        let score = |counters: &Counters| Health::of(counters, targets).map(|it| it.score.round());
        let mut counters = Counters { local_hits: 99, misses: 1, ..Counters::default() };
        counters.read_latency[0] = 100;
        assert_eq!(score(&counters), Some(100.0));
        counters.errors = 1;
        assert_eq!(score(&counters), Some(80.0));
        counters.errors = 0;
        counters.read_latency = Latency::default();
        counters.read_latency[11] = 100; // all in the bucket up to 500 ms
        assert_eq!(score(&counters), Some(70.0));
        assert_eq!(Health::of(&Counters::default(), targets), None);
    }

    #[test]
    fn what_was_counted_in_between_is_the_difference() {
        let earlier = Counters { local_hits: 3, read_latency: [1; 15], ..Counters::default() };
        let mut later = earlier.clone();
        let between =
            Counters { local_hits: 2, errors: 4, compute_latency: [5; 15], ..Counters::default() };
        later.add(&between);
        assert_eq!(later.since(&earlier), between);
        assert_eq!(earlier.since(&later), Counters::default(), "it began anew");
    }

    #[test]
    fn tenants_beyond_the_limit_share_a_row() {
        let rows = Rows::default();
        let widget: Arc<str> = Arc::from("w");
        for tenant in 0..limits::STATISTICS_ROWS + 10 {
            rows.row(&widget, &tenant.to_string()).count(Count::Misses);
        }
        let snapshot = rows.snapshot();
        assert_eq!(snapshot.len(), limits::STATISTICS_ROWS + 1);
        let other = snapshot.iter().find(|(_, tenant, _)| tenant == OTHER_TENANTS);
        assert_eq!(other.map(|(.., counters)| counters.misses), Some(10));
    }

    #[test]
    fn quantiles_are_bucket_bounds() {
        let row = Row::default();
        for ms in [1, 1, 1, 40] {
            row.computed(Duration::from_millis(ms));
        }
        assert_eq!(row.compute_quantile(0.5), Some(Duration::from_millis(1)));
        assert_eq!(row.compute_quantile(0.99), Some(Duration::from_millis(50)));
    }
}
