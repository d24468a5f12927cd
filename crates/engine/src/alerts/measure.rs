//! One number for each alert, out of what was seen at one moment.

use std::collections::BTreeSet;

use samovar_cache::{Counters, Health, HealthTargets, StoreState};
use samovar_jobs::store::QueueFigures;
use samovar_memory::{Alert as MemoryAlert, RunningJob};

use super::{
    kind::{AlertKind, Side},
    phase::Look,
};

/// What is known at one moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of the last while, if there were enough reads in it.
    pub(super) reads: Option<Counters>,
    /// The same for leases.
    pub(super) leases: Option<Counters>,
    /// None: it did not answer in time.
    pub(super) store: Option<StoreState>,
    pub(super) queues: Queues,
    pub(super) jobs: Vec<RunningJob>,
    /// Conditions of memory that hold.
    pub(super) standing: Vec<MemoryAlert>,
    /// What happened within the last minutes.
    pub(super) lately: Vec<MemoryAlert>,
}

#[derive(Debug, Default)]
pub(super) enum Queues {
    /// There is no store of jobs.
    #[default]
    None,
    /// It does not answer.
    Away,
    Known(Vec<QueueFigures>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measured {
    Value {
        value: f64,
        /// Which job, which queue.
        detail: Option<String>,
    },
    /// So little happened that nothing is wrong.
    Quiet,
    /// It could not be asked.
    Unknown,
}

/// Jobs and kinds that are named. More are counted.
const NAMED: usize = 3;

impl Measured {
    pub(super) fn look(&self, side: Side, threshold: f64) -> Look {
        match self {
            Measured::Value { value, .. } if side.is_wrong(*value, threshold) => Look::Wrong,
            Measured::Value { .. } | Measured::Quiet => Look::Right,
            Measured::Unknown => Look::Unknown,
        }
    }

    fn plain(value: f64) -> Self {
        Measured::Value { value, detail: None }
    }

    fn or_quiet(value: Option<f64>) -> Self {
        value.map_or(Measured::Quiet, Measured::plain)
    }
}

pub(super) fn measure(kind: AlertKind, seen: &Seen) -> Measured {
    let reads = seen.reads.as_ref();
    let health = || reads.and_then(|it| Health::of(it, HealthTargets::default()));
    match kind {
        AlertKind::HitRate => Measured::or_quiet(health().map(|it| it.hit_rate * 100.0)),
        AlertKind::Response => {
            Measured::or_quiet(health().map(|it| it.response.as_secs_f64() * 1000.0))
        }
        AlertKind::Errors => Measured::or_quiet(health().map(|it| it.error_rate * 100.0)),
        AlertKind::LeaseFailures => {
            let success = seen.leases.as_ref().and_then(Counters::lease_success);
            Measured::or_quiet(success.map(|rate| (1.0 - rate) * 100.0))
        }
        AlertKind::StoreMemory => store_memory(seen.store.as_ref()),
        AlertKind::StoreUnreachable => store_unreachable(seen),
        AlertKind::QueueWait => queue_wait(&seen.queues),
        AlertKind::MemoryUsage => {
            let usage = |it: &RunningJob| Some((it.usage?.percentage()?, it.job.clone()));
            most(seen.jobs.iter().filter_map(usage))
        }
        AlertKind::MemoryGrowth => most(seen.standing.iter().filter_map(|it| match it {
            MemoryAlert::Growth { job, mb_per_minute } => Some((*mb_per_minute, job.clone())),
            _ => None,
        })),
        AlertKind::MemoryPurges => {
            let purges = seen.standing.iter().find_map(|it| match it {
                MemoryAlert::ManyPurges { purges_per_minute } => Some(*purges_per_minute as f64),
                _ => None,
            });
            Measured::plain(purges.unwrap_or(0.0))
        }
        AlertKind::MemoryLimit => counted(seen.lately.iter().filter_map(|it| match it {
            MemoryAlert::LimitExceeded { job, .. } => Some(job.as_str()),
            _ => None,
        })),
        AlertKind::MemoryLeak => counted(seen.lately.iter().filter_map(|it| match it {
            MemoryAlert::Leak(leak) => Some(leak.kind.as_str()),
            _ => None,
        })),
        AlertKind::MemorySplit => counted(seen.lately.iter().filter_map(|it| match it {
            MemoryAlert::Split { job, .. } => Some(job.as_str()),
            _ => None,
        })),
    }
}

fn store_memory(store: Option<&StoreState>) -> Measured {
    let Some(store) = store.filter(|it| it.connected) else { return Measured::Unknown };
    let limit = store.memory_limit_bytes.filter(|limit| *limit > 0);
    let held = store.memory_bytes.zip(limit);
    Measured::or_quiet(held.map(|(held, limit)| held as f64 * 100.0 / limit as f64))
}

fn store_unreachable(seen: &Seen) -> Measured {
    let is_away = seen.store.as_ref().is_none_or(|it| !it.connected);
    let cache = is_away.then_some("that of the cache");
    let jobs = matches!(seen.queues, Queues::Away).then_some("that of the jobs");
    let away: Vec<&str> = cache.into_iter().chain(jobs).collect();
    let detail = (!away.is_empty()).then(|| away.join(", "));
    Measured::Value { value: if detail.is_some() { 1.0 } else { 0.0 }, detail }
}

/// A queue that somebody has paused waits because it was told to.
fn queue_wait(queues: &Queues) -> Measured {
    match queues {
        Queues::None => Measured::Quiet,
        Queues::Away => Measured::Unknown,
        Queues::Known(queues) => most(queues.iter().filter(|it| !it.paused).filter_map(|it| {
            let waits = it.oldest_waiting?;
            Some((waits.as_secs_f64() * 1000.0, it.queue.to_string()))
        })),
    }
}

fn most(named: impl Iterator<Item = (f64, String)>) -> Measured {
    let most = named.max_by(|(one, _), (other, _)| one.total_cmp(other));
    most.map_or(Measured::plain(0.0), |(value, name)| Measured::Value { value, detail: Some(name) })
}

/// Each name once.
fn counted<'a>(names: impl Iterator<Item = &'a str>) -> Measured {
    let names: BTreeSet<&str> = names.collect();
    let mut named: Vec<&str> = names.iter().take(NAMED).copied().collect();
    let more = format!("{} more", names.len().saturating_sub(NAMED));
    if names.len() > NAMED {
        named.push(&more);
    }
    let detail = (!named.is_empty()).then(|| named.join(", "));
    Measured::Value { value: names.len() as f64, detail }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use samovar_jobs::QueueName;
    use samovar_memory::Usage;

    use super::*;

    fn connected() -> StoreState {
        StoreState { kind: "redis", connected: true, ..StoreState::default() }
    }

    fn queue(name: &str, waits_s: u64, paused: bool) -> QueueFigures {
        let queue = QueueName::new(name).expect("a name");
        QueueFigures {
            oldest_waiting: Some(Duration::from_secs(waits_s)),
            paused,
            limit: 100,
            scheduled: 0,
            waiting: 1,
            suspects: 0,
            claimed: 0,
            running: 0,
            done: 0,
            failed: 0,
            cancelled: 0,
            queue,
        }
    }

    fn value(value: f64, detail: &str) -> Measured {
        Measured::Value { value, detail: Some(detail.to_owned()) }
    }

    #[test]
    fn rates_are_of_the_last_while_and_quiet_without_one() {
        let quiet = Seen::default();
        for kind in [
            AlertKind::HitRate,
            AlertKind::Response,
            AlertKind::Errors,
            AlertKind::LeaseFailures,
            AlertKind::QueueWait,
        ] {
            assert_eq!(measure(kind, &quiet), Measured::Quiet, "{}", kind.name());
        }
        let mut counters = Counters {
            shared_hits: 60,
            stale_hits: 20,
            misses: 20,
            errors: 3,
            leases_won: 10,
            leases_lost: 1,
            ..Counters::default()
        };
        // All of them within half a second.
        counters.read_latency[11] = 100;
        let seen =
            Seen { reads: Some(counters.clone()), leases: Some(counters), ..Seen::default() };
        let plain = |kind| match measure(kind, &seen) {
            Measured::Value { value, .. } => (value * 1000.0).round() / 1000.0,
            other => panic!("{other:?}"),
        };
        assert_eq!(plain(AlertKind::HitRate), 80.0);
        assert_eq!(plain(AlertKind::Response), 500.0);
        assert_eq!(plain(AlertKind::Errors), 3.0);
        assert_eq!(plain(AlertKind::LeaseFailures), 10.0);
    }

    #[test]
    fn a_store_that_is_away_is_told_and_not_measured() {
        let mut seen = Seen { store: Some(connected()), ..Seen::default() };
        let away = |seen: &Seen| measure(AlertKind::StoreUnreachable, seen);
        assert_eq!(away(&seen), Measured::plain(0.0));
        assert_eq!(measure(AlertKind::StoreMemory, &seen), Measured::Quiet, "without a limit");
        seen.queues = Queues::Away;
        assert_eq!(away(&seen), value(1.0, "that of the jobs"));
        assert_eq!(measure(AlertKind::QueueWait, &seen), Measured::Unknown);
        for store in [None, Some(StoreState { connected: false, ..connected() })] {
            seen.store = store;
            assert_eq!(away(&seen), value(1.0, "that of the cache, that of the jobs"));
            assert_eq!(measure(AlertKind::StoreMemory, &seen), Measured::Unknown);
        }
        let (memory_bytes, memory_limit_bytes) = (Some(90), Some(100));
        seen.store = Some(StoreState { memory_bytes, memory_limit_bytes, ..connected() });
        assert_eq!(measure(AlertKind::StoreMemory, &seen), Measured::plain(90.0));
    }

    #[test]
    fn the_queue_that_waits_longest_counts_and_one_that_is_paused_does_not() {
        let queues =
            vec![queue("high", 2, false), queue("low", 7, false), queue("cache", 99, true)];
        let seen = Seen { queues: Queues::Known(queues), ..Seen::default() };
        assert_eq!(measure(AlertKind::QueueWait, &seen), value(7000.0, "low"));
        let seen = Seen { queues: Queues::Known(Vec::new()), ..Seen::default() };
        assert_eq!(measure(AlertKind::QueueWait, &seen), Measured::plain(0.0));
    }

    #[test]
    fn memory_is_that_of_the_worst_job_and_what_happened_is_counted_once_for_each() {
        let usage = |current_bytes| Usage { current_bytes, peak_bytes: 0, limit_bytes: Some(100) };
        let job = |job: &str, bytes| RunningJob {
            job: job.to_owned(),
            need_bytes: 100,
            usage: Some(usage(bytes)),
            child_bytes: 0,
        };
        let exceeded =
            |job: &str| MemoryAlert::LimitExceeded { job: job.to_owned(), reason: String::new() };
        let growth = MemoryAlert::Growth { job: "a".to_owned(), mb_per_minute: 61.5 };
        let seen = Seen {
            jobs: vec![job("a", 40), job("b", 85)],
            standing: vec![growth, MemoryAlert::ManyPurges { purges_per_minute: 70 }],
            lately: ["a", "b", "a", "c", "d"].map(exceeded).to_vec(),
            ..Seen::default()
        };
        assert_eq!(measure(AlertKind::MemoryUsage, &seen), value(85.0, "b"));
        assert_eq!(measure(AlertKind::MemoryGrowth, &seen), value(61.5, "a"));
        assert_eq!(measure(AlertKind::MemoryPurges, &seen), Measured::plain(70.0));
        assert_eq!(measure(AlertKind::MemoryLimit, &seen), value(4.0, "a, b, c, 1 more"));
        assert_eq!(measure(AlertKind::MemorySplit, &seen), Measured::plain(0.0));
        assert_eq!(measure(AlertKind::MemoryLeak, &seen), Measured::plain(0.0));
    }
}
