//! What two looks at a server say together: what it holds, and what it does each second.

use samovar_clock::Instant;
use serde::Serialize;
use serde_json::Value;

use super::super::{list, text};

/// One look: the answers as they came.
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) stats: Value,
    pub(super) workers: Value,
    pub(super) queues: Value,
}

/// Rates are those between the two looks; with one look there are none.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    /// 0 to 100, since the server began.
    pub(super) health: Option<f64>,
    pub(super) hit_rate: Option<f64>,
    pub(super) reads_per_s: Option<f64>,
    pub(super) computes_per_s: Option<f64>,
    pub(super) errors_per_s: Option<f64>,
    pub(super) memory: Memory,
    pub(super) store: Store,
    pub(super) widgets: Vec<Widget>,
    pub(super) queues: Vec<Queue>,
    pub(super) workers: Vec<Worker>,
    /// Computes that took long, the last first.
    pub(super) slow: Vec<Slow>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Memory {
    pub(super) bytes: u64,
    pub(super) capacity_bytes: u64,
    pub(super) entries: u64,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Store {
    pub(super) kind: String,
    pub(super) connected: bool,
    pub(super) keys: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Widget {
    pub(super) name: String,
    pub(super) reads_per_s: Option<f64>,
    /// Since the server began, as what follows.
    pub(super) hit_rate: Option<f64>,
    pub(super) reads: u64,
    pub(super) stale: u64,
    pub(super) computes: u64,
    pub(super) errors: u64,
    pub(super) read_p99_ms: Option<f64>,
    pub(super) compute_p99_ms: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) waiting: u64,
    pub(super) running: u64,
    pub(super) failed: u64,
    pub(super) done_per_s: Option<f64>,
    pub(super) oldest_waiting_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) slots: u64,
    pub(super) most_slots: u64,
    pub(super) jobs: u64,
    pub(super) used_bytes: u64,
    pub(super) budget_bytes: u64,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Slow {
    pub(super) widget: String,
    pub(super) tenant: String,
    pub(super) took_ms: u64,
    pub(super) error: Option<String>,
}

pub(super) fn figures(before: Option<&Sample>, now: &Sample) -> Figures {
    let stats = &now.stats;
    let widgets = widgets(before, now);
    let pace = Pace::between(before, now);
    let all = |of: &str| pace.rate(sum(&now.stats, of), before.map(|it| sum(&it.stats, of)));
    let (local, store) = (&stats["local"], &stats["store"]);
    Figures {
        health: stats["health"]["score"].as_f64(),
        hit_rate: stats["health"]["hit_rate"].as_f64(),
        reads_per_s: all("reads"),
        computes_per_s: all("computes"),
        errors_per_s: all("errors"),
        memory: Memory {
            bytes: count(&local["bytes"]),
            capacity_bytes: count(&local["capacity_bytes"]),
            entries: count(&local["entries"]),
        },
        store: Store {
            kind: text(&store["kind"]).to_owned(),
            connected: store["connected"] == true,
            keys: store["keys"].as_u64(),
        },
        widgets,
        queues: queues(before, now),
        workers: list(&now.workers["workers"]).iter().map(worker).collect(),
        slow: list(&stats["slow"]).iter().map(slow).collect(),
    }
}

/// How counters of two looks become a rate.
struct Pace(Option<f64>);

impl Pace {
    fn between(before: Option<&Sample>, now: &Sample) -> Self {
        let seconds = before.map(|before| now.at.since(before.at).as_secs_f64());
        Self(seconds.filter(|seconds| *seconds > 0.0))
    }

    /// Counters that went back are those of another process: it began in between.
    fn rate(&self, now: u64, before: Option<u64>) -> Option<f64> {
        let (seconds, before) = (self.0?, before?);
        Some(now.checked_sub(before).unwrap_or(now) as f64 / seconds)
    }
}

fn widgets(before: Option<&Sample>, now: &Sample) -> Vec<Widget> {
    let pace = Pace::between(before, now);
    let all = now.stats["widgets"].as_object().into_iter().flatten();
    let widget = |(name, it): (&String, &Value)| {
        let reads_before = before.map(|before| count(&before.stats["widgets"][name]["reads"]));
        Widget {
            name: name.clone(),
            reads_per_s: pace.rate(count(&it["reads"]), reads_before),
            hit_rate: it["hit_rate"].as_f64(),
            reads: count(&it["reads"]),
            stale: count(&it["stale_hits"]),
            computes: count(&it["computes"]),
            errors: count(&it["errors"]),
            read_p99_ms: it["read_p99_ms"].as_f64(),
            compute_p99_ms: it["compute_p99_ms"].as_f64(),
        }
    };
    all.map(widget).collect()
}

fn queues(before: Option<&Sample>, now: &Sample) -> Vec<Queue> {
    let pace = Pace::between(before, now);
    let queue = |it: &Value| {
        let name = &it["name"];
        let of = |sample: &Sample| {
            let before = list(&sample.queues["queues"]).iter().find(|it| it["name"] == *name);
            before.map_or(0, |it| count(&it["done"]))
        };
        Queue {
            name: text(name).to_owned(),
            paused: it["paused"] == true,
            waiting: count(&it["waiting"]) + count(&it["scheduled"]),
            running: count(&it["running"]) + count(&it["claimed"]),
            failed: count(&it["failed"]),
            done_per_s: pace.rate(count(&it["done"]), before.map(of)),
            oldest_waiting_ms: it["oldest_waiting_ms"].as_u64(),
        }
    };
    list(&now.queues["queues"]).iter().map(queue).collect()
}

fn worker(it: &Value) -> Worker {
    let memory = &it["memory"];
    Worker {
        name: text(&it["name"]).to_owned(),
        state: match (it["lost"] == true, it["draining"] == true || it["order"].is_string()) {
            (true, _) => "LOST",
            (false, true) => "draining",
            (false, false) => "works",
        },
        slots: count(&it["slots"]),
        most_slots: count(&it["most_slots"]),
        jobs: count(&it["held"]),
        used_bytes: count(&memory["used_bytes"]),
        budget_bytes: count(&memory["budget_bytes"]),
    }
}

fn slow(it: &Value) -> Slow {
    Slow {
        widget: text(&it["widget"]).to_owned(),
        tenant: text(&it["tenant"]).to_owned(),
        took_ms: count(&it["took_ms"]),
        error: it["error"].as_str().map(str::to_owned),
    }
}

fn sum(stats: &Value, of: &str) -> u64 {
    let widgets = stats["widgets"].as_object().into_iter().flatten();
    widgets.map(|(_, it)| count(&it[of])).sum()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(second: u64, reads: u64, done: u64) -> Sample {
        Sample {
            at: Instant::from_nanos(second * 1_000_000_000),
            stats: json!({
                "health": { "score": 97.5, "hit_rate": 0.99 },
                "widgets": { "a": { "reads": reads, "computes": 1 }, "b": { "reads": 2 } },
            }),
            workers: json!({ "workers": [{ "name": "w", "lost": true, "draining": true }] }),
            queues: json!({ "queues": [{ "name": "low", "done": done, "waiting": 3, "scheduled": 4 }] }),
        }
    }

    #[test]
    fn rates_are_what_happened_between_two_looks() {
        let seen = figures(Some(&sample(10, 100, 5)), &sample(12, 150, 11));
        assert_eq!((seen.reads_per_s, seen.computes_per_s), (Some(25.0), Some(0.0)));
        let rates: Vec<_> = seen.widgets.iter().map(|it| it.reads_per_s).collect();
        assert_eq!(rates, [Some(25.0), Some(0.0)]);
        assert_eq!((seen.queues[0].done_per_s, seen.queues[0].waiting), (Some(3.0), 7));
        assert_eq!((seen.health, seen.workers[0].state), (Some(97.5), "LOST"));
    }

    #[test]
    fn one_look_has_no_rates_and_a_server_that_began_anew_has_those_of_its_own() {
        let seen = figures(None, &sample(10, 100, 5));
        assert_eq!((seen.reads_per_s, seen.widgets[0].reads_per_s), (None, None));
        let seen = figures(Some(&sample(10, 1000, 5)), &sample(12, 8, 5));
        assert_eq!(seen.widgets[0].reads_per_s, Some(4.0));
        assert_eq!(figures(Some(&sample(10, 1, 1)), &sample(10, 2, 1)).reads_per_s, None);
    }

    /// A viewer may not see all of it, and a store may be away.
    #[test]
    fn what_is_not_told_is_not_there() {
        let mut now = sample(10, 1, 1);
        now.stats = json!({});
        (now.workers, now.queues) = (json!({ "error": {} }), json!({ "error": {} }));
        let seen = figures(None, &now);
        assert!(seen.workers.is_empty() && seen.queues.is_empty() && seen.widgets.is_empty());
        assert_eq!(seen.health, None);
    }
}
