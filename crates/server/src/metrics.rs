//! The one table of metrics: what this process has done and holds.
//!
//! Labels are names of what is declared, of tiers, states and queues, and never of tenants, jobs or
//! keys: how many samples there are follows from the configuration.

use samovar_engine::{Counters, Engine, LATENCY_BOUNDS_US, Statistics};

use crate::{
    connection::open_connections,
    families::{
        Families, Family,
        Kind::{Counter, Gauge, Histogram},
    },
    routes::open_streams,
};

/// What this process has done and holds.
pub async fn read(engine: &Engine) -> Vec<Family> {
    let mut out = Families::default();
    widgets(&mut out, engine);
    tiers(&mut out, &engine.statistics().await);
    jobs(&mut out, engine).await;
    alerts(&mut out, engine);
    http(&mut out, engine);
    process(&mut out);
    out.all()
}

type PerWidget = (&'static str, &'static str, fn(&Counters) -> u64);

const FIGURES: [PerWidget; 7] = [
    ("samovar_computes_total", "Values computed.", |it| it.computes),
    ("samovar_refreshes_total", "Refreshes begun before anybody waited.", |it| it.refreshes),
    ("samovar_compute_errors_total", "Computes that failed.", |it| it.errors),
    ("samovar_unchanged_total", "Computes whose result was the same.", |it| it.unchanged),
    ("samovar_computed_bytes_total", "Bytes of computed values.", |it| it.computed_bytes),
    ("samovar_lease_waits_total", "Reads that waited for another process.", |it| it.lease_waits),
    ("samovar_unstored_total", "Answers from the source while the store was down.", |it| {
        it.unstored
    }),
];

fn widgets(out: &mut Families, engine: &Engine) {
    let widgets = engine.counters();
    out.begin("samovar_reads_total", Counter, "Reads, by where the answer came from.");
    for (widget, it) in &widgets {
        let reads = [
            ("local", "fresh", it.local_hits),
            ("shared", "fresh", it.shared_hits),
            ("any", "stale", it.stale_hits),
            ("computed", "fresh", it.misses),
        ];
        for (tier, state, count) in reads {
            out.sample(&[("widget", widget), ("tier", tier), ("state", state)], count);
        }
    }
    for (name, help, figure) in FIGURES {
        out.begin(name, Counter, help);
        for (widget, it) in &widgets {
            out.sample(&[("widget", widget)], figure(it));
        }
    }
    out.begin("samovar_leases_total", Counter, "Leases won, and those lost before the value came.");
    for (widget, it) in &widgets {
        out.sample(&[("widget", widget), ("state", "won")], it.leases_won);
        out.sample(&[("widget", widget), ("state", "lost")], it.leases_lost);
    }
    out.begin("samovar_read_seconds", Histogram, "How long reads took; local hits count as none.");
    for (widget, it) in &widgets {
        let (counts, sum) = (&it.read_latency, it.read_time_us);
        out.histogram(&[("widget", widget)], &LATENCY_BOUNDS_US, counts, sum);
    }
    out.begin("samovar_compute_seconds", Histogram, "How long computes took.");
    for (widget, it) in &widgets {
        let (counts, sum) = (&it.compute_latency, it.compute_time_us);
        out.histogram(&[("widget", widget)], &LATENCY_BOUNDS_US, counts, sum);
    }
}

fn tiers(out: &mut Families, statistics: &Statistics) {
    if let Some(health) = &statistics.health {
        out.single("samovar_health_score", Gauge, "0 to 100.", health.score);
        out.single("samovar_hit_ratio", Gauge, "Reads that found a value.", health.hit_rate);
    }
    let (local, store) = (&statistics.local, &statistics.store);
    out.single("samovar_local_entries", Gauge, "Values in this process.", local.entries);
    out.single("samovar_local_bytes", Gauge, "What they take.", local.bytes);
    out.single("samovar_local_limit_bytes", Gauge, "What they may take.", local.capacity_bytes);
    out.single("samovar_in_flight", Gauge, "Values looked for or computed.", local.in_flight);
    out.single(
        "samovar_hot_readings",
        Gauge,
        "Refreshed for being read often.",
        statistics.watched,
    );
    let up = u8::from(store.connected);
    out.single("samovar_store_up", Gauge, "1 while the store can be reached.", up);
    let reconnects = "Connections to the store made again.";
    out.single("samovar_store_reconnects_total", Counter, reconnects, store.reconnects);
    let gauges = [
        ("samovar_store_keys", "Keys in the store.", store.keys),
        ("samovar_store_bytes", "Memory of the store.", store.memory_bytes),
        ("samovar_store_limit_bytes", "What it may take.", store.memory_limit_bytes),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            out.single(name, Gauge, help, value);
        }
    }
    let counters = [
        ("samovar_store_expired_total", "Keys that expired.", store.expired),
        ("samovar_store_evicted_total", "Keys that were evicted.", store.evicted),
    ];
    for (name, help, value) in counters {
        if let Some(value) = value {
            out.single(name, Counter, help, value);
        }
    }
    out.begin("samovar_source_queries_total", Counter, "Queries asked.");
    for (source, it) in &statistics.sources {
        out.sample(&[("source", source)], it.queries);
    }
    out.begin("samovar_source_rows_total", Counter, "Rows that came out.");
    for (source, it) in &statistics.sources {
        out.sample(&[("source", source)], it.rows);
    }
}

async fn jobs(out: &mut Families, engine: &Engine) {
    let Some(jobs) = engine.jobs() else { return };
    let figures = jobs.figures().await;
    let up = u8::from(figures.is_ok());
    out.single("samovar_jobs_up", Gauge, "1 while the store of jobs can be reached.", up);
    let Ok(queues) = figures else { return };
    out.begin("samovar_queue_jobs", Gauge, "Jobs that are kept, by queue and state.");
    for it in &queues {
        let states = [
            ("waiting", it.waiting),
            ("scheduled", it.scheduled),
            ("claimed", it.claimed),
            ("running", it.running),
            ("done", it.done),
            ("failed", it.failed),
            ("cancelled", it.cancelled),
        ];
        for (state, count) in states {
            out.sample(&[("queue", it.queue.as_str()), ("state", state)], count);
        }
    }
    out.begin("samovar_queue_paused", Gauge, "1 while nothing of it is claimed.");
    for it in &queues {
        out.sample(&[("queue", it.queue.as_str())], u8::from(it.paused));
    }
    out.begin("samovar_queue_oldest_waiting_seconds", Gauge, "How long the oldest job waits.");
    for it in &queues {
        let waits = it.oldest_waiting.map_or(0.0, |waits| waits.as_secs_f64());
        out.sample(&[("queue", it.queue.as_str())], waits);
    }
    let Ok(seen) = jobs.workers().await else { return };
    let lost = seen.iter().filter(|view| view.is_lost()).count();
    let living: Vec<_> = seen.iter().filter(|view| !view.is_lost()).collect();
    let sum = |figure: fn(&samovar_engine::Presence) -> u64| -> u64 {
        living.iter().map(|view| figure(&view.presence)).sum()
    };
    let all = [
        ("samovar_workers", "Workers that are heard of.", living.len() as u64),
        ("samovar_workers_lost", "Workers of the last hour that are silent.", lost as u64),
        ("samovar_worker_slots", "Slots of all workers.", sum(|it| it.slots as u64)),
        ("samovar_worker_jobs", "Jobs that they hold.", sum(|it| it.held as u64)),
        ("samovar_worker_budget_bytes", "Memory for jobs.", sum(|it| it.budget.total_bytes)),
        (
            "samovar_worker_promised_bytes",
            "What of it is given out.",
            sum(|it| it.budget.promised_bytes),
        ),
        ("samovar_worker_used_bytes", "What their jobs took.", sum(|it| it.budget.rss_bytes)),
    ];
    for (name, help, value) in all {
        out.single(name, Gauge, help, value);
    }
}

fn alerts(out: &mut Families, engine: &Engine) {
    out.begin("samovar_alert_firing", Gauge, "1 while an alert fires.");
    for alert in engine.alerts().alerts.iter().filter(|it| it.state != "off") {
        out.sample(&[("alert", alert.name)], u8::from(alert.state == "firing"));
    }
}

fn http(out: &mut Families, engine: &Engine) {
    out.single("samovar_connections", Gauge, "Connections of clients.", open_connections());
    out.single("samovar_streams", Gauge, "Streams that are open.", open_streams());
    let watched = engine.watched_readings();
    out.single("samovar_watched_readings", Gauge, "Readings that streams watch.", watched);
}

fn process(out: &mut Families) {
    // Pages; where there is no such file the samples are missing.
    let resident = std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| {
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    });
    if let Some(bytes) = resident {
        out.single("process_resident_memory_bytes", Gauge, "Memory of this process.", bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        out.single("process_open_fds", Gauge, "File descriptors.", open.count());
    }
}
