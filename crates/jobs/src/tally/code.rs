//! A tally as bytes: numbers of seven bits a byte, the counts first, then the histograms.

use super::{Histogram, Tally};

impl Tally {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        for count in [self.done, self.failed, self.cancelled, self.retried, self.killed] {
            put(&mut bytes, count);
        }
        for histogram in [&self.waited_ms, &self.ran_ms, &self.peak_bytes] {
            let counts = histogram.counts();
            put(&mut bytes, counts.len() as u64);
            for (bucket, count) in counts {
                put(&mut bytes, u64::from(*bucket));
                put(&mut bytes, *count);
            }
        }
        bytes
    }

    /// Nothing when these are no such bytes.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let tally = Self {
            done: take(from)?,
            failed: take(from)?,
            cancelled: take(from)?,
            retried: take(from)?,
            killed: take(from)?,
            waited_ms: histogram(from)?,
            ran_ms: histogram(from)?,
            peak_bytes: histogram(from)?,
        };
        bytes.is_empty().then_some(tally)
    }
}

fn histogram(from: &mut &[u8]) -> Option<Histogram> {
    let mut histogram = Histogram::default();
    for _ in 0..take(from)? {
        let bucket = u16::try_from(take(from)?).ok()?;
        histogram.add(bucket, take(from)?);
    }
    Some(histogram)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let mut tally = Tally { done: 300, killed: u64::MAX, ..Tally::default() };
        for value in [0, 7, 8, 1_000_000, u64::MAX] {
            tally.waited_ms.record(value);
            tally.peak_bytes.record(value);
        }
        let bytes = tally.encode();
        assert_eq!(Tally::decode(&bytes), Some(tally));
        assert_eq!(Tally::decode(&Tally::default().encode()), Some(Tally::default()));
        assert_eq!(Tally::decode(&bytes[..bytes.len() - 1]), None, "cut off");
        assert_eq!(Tally::decode(&[0xff; 40]), None);
    }
}
