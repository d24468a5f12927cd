//! Sums of doubles that do not depend on the order: nothing is rounded before the end.
//!
//! A double is a whole number times a power of two, so a sum of doubles is one too. What people
//! count fits into 128 bits; the rest goes into an accumulator as wide as all doubles.

use super::encoding::{Malformed, Reader, Writer};

#[derive(Clone, Debug, Default)]
pub(crate) struct FloatSum {
    /// In units of 2^-74.
    narrow: i128,
    wide: Option<Box<Wide>>,
    specials: u8,
}

/// The power of two of the unit of what is narrow, and of the widest.
const NARROW: i32 = -74;
const WIDE: i32 = -1074;
const NAN: u8 = 1;
const INFINITY: u8 = 2;
const NEGATIVE_INFINITY: u8 = 4;
const FRACTION_BITS: u32 = 52;

impl FloatSum {
    pub(crate) fn add(&mut self, number: f64) {
        if !number.is_finite() {
            self.specials |= match number {
                number if number.is_nan() => NAN,
                number if number > 0.0 => INFINITY,
                _ => NEGATIVE_INFINITY,
            };
            return;
        }
        let bits = number.to_bits();
        let exponent = (bits >> FRACTION_BITS & 0x7ff) as i32;
        let fraction = bits & ((1 << FRACTION_BITS) - 1);
        let implied = u64::from(exponent > 0) << FRACTION_BITS;
        let (magnitude, power) = (fraction | implied, exponent.max(1) - 1 + WIDE);
        let is_negative = number < 0.0;
        let shift = power - NARROW;
        if (0..=60).contains(&shift) {
            let units = i128::from(magnitude) << shift;
            let sum = if is_negative { -units } else { units }.checked_add(self.narrow);
            if let Some(sum) = sum {
                self.narrow = sum;
                return;
            }
        }
        self.wide.get_or_insert_default().add(magnitude.into(), power, is_negative);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.specials |= other.specials;
        match self.narrow.checked_add(other.narrow) {
            Some(sum) => self.narrow = sum,
            None => self.wide.get_or_insert_default().add_narrow(other.narrow),
        }
        if let Some(wide) = &other.wide {
            self.wide.get_or_insert_default().merge(wide);
        }
    }

    /// The double that is nearest to the sum.
    pub(crate) fn to_f64(&self) -> f64 {
        match self.specials {
            0 => self.canonical().to_f64(),
            INFINITY => f64::INFINITY,
            NEGATIVE_INFINITY => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    fn canonical(&self) -> Magnitude {
        let mut wide = self.wide.as_deref().cloned().unwrap_or_default();
        wide.add_narrow(self.narrow);
        wide.magnitude()
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        let Magnitude { is_negative, limbs } = self.canonical();
        let first = limbs.iter().position(|limb| *limb != 0).unwrap_or(limbs.len());
        let said = &limbs[first..];
        to.byte(self.specials << 1 | u8::from(is_negative));
        to.count(said.len());
        to.count(if said.is_empty() { 0 } else { first });
        said.iter().for_each(|limb| to.bytes(&limb.to_le_bytes()));
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = from.byte()?;
        let (said, first) = (from.count()?, from.index(LIMBS)?);
        if first + said > LIMBS - 2 || flags >> 1 > 7 {
            return Err(Malformed);
        }
        let (is_negative, specials) = (flags & 1 == 1, flags >> 1);
        let mut sum = Self { specials, ..Self::default() };
        let mut wide = Wide::default();
        for index in first..first + said {
            wide.limbs[index] = u32::from_le_bytes(from.array()?).into();
        }
        if is_negative {
            wide.limbs.iter_mut().for_each(|limb| *limb = -*limb);
        }
        match wide.narrow() {
            Some(narrow) => sum.narrow = narrow,
            None => sum.wide = Some(Box::new(wide)),
        }
        Ok(sum)
    }
}

/// Doubles have 2098 bits from the least to the greatest; the rest is room for sums of them.
const LIMBS: usize = 70;
/// Each limb takes so many additions before what is too much for it is carried over.
const UNCARRIED: u32 = 1 << 29;

/// Limbs of 32 bits in units of 2^-1074, the least first.
#[derive(Clone, Debug)]
struct Wide {
    limbs: [i64; LIMBS],
    uncarried: u32,
}

struct Magnitude {
    is_negative: bool,
    /// Without zeros at the end.
    limbs: Vec<u32>,
}

impl Default for Wide {
    fn default() -> Self {
        Self { limbs: [0; LIMBS], uncarried: 0 }
    }
}

impl Wide {
    /// `power` is that of the lowest bit.
    fn add(&mut self, magnitude: u128, power: i32, is_negative: bool) {
        let bit = usize::try_from(power - WIDE).expect("no double is finer");
        let (mut index, shift) = (bit / 32, bit % 32);
        let mut add = |bits: u128| {
            let limb = i64::from(bits as u32);
            self.limbs[index] += if is_negative { -limb } else { limb };
            index += 1;
        };
        // The first limb takes what is left of it, so that nothing is shifted out of 128 bits.
        add((magnitude << shift) & 0xffff_ffff);
        let mut rest = magnitude >> (32 - shift);
        while rest > 0 {
            add(rest & 0xffff_ffff);
            rest >>= 32;
        }
        self.count(1);
    }

    fn add_narrow(&mut self, narrow: i128) {
        self.add(narrow.unsigned_abs(), NARROW, narrow < 0);
    }

    fn merge(&mut self, other: &Self) {
        self.carry();
        let mut other = other.clone();
        other.carry();
        for (limb, more) in self.limbs.iter_mut().zip(other.limbs) {
            *limb += more;
        }
        self.count(2);
    }

    fn count(&mut self, additions: u32) {
        self.uncarried += additions;
        if self.uncarried >= UNCARRIED {
            self.carry();
        }
    }

    /// Afterwards each limb has 32 bits, and the last one the sign.
    fn carry(&mut self) {
        for index in 0..LIMBS - 1 {
            let carried = self.limbs[index] >> 32;
            self.limbs[index] &= 0xffff_ffff;
            self.limbs[index + 1] += carried;
        }
        self.uncarried = 0;
    }

    fn magnitude(mut self) -> Magnitude {
        self.carry();
        let is_negative = self.limbs[LIMBS - 1] < 0;
        if is_negative {
            self.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            self.carry();
        }
        let used = self.limbs.iter().rposition(|limb| *limb != 0).map_or(0, |last| last + 1);
        Magnitude { is_negative, limbs: self.limbs[..used].iter().map(|it| *it as u32).collect() }
    }

    fn narrow(&self) -> Option<i128> {
        let Magnitude { is_negative, limbs } = self.clone().magnitude();
        let mut units = 0i128;
        for (index, limb) in limbs.iter().enumerate().filter(|(_, limb)| **limb != 0) {
            let shift = index as i32 * 32 + WIDE - NARROW;
            let bits = i128::from(*limb);
            units += match shift {
                // Well below the sign, so that many of them can be added.
                0..=80 => bits << shift,
                -31..0 if limb.trailing_zeros() as i32 >= -shift => bits >> -shift,
                _ => return None,
            };
        }
        Some(if is_negative { -units } else { units })
    }
}

impl Magnitude {
    fn to_f64(&self) -> f64 {
        let mut bits: u128 = 0;
        let mut taken = 0;
        for limb in self.limbs.iter().rev().take(3) {
            bits = bits << 32 | u128::from(*limb);
            taken += 1;
        }
        let lower = self.limbs.len() - taken;
        let is_inexact = self.limbs[..lower].iter().any(|limb| *limb != 0);
        // The lowest of at least 65 bits stands for all that are cut off: it only breaks ties.
        bits |= u128::from(is_inexact);
        #[expect(clippy::cast_precision_loss, reason = "this is the one rounding")]
        let rounded = bits as f64;
        let power = WIDE + 32 * lower as i32;
        // In two steps: the power alone can be too small or too large for a double.
        let number = rounded * two_to(power / 2) * two_to(power - power / 2);
        if self.is_negative { -number } else { number }
    }
}

fn two_to(power: i32) -> f64 {
    let exponent = u64::try_from(power + 1023).expect("half of the range of doubles");
    f64::from_bits(exponent << FRACTION_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[f64]) -> FloatSum {
        let mut sum = FloatSum::default();
        numbers.iter().for_each(|number| sum.add(*number));
        sum
    }

    fn bytes(sum: &FloatSum) -> Vec<u8> {
        let mut writer = Writer::default();
        sum.write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn a_sum_is_rounded_once() {
        for (numbers, expected) in [
            (&[][..], 0.0),
            (&[0.1; 10], 1.0),
            (&[1e308, 1e308, -1e308], 1e308),
            (&[1e308, 1e308], f64::INFINITY),
            (&[1e16, 1.0, -1e16], 1.0),
            (&[5e-324, 1e300, -1e300], 5e-324),
            (&[-0.0], 0.0),
            (&[-1.5, 0.25], -1.25),
            (&[f64::INFINITY, 1.0], f64::INFINITY),
            (&[1.0, f64::MIN_POSITIVE], 1.0),
            (&[9007199254740992.0, 1.0], 9007199254740992.0),
            (&[9007199254740992.0, 1.0, 5e-324], 9007199254740994.0),
        ] {
            assert_eq!(sum(numbers).to_f64().to_bits(), expected.to_bits(), "{numbers:?}");
        }
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).to_f64().is_nan());
    }

    proptest! {
        #[test]
        fn no_order_and_no_split_changes_a_bit(
            mut numbers in prop::collection::vec(any::<f64>(), 0..60),
            at in 0usize..60,
        ) {
            numbers.retain(|number| number.is_finite());
            let whole = sum(&numbers);
            let (left, right) = numbers.split_at(at.min(numbers.len()));
            let mut merged = sum(right);
            merged.merge(&sum(left));
            prop_assert_eq!(bytes(&whole), bytes(&merged));
            let read = FloatSum::read(&mut Reader::new(&bytes(&whole))).expect("as written");
            prop_assert_eq!(bytes(&read), bytes(&whole));
            prop_assert_eq!(read.to_f64().to_bits(), merged.to_f64().to_bits());
            numbers.reverse();
            prop_assert_eq!(bytes(&sum(&numbers)), bytes(&whole));
        }

        #[test]
        fn of_two_it_is_what_the_processor_adds(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!((a + b).is_finite() && a.is_finite() && b.is_finite() && a + b != 0.0);
            prop_assert_eq!(sum(&[a, b]).to_f64().to_bits(), (a + b).to_bits());
        }
    }
}
