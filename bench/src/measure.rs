//! Samples, one per round, and what they say about each other.

use std::{fmt, sync::Barrier, thread, time::Duration};

use samovar_clock::{Clock, Instant};

/// Rounds of every comparison. One more is played before and not counted.
pub const ROUNDS: usize = 11;

/// Whether a section was asked for: by name as an argument, or by naming none. Cargo adds options
/// of its own, which are passed over.
pub fn wanted(section: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|name| !name.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| name == section)
}

/// Nanoseconds per operation, one sample per round.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, nanos: f64) {
        self.0.push(nanos);
    }

    pub fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// Round by round, so that what disturbed both in one round cancels out.
    pub fn ratio_to(&self, other: &Samples) -> Ratio {
        let ratios: Vec<f64> = self.0.iter().zip(&other.0).map(|(mine, its)| mine / its).collect();
        Ratio {
            median: quantile(&ratios, 0.5),
            least: quantile(&ratios, 0.0),
            most: quantile(&ratios, 1.0),
        }
    }
}

/// The median over the rounds, and the least and the most of any round.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}-{:.2})", self.median, self.least, self.most)
    }
}

/// The value below which the share `q` of the samples lies; 0 without samples.
pub fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * q).round() as usize).copied().unwrap_or(0.0)
}

/// Measures on the clock that everybody takes.
#[derive(Debug)]
pub struct StopWatch(Instant);

impl StopWatch {
    pub fn start() -> Self {
        Self(Clock::System.now())
    }

    pub fn elapsed(&self) -> Duration {
        Clock::System.now().since(self.0)
    }

    pub fn nanos(&self) -> f64 {
        self.elapsed().as_nanos() as f64
    }
}

/// Runs `measure` in so many threads that begin together, and returns the mean of what they say.
pub fn in_threads(threads: usize, measure: impl Fn(usize) -> f64 + Sync) -> f64 {
    let start = Barrier::new(threads);
    let one = &|thread| {
        start.wait();
        measure(thread)
    };
    let total: f64 = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        running.into_iter().map(|running| running.join().expect("no panic")).sum()
    });
    total / threads as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mine = Samples(vec![10.0, 200.0, 30.0]);
        let other = Samples(vec![10.0, 100.0, 10.0]);
        let ratio = mine.ratio_to(&other);
        assert_eq!((ratio.least, ratio.median, ratio.most), (1.0, 2.0, 3.0));
    }

    #[test]
    fn quantiles_are_samples() {
        let samples = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!([0.0, 0.5, 1.0].map(|q| quantile(&samples, q)), [1.0, 3.0, 5.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
