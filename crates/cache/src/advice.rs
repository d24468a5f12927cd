//! What the counters of a widget say about its freshness, and how they went over the last day.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use std::sync::PoisonError;

use samovar_clock::WallTime;

use crate::stats::{Counters, mean};

/// Something an owner of a widget could do better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// Nearly all recomputations return what was there before: a longer TTL costs nothing.
    TtlTooShort,
    /// Recomputations keep finding changes that nobody announced: a shorter TTL, tags, or capture.
    TtlTooLong,
    /// Nearly no read finds a value: it is computed more often than it is used.
    RarelyRead,
}

impl Advice {
    pub fn text(self) -> &'static str {
        match self {
            Advice::TtlTooShort => "most refreshes change nothing: lengthen the ttl",
            Advice::TtlTooLong => {
                "values change without an invalidation: shorten the ttl or add tags or capture"
            }
            Advice::RarelyRead => "most values are never read again: do not warm it, or widen it",
        }
    }
}

/// Fewer computes than this say nothing.
const ENOUGH: u64 = 20;

/// Judges one widget by its counters over all tenants.
pub fn advise(counters: &Counters) -> Vec<Advice> {
    let mut advice = Vec::new();
    if counters.computes < ENOUGH {
        return advice;
    }
    let share = |part: u64| part as f64 / counters.computes as f64;
    if share(counters.unchanged) > 0.8 {
        advice.push(Advice::TtlTooShort);
    }
    if share(counters.drifted) > 0.5 {
        advice.push(Advice::TtlTooLong);
    }
    if counters.hit_rate().is_some_and(|rate| rate < 0.2) {
        advice.push(Advice::RarelyRead);
    }
    advice
}

/// One interval of a widget's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// When the interval ended.
    pub at: WallTime,
    pub reads: u64,
    pub hits: u64,
    pub stale_hits: u64,
    pub computes: u64,
    pub errors: u64,
    pub computed_bytes: u64,
    pub response: Duration,
}

/// Five-minute samples of each widget for a day; older ones are forgotten.
#[derive(Debug, Default)]
pub(crate) struct History {
    widgets: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    last: Counters,
    samples: VecDeque<Sample>,
}

pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(300);
const SAMPLES: usize = 288;

impl History {
    pub(crate) fn sample(&self, at: WallTime, totals: HashMap<String, Counters>) {
        let mut widgets = self.widgets.lock().unwrap_or_else(PoisonError::into_inner);
        for (widget, now) in totals {
            let kept = widgets.entry(widget).or_default();
            let mut latency = now.read_latency;
            for (bucket, before) in latency.iter_mut().zip(kept.last.read_latency) {
                *bucket -= before;
            }
            let hits = |c: &Counters| c.local_hits + c.shared_hits + c.stale_hits;
            let last = &kept.last;
            let sample = Sample {
                at,
                reads: now.reads() - last.reads(),
                hits: hits(&now) - hits(last),
                stale_hits: now.stale_hits - last.stale_hits,
                computes: now.computes - last.computes,
                errors: now.errors - last.errors,
                computed_bytes: now.computed_bytes - last.computed_bytes,
                response: mean(&latency),
            };
            if kept.samples.len() == SAMPLES {
                kept.samples.pop_front();
            }
            kept.samples.push_back(sample);
            kept.last = now;
        }
    }

    pub(crate) fn of(&self, widget: &str) -> Vec<Sample> {
        let widgets = self.widgets.lock().unwrap_or_else(PoisonError::into_inner);
        widgets.get(widget).map_or_else(Vec::new, |kept| kept.samples.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_needs_enough_computes() {
        let some = Counters { computes: 19, unchanged: 19, ..Counters::default() };
        assert_eq!(advise(&some), []);
        let enough = Counters { computes: 20, unchanged: 19, local_hits: 100, ..some };
        assert_eq!(advise(&enough), [Advice::TtlTooShort]);
        let drifting = Counters { unchanged: 0, drifted: 15, ..enough };
        assert_eq!(advise(&drifting), [Advice::TtlTooLong]);
        let unread = Counters { drifted: 0, local_hits: 0, misses: 20, ..drifting };
        assert_eq!(advise(&unread), [Advice::RarelyRead]);
    }

    #[test]
    fn samples_are_differences_and_a_day_is_kept() {
        let history = History::default();
        for minute in 0..400u64 {
            let counters = Counters { local_hits: minute * 10, ..Counters::default() };
            let at = WallTime::from_millis(minute as i64);
            history.sample(at, HashMap::from([("w".to_owned(), counters)]));
        }
        let samples = history.of("w");
        assert_eq!(samples.len(), SAMPLES);
        assert!(samples.iter().all(|sample| sample.hits == 10 && sample.reads == 10));
        assert_eq!(samples.last().map(|sample| sample.at), Some(WallTime::from_millis(399)));
        assert_eq!(history.of("other"), []);
    }
}
