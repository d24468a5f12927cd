//! Samples of what is held, a history of them, and the line a log gets per operation.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::Clock;

use crate::{
    Account, AllocatorFigures, Budget, BudgetUsage, RunningJob, Unattributed, Usage,
    alerts::{Alert, Detector, Thresholds},
    limit::megabytes,
    process_scope,
    system::{ProcessMemory, SystemMemory},
    unattributed,
};

/// What is held at one moment. What is not known is left out, never 0.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub system: Option<SystemMemory>,
    pub process: Option<ProcessMemory>,
    pub allocator: Option<AllocatorFigures>,
    pub unattributed: Option<Unattributed>,
    pub budget: Option<BudgetUsage>,
    pub jobs: Vec<RunningJob>,
    /// How often pages were asked back since the process started.
    pub purges: u64,
}

impl Sample {
    /// Of this process, with the jobs of a budget where it has one.
    pub fn take(clock: &Clock, budget: Option<&Budget>) -> Self {
        let unattributed = unattributed();
        Self {
            at_ms: clock.wall().as_millis(),
            system: SystemMemory::read(),
            process: ProcessMemory::own(),
            allocator: unattributed.map(|_| AllocatorFigures::read()),
            unattributed,
            budget: budget.map(Budget::usage),
            jobs: budget.map(Budget::running).unwrap_or_default(),
            purges: crate::alloc::jemalloc::purges(),
        }
    }
}

const SAMPLES_PER_JOB: usize = 120;
const JOBS_KEPT: usize = 1000;

/// The last samples of each job: what is looked at after it has failed.
#[derive(Debug, Default)]
pub struct FlightRecorder {
    jobs: Mutex<HashMap<String, VecDeque<(i64, RunningJob)>>>,
}

impl FlightRecorder {
    pub fn record(&self, sample: &Sample) {
        process_scope(|| {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            for job in &sample.jobs {
                let samples = jobs.entry(job.job.clone()).or_default();
                if samples.len() == SAMPLES_PER_JOB {
                    samples.pop_front();
                }
                samples.push_back((sample.at_ms, job.clone()));
            }
            while jobs.len() > JOBS_KEPT {
                let last = |samples: &VecDeque<(i64, RunningJob)>| samples.back().map(|it| it.0);
                let oldest = jobs.iter().min_by_key(|(_, samples)| last(samples));
                let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return };
                jobs.remove(&oldest);
            }
        });
    }

    /// The samples of one job, the oldest first; they are forgotten.
    pub fn take(&self, job: &str) -> Vec<(i64, RunningJob)> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(job).map(Vec::from).unwrap_or_default()
    }
}

/// How to watch.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    pub interval: Duration,
    /// For ever where there is none.
    pub duration: Option<Duration>,
    pub thresholds: Thresholds,
}

/// Samples until the time is over or `each` says no; jobs may fail meanwhile as they like.
pub async fn watch<F: Future<Output = bool>>(
    clock: &Clock,
    budget: &Budget,
    watch: Watch,
    recorder: &FlightRecorder,
    mut each: impl FnMut(Sample, Vec<Alert>) -> F,
) {
    let start = clock.now();
    let (mut detector, mut mark) = (Detector::new(watch.thresholds), budget.alert_mark());
    loop {
        let (sample, alerts) = process_scope(|| {
            let sample = Sample::take(clock, Some(budget));
            recorder.record(&sample);
            let mut alerts = detector.observe(clock.now(), &sample);
            alerts.extend(budget.alerts_since(&mut mark));
            (sample, alerts)
        });
        let goes_on = each(sample, alerts).await;
        let is_over =
            watch.duration.is_some_and(|it| clock.now().since(start) + watch.interval > it);
        if !goes_on || is_over {
            return;
        }
        clock.sleep(watch.interval).await;
    }
}

/// The line that an operation writes into the log: these six names, and no other.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct OperationLine<'a> {
    pub job: &'a str,
    pub operation: &'a str,
    pub current_memory_mb: f64,
    pub peak_memory_mb: f64,
    /// 0 for an account without a limit.
    pub memory_limit_mb: f64,
    pub usage_percentage: f64,
}

impl<'a> OperationLine<'a> {
    /// Nothing where metering is off.
    pub fn of(account: &'a Account, operation: &'a str) -> Option<Self> {
        account.usage().map(|usage| Self::with(account.job(), operation, usage))
    }

    /// Of what is held in more than one process.
    pub fn with(job: &'a str, operation: &'a str, usage: Usage) -> Self {
        Self {
            job,
            operation,
            current_memory_mb: two_digits(megabytes(usage.current_bytes)),
            peak_memory_mb: two_digits(megabytes(usage.peak_bytes)),
            memory_limit_mb: two_digits(megabytes(usage.limit_bytes.unwrap_or_default())),
            usage_percentage: two_digits(usage.percentage().unwrap_or_default()),
        }
    }
}

fn two_digits(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_its_six_names_in_order() {
        let line = OperationLine {
            job: "warm",
            operation: "orders",
            current_memory_mb: 12.5,
            peak_memory_mb: 20.0,
            memory_limit_mb: 256.0,
            usage_percentage: 4.88,
        };
        assert_eq!(
            serde_json::to_string(&line).expect("it is plain"),
            r#"{"job":"warm","operation":"orders","current_memory_mb":12.5,"peak_memory_mb":20.0,"memory_limit_mb":256.0,"usage_percentage":4.88}"#
        );
    }

    #[test]
    fn the_recorder_keeps_the_last_samples_of_a_job() {
        let recorder = FlightRecorder::default();
        let job =
            RunningJob { job: "fails".to_owned(), need_bytes: 1, usage: None, child_bytes: 0 };
        for at_ms in 0..200 {
            let sample = Sample { at_ms, jobs: vec![job.clone()], ..Sample::default() };
            recorder.record(&sample);
        }
        let kept = recorder.take("fails");
        assert_eq!((kept.len(), kept[0].0), (SAMPLES_PER_JOB, 80));
        assert!(recorder.take("fails").is_empty());
    }
}
