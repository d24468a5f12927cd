//! What somebody should know of: the conditions of alerts, as a function of samples.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::Instant;

use crate::{
    history::Leak,
    limit::{Exceeded, MB, WARNING_PERCENT, megabytes},
    sample::Sample,
};

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "alert", rename_all = "snake_case")]
pub enum Alert {
    /// A job holds more than the threshold of its limit.
    NearLimit {
        job: String,
        usage_percentage: f64,
    },
    LimitExceeded {
        job: String,
        reason: String,
    },
    Growth {
        job: String,
        mb_per_minute: f64,
    },
    Leak(Leak),
    ManyPurges {
        purges_per_minute: u64,
    },
    /// A job was too big for its limit, and became several.
    Split {
        job: String,
        parts: usize,
    },
}

impl Alert {
    pub(crate) fn exceeded(exceeded: &Exceeded) -> Self {
        Alert::LimitExceeded { job: exceeded.job.clone(), reason: exceeded.to_string() }
    }

    /// What it is about: the same again is not news.
    fn subject(&self) -> (u8, &str) {
        match self {
            Alert::NearLimit { job, .. } => (0, job),
            Alert::LimitExceeded { job, .. } => (1, job),
            Alert::Growth { job, .. } => (2, job),
            Alert::Leak(leak) => (3, &leak.kind),
            Alert::ManyPurges { .. } => (4, ""),
            Alert::Split { job, .. } => (5, job),
        }
    }
}

const ALERTS_KEPT: usize = 256;

/// The last alerts, for whoever asks what came since he asked before; the oldest give way.
#[derive(Debug, Default)]
pub(crate) struct Alerts(Mutex<Raised>);

#[derive(Debug, Default)]
struct Raised {
    last: VecDeque<Alert>,
    /// All there ever were.
    count: u64,
}

/// How far somebody has read the alerts of a budget. At first: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlertMark(u64);

impl Alerts {
    pub(crate) fn raise(&self, alert: Alert) {
        let mut raised = self.raised();
        if raised.last.len() == ALERTS_KEPT {
            raised.last.pop_front();
        }
        raised.last.push_back(alert);
        raised.count += 1;
    }

    pub(crate) fn mark(&self) -> AlertMark {
        AlertMark(self.raised().count)
    }

    /// What came behind the mark, as far as it is kept. The mark moves behind the last one.
    pub(crate) fn since(&self, mark: &mut AlertMark) -> Vec<Alert> {
        let raised = self.raised();
        let missed = raised.count.saturating_sub(mark.0);
        let missed = usize::try_from(missed).unwrap_or(usize::MAX).min(raised.last.len());
        *mark = AlertMark(raised.count);
        raised.last.iter().skip(raised.last.len() - missed).cloned().collect()
    }

    fn raised(&self) -> MutexGuard<'_, Raised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    pub usage_percentage: f64,
    pub growth_mb_per_minute: f64,
    pub purges_per_minute: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            usage_percentage: WARNING_PERCENT as f64,
            growth_mb_per_minute: 50.0,
            purges_per_minute: 60,
        }
    }
}

/// Growth is taken over this window, and over a third of it at least: a burst is no trend.
const WINDOW: Duration = Duration::from_secs(60);

/// Compares samples with thresholds. Tells of each condition once, until it is over.
#[derive(Debug, Default)]
pub struct Detector {
    thresholds: Thresholds,
    jobs: HashMap<String, VecDeque<(Instant, u64)>>,
    purges: VecDeque<(Instant, u64)>,
    told: Vec<Alert>,
}

impl Detector {
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// What was found at the last look, news or not.
    pub fn standing(&self) -> &[Alert] {
        &self.told
    }

    pub fn observe(&mut self, now: Instant, sample: &Sample) -> Vec<Alert> {
        let mut found = Vec::new();
        self.jobs.retain(|name, _| sample.jobs.iter().any(|job| job.job == *name));
        for job in &sample.jobs {
            let Some(usage) = job.usage else { continue };
            if usage.current_bytes > usage.limit_bytes.unwrap_or(u64::MAX) {
                let reason = format!(
                    "holds {:.1} MB of a limit of {:.0} MB",
                    megabytes(usage.current_bytes),
                    megabytes(usage.limit_bytes.unwrap_or_default())
                );
                found.push(Alert::LimitExceeded { job: job.job.clone(), reason });
            } else if let Some(usage_percentage) =
                usage.percentage().filter(|it| *it >= self.thresholds.usage_percentage)
            {
                found.push(Alert::NearLimit { job: job.job.clone(), usage_percentage });
            }
            let past = self.jobs.entry(job.job.clone()).or_default();
            if let Some(mb_per_minute) = growth(past, now, usage.current_bytes)
                .map(|bytes| bytes / MB as f64)
                .filter(|mb| *mb > self.thresholds.growth_mb_per_minute)
            {
                found.push(Alert::Growth { job: job.job.clone(), mb_per_minute });
            }
        }
        if let Some(purges) = growth(&mut self.purges, now, sample.purges)
            .filter(|purges| *purges > self.thresholds.purges_per_minute as f64)
        {
            found.push(Alert::ManyPurges { purges_per_minute: purges as u64 });
        }
        let told = std::mem::replace(&mut self.told, found.clone());
        let is_news = |alert: &Alert| told.iter().all(|it| it.subject() != alert.subject());
        found.into_iter().filter(is_news).collect()
    }
}

/// Per minute, over the window; nothing before there is enough of one.
fn growth(past: &mut VecDeque<(Instant, u64)>, now: Instant, value: u64) -> Option<f64> {
    while past.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
        past.pop_front();
    }
    let oldest = past.front().copied();
    past.push_back((now, value));
    let (at, before) = oldest?;
    let over = now.since(at);
    (over >= WINDOW / 3).then(|| {
        let grown = value as f64 - before as f64;
        grown * 60.0 / over.as_secs_f64()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunningJob, Usage};

    fn sample(current_mb: u64, purges: u64) -> Sample {
        let usage = Usage {
            current_bytes: current_mb * MB,
            peak_bytes: current_mb * MB,
            limit_bytes: Some(256 * MB),
        };
        let job = RunningJob {
            job: "warm".to_owned(),
            need_bytes: 256 * MB,
            usage: Some(usage),
            child_bytes: 0,
        };
        Sample { jobs: vec![job], purges, ..Sample::default() }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn four_fifths_and_the_limit_are_told_once_each_time_they_come() {
        let mut detector = Detector::default();
        assert!(detector.observe(at(0), &sample(200, 0)).is_empty());
        let near = detector.observe(at(1), &sample(210, 0));
        assert!(matches!(&near[..], [Alert::NearLimit { job, .. }] if job == "warm"));
        assert!(detector.observe(at(2), &sample(211, 0)).is_empty());
        let over = detector.observe(at(3), &sample(300, 0));
        assert!(matches!(&over[..], [Alert::LimitExceeded { .. }]));
        assert!(detector.observe(at(4), &sample(10, 0)).is_empty());
        assert_eq!(detector.observe(at(5), &sample(210, 0)).len(), 1);
    }

    #[test]
    fn growth_is_a_trend_over_a_third_of_a_minute() {
        let mut detector = Detector::default();
        assert!(detector.observe(at(0), &sample(10, 0)).is_empty());
        assert!(detector.observe(at(5), &sample(90, 0)).is_empty());
        let found = detector.observe(at(30), &sample(40, 0));
        let [Alert::Growth { mb_per_minute, .. }] = &found[..] else { panic!("{found:?}") };
        assert!((mb_per_minute - 60.0).abs() < 0.01);
        assert!(detector.observe(at(120), &sample(41, 0)).is_empty());
    }

    #[test]
    fn each_reader_hears_of_an_alert_once_and_of_as_many_as_are_kept() {
        let (alerts, mut one, mut other) = (Alerts::default(), AlertMark(0), AlertMark(0));
        let split = |parts| Alert::Split { job: "warm".to_owned(), parts };
        alerts.raise(split(1));
        let mut late = alerts.mark();
        assert_eq!(alerts.since(&mut one), [split(1)]);
        assert_eq!(alerts.since(&mut one), []);
        alerts.raise(split(2));
        assert_eq!(alerts.since(&mut one), [split(2)]);
        assert_eq!(alerts.since(&mut other), [split(1), split(2)]);
        (0..ALERTS_KEPT).for_each(|parts| alerts.raise(split(parts)));
        let kept = alerts.since(&mut late);
        assert_eq!((kept.len(), &kept[0]), (ALERTS_KEPT, &split(0)));
    }

    #[test]
    fn many_purges_are_told() {
        let mut detector = Detector::default();
        detector.observe(at(0), &sample(1, 0));
        let found = detector.observe(at(30), &sample(1, 100));
        assert_eq!(found, [Alert::ManyPurges { purges_per_minute: 200 }]);
    }
}
