//! Quantiles within 0.8 % of their value: numbers are counted in buckets that are as wide as one
//! 64th of a power of two.
//!
//! Buckets are cut from the bits of a double, so that neither a logarithm nor chance is involved and
//! merging is nothing but adding counts.

use super::encoding::{Malformed, Reader, Writer};

#[derive(Clone, Debug, Default)]
pub(crate) struct Quantiles {
    /// By bucket, in their order.
    buckets: Vec<(i32, u64)>,
    count: u64,
    least: f64,
    greatest: f64,
}

/// Exponent and six bits of the fraction remain.
const CUT_BITS: u32 = 46;
/// Buckets of positive numbers are counted from 1; 0 is that of zero.
const LAST_BUCKET: i32 = (0x7ff << 6) + 1;

fn bucket(number: f64) -> i32 {
    if number == 0.0 {
        return 0;
    }
    let index = (number.abs().to_bits() >> CUT_BITS) as i32 + 1;
    if number < 0.0 { -index } else { index }
}

/// In the middle of a bucket: no number of it is further away than 1/128 of itself.
fn middle(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let index = u64::from(bucket.unsigned_abs()) - 1;
    let (low, high) = (f64::from_bits(index << CUT_BITS), f64::from_bits((index + 1) << CUT_BITS));
    let middle = if high.is_finite() { low + (high - low) / 2.0 } else { low };
    if bucket < 0 { -middle } else { middle }
}

impl Quantiles {
    /// What is not a number has no place among them.
    pub(crate) fn add(&mut self, number: f64) {
        if number.is_nan() {
            return;
        }
        // Zero has two signs, and one is enough.
        let number = number + 0.0;
        self.extend(number, number, 1);
        self.add_bucket(bucket(number), 1);
    }

    fn extend(&mut self, least: f64, greatest: f64, count: u64) {
        let is_first = self.count == 0;
        self.least = if is_first { least } else { self.least.min(least) };
        self.greatest = if is_first { greatest } else { self.greatest.max(greatest) };
        self.count = self.count.saturating_add(count);
    }

    fn add_bucket(&mut self, bucket: i32, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(place) => self.buckets[place].1 = self.buckets[place].1.saturating_add(count),
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.extend(other.least, other.greatest, other.count);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        // Both are in order, and mostly of the same buckets.
        let mut place = 0;
        for (bucket, count) in &other.buckets {
            while self.buckets.get(place).is_some_and(|(known, _)| known < bucket) {
                place += 1;
            }
            match self.buckets.get_mut(place).filter(|(known, _)| known == bucket) {
                Some((_, mine)) => *mine = mine.saturating_add(*count),
                None => self.buckets.insert(place, (*bucket, *count)),
            }
        }
    }

    /// The number below which this share of all lies, itself included. Of none there is none.
    pub(crate) fn at(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among fewer numbers than a double has steps"
        )]
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut passed = 0u64;
        let found = self.buckets.iter().find(|(_, count)| {
            passed = passed.saturating_add(*count);
            passed >= rank
        });
        let middle = found.map_or(self.greatest, |(bucket, _)| middle(*bucket));
        Some(middle.clamp(self.least, self.greatest))
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.count(self.buckets.len());
        let mut before = 0;
        for (bucket, count) in &self.buckets {
            to.signed(i128::from(bucket - before));
            to.unsigned((*count).into());
            before = *bucket;
        }
        if !self.buckets.is_empty() {
            to.bytes(&self.least.to_le_bytes());
            to.bytes(&self.greatest.to_le_bytes());
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut read = Self::default();
        let mut bucket: i32 = 0;
        for index in 0..from.count()? {
            let step = i32::try_from(from.signed()?).map_err(|_| Malformed)?;
            bucket = bucket.checked_add(step).ok_or(Malformed)?;
            let count = from.u64()?;
            if bucket.abs() > LAST_BUCKET || index > 0 && step <= 0 || count == 0 {
                return Err(Malformed);
            }
            read.count = read.count.saturating_add(count);
            read.buckets.push((bucket, count));
        }
        if read.count > 0 {
            read.least = f64::from_le_bytes(from.array()?);
            read.greatest = f64::from_le_bytes(from.array()?);
        }
        // Whatever orders them is also what cuts between them.
        let is_sound = read.least <= read.greatest;
        is_sound.then_some(read).ok_or(Malformed)
    }

    pub(crate) fn weight(&self) -> usize {
        self.buckets.capacity() * 16
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(numbers: &[f64]) -> Quantiles {
        let mut quantiles = Quantiles::default();
        numbers.iter().for_each(|number| quantiles.add(*number));
        quantiles
    }

    fn bytes(quantiles: &Quantiles) -> Vec<u8> {
        let mut writer = Writer::default();
        quantiles.write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn of_nothing_there_is_none_and_of_one_it_is_that() {
        assert_eq!(of(&[]).at(0.5), None);
        assert_eq!(of(&[f64::NAN]).at(0.5), None);
        assert_eq!(of(&[12.34]).at(0.99), Some(12.34));
        assert_eq!(of(&[f64::INFINITY, 1.0]).at(1.0), Some(f64::INFINITY));
        assert_eq!(of(&[0.0, 0.0, -0.0, 7.0]).at(0.5), Some(0.0));
    }

    proptest! {
        #[test]
        fn a_quantile_is_near_to_the_number_with_its_rank(
            mut numbers in prop::collection::vec(-1e9f64..1e9, 1..200),
            share in 0.0f64..=1.0,
        ) {
            let found = of(&numbers).at(share).expect("there are some");
            numbers.sort_by(f64::total_cmp);
            let rank = ((share * numbers.len() as f64).ceil() as usize).max(1);
            let exact = numbers[rank - 1];
            prop_assert!((found - exact).abs() <= exact.abs() / 128.0, "{found} for {exact}");
        }

        #[test]
        fn no_order_and_no_split_changes_a_bit(
            mut numbers in prop::collection::vec(any::<f64>(), 0..60),
            at in 0usize..60,
        ) {
            numbers.iter_mut().for_each(|number| *number += 0.0);
            let whole = of(&numbers);
            let (left, right) = numbers.split_at(at.min(numbers.len()));
            let mut merged = of(right);
            merged.merge(&of(left));
            prop_assert_eq!(bytes(&whole), bytes(&merged));
            let read = Quantiles::read(&mut Reader::new(&bytes(&whole))).expect("as written");
            prop_assert_eq!(bytes(&read), bytes(&whole));
        }
    }
}
