//! What people ask a store about the past, and what it answers.

use std::time::Duration;

use crate::{
    limits,
    name::{Kind, QueueName},
    tally::Tally,
};

/// The last while of a queue, cut into steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub queue: QueueName,
    pub back: Duration,
    /// Whole minutes; whole hours when it goes back further than minutes are kept.
    pub step: Duration,
}

impl Period {
    /// The last so many hours, by the minute as far as that reaches.
    pub fn hours(queue: QueueName, hours: u32) -> Self {
        let back = Duration::from_secs(u64::from(hours) * 3600);
        let step = if back <= limits::MINUTES_KEPT { 60 } else { 3600 };
        Self { queue, back, step: Duration::from_secs(step) }
    }

    pub(crate) fn is_sound(&self) -> bool {
        let least = if self.back <= limits::MINUTES_KEPT { 60 } else { 3600 };
        let whole =
            self.step.as_secs() > 0 && self.step == Duration::from_secs(self.step.as_secs());
        whole
            && self.step.as_secs().is_multiple_of(least)
            && self.back <= limits::HOURS_KEPT
            && self.back.as_secs() / self.step.as_secs() <= limits::POINTS
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tallies {
    /// The kinds of the queue by name, behind them those that are counted together.
    pub kinds: Vec<KindTallies>,
    /// How long the job that waits longest on the queue has waited.
    pub oldest_waiting: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindTallies {
    /// Nothing: of all kinds above the limit of those that are counted by themselves.
    pub kind: Option<Kind>,
    pub total: Tally,
    /// Steps in which something happened, the oldest first.
    pub points: Vec<Point>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// By the store's time: the beginning of the step, a multiple of it.
    pub from_ms: u64,
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_of_whole_minutes_or_hours_as_far_as_they_are_kept() {
        let queue = QueueName::new("default").expect("a name");
        let sound = |back: u64, step: u64| {
            let (back, step) = (Duration::from_secs(back), Duration::from_secs(step));
            Period { queue: queue.clone(), back, step }.is_sound()
        };
        assert!(sound(3600, 60) && sound(3600, 300) && sound(48 * 3600, 3600));
        assert!(!sound(3600, 90) && !sound(3600, 0) && !sound(48 * 3600, 60));
        assert!(!sound(32 * 24 * 3600, 3600), "older than anything that is kept");
        assert!(Period::hours(queue.clone(), 24).is_sound());
        assert!(Period::hours(queue, 31 * 24).is_sound());
    }
}
