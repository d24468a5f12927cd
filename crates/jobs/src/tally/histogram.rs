//! Numbers by their size: eight steps from one power of two to the next.

/// A percentile of it is at most an eighth above the truth, and exact below sixteen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// By bucket, those that hold something.
    counts: Vec<(u16, u64)>,
}

const SUB_BITS: u32 = 3;
const STEPS: u64 = 1 << SUB_BITS;

/// Also the name of a field in Redis: it must not change.
fn bucket(value: u64) -> u16 {
    if value < STEPS {
        return value as u16;
    }
    let power = value.ilog2();
    let step = (value >> (power - SUB_BITS)) & (STEPS - 1);
    ((u64::from(power - SUB_BITS) + 1) * STEPS + step) as u16
}

/// The largest value of a bucket.
fn top(bucket: u16) -> u64 {
    let (bucket, steps) = (u64::from(bucket), STEPS);
    if bucket < steps {
        return bucket;
    }
    let shift = bucket / steps - 1;
    let least = u128::from(steps + bucket % steps) << shift;
    u64::try_from(least + (1_u128 << shift) - 1).unwrap_or(u64::MAX)
}

impl Histogram {
    pub fn record(&mut self, value: u64) {
        self.add(bucket(value), 1);
    }

    pub fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(bucket, count)| self.add(*bucket, *count));
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// So many of a hundred are at or below it; nothing when there are none.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        let rank = (self.count() * u64::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(bucket, _)| top(*bucket))
    }

    /// Values that are spread like those that were recorded, `most` at most.
    pub fn sample(&self, most: u64) -> Vec<u64> {
        let count = self.count().min(most);
        let percent = |at: u64| u32::try_from((2 * at + 1) * 50 / count).unwrap_or(100);
        (0..count).filter_map(|at| self.percentile(percent(at))).collect()
    }

    pub(crate) fn counts(&self) -> &[(u16, u64)] {
        &self.counts
    }

    pub(crate) fn add(&mut self, bucket: u16, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |(it, _)| *it) {
            Ok(at) => self.counts[at].1 += count,
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_join_without_gaps_and_are_an_eighth_wide() {
        let mut bottom = 0_u64;
        for at in 0..=bucket(u64::MAX) {
            let top = top(at);
            assert_eq!((bucket(bottom), bucket(top)), (at, at));
            assert!(top - bottom <= bottom / 8, "{bottom} to {top}");
            bottom = top.wrapping_add(1);
        }
        assert_eq!(bottom, 0, "up to the largest number");
    }

    #[test]
    fn percentiles_of_a_known_spread() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        (1..=1000).for_each(|value| histogram.record(value));
        for (percent, truth) in [(50, 500), (95, 950), (99, 990), (100, 1000)] {
            let found = histogram.percentile(percent).expect("there are some");
            assert!((truth..=truth + truth / 8).contains(&found), "p{percent}: {found}");
        }
        assert_eq!(histogram.percentile(0), Some(1));
    }

    #[test]
    fn a_sample_is_spread_alike_and_merging_adds() {
        let mut histogram = Histogram::default();
        (0..90).for_each(|_| histogram.record(3));
        let mut other = Histogram::default();
        (0..10).for_each(|_| other.record(12));
        histogram.merge(&other);
        assert_eq!(histogram.count(), 100);
        let sample = histogram.sample(10);
        assert_eq!(sample, [3, 3, 3, 3, 3, 3, 3, 3, 3, 12]);
        assert_eq!(other.sample(32).len(), 10);
        assert!(Histogram::default().sample(32).is_empty());
    }
}
