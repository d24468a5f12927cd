//! Sums whose result depends on what was added, and never on the order.

use super::{
    Exact, SCALE,
    encoding::{Malformed, Reader, Writer},
    float_sum::FloatSum,
    number::Number,
};
use crate::Value;

/// Of whole numbers, decimals and doubles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    /// Numbers that were added; of none, the sum is null.
    count: u64,
    /// In units of 10^-12, the lowest 128 bits; `carried` counts how often they ran over.
    units: i128,
    carried: i64,
    /// The most digits behind the point of any of them.
    scale: u8,
    floats: Option<Box<FloatSum>>,
}

impl Sum {
    pub(crate) fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Exact(exact) => {
                self.scale = self.scale.max(exact.scale());
                self.add_units(exact.units(), 0);
            }
            Number::Float(float) => self.floats.get_or_insert_default().add(float),
        }
    }

    fn add_units(&mut self, units: i128, carried: i64) {
        let (sum, is_over) = self.units.overflowing_add(units);
        self.units = sum;
        self.carried += carried;
        if is_over {
            self.carried += if units < 0 { -1 } else { 1 };
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.scale = self.scale.max(other.scale);
        self.add_units(other.units, other.carried);
        if let Some(floats) = &other.floats {
            self.floats.get_or_insert_default().merge(floats);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    fn without_zeros(&self) -> i128 {
        let zeros = zeros(self.scale);
        // Most are small, and dividing what is large takes ten times as long.
        match i64::try_from(self.units) {
            Ok(units) => (units / zeros).into(),
            Err(_) => self.units / i128::from(zeros),
        }
    }

    fn exact(&self) -> Option<Exact> {
        (self.carried == 0).then(|| Exact::of_units(self.units, self.scale))
    }

    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub(crate) fn to_f64(&self) -> f64 {
        let exact = match self.exact() {
            Some(exact) => exact.to_f64(),
            None => (self.carried as f64 * 2f64.powi(128) + self.units as f64) / 1e12,
        };
        exact + self.floats.as_ref().map_or(0.0, |floats| floats.to_f64())
    }

    pub(crate) fn value(&self) -> Value<'static> {
        if self.count == 0 {
            return Value::Null;
        }
        match self.exact().filter(|_| self.floats.is_none()) {
            Some(exact) => exact_value(exact),
            None => Value::Float(self.to_f64()),
        }
    }

    pub(crate) fn average(&self) -> Value<'static> {
        #[expect(clippy::cast_precision_loss, reason = "no rows are that many")]
        match self.count {
            0 => Value::Null,
            count => Value::Float(self.to_f64() / count as f64),
        }
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.unsigned(self.count.into());
        let flags = u8::from(self.floats.is_some()) | u8::from(self.carried != 0) << 1;
        to.byte(flags << 4 | self.scale);
        // What is behind the last digit of any number is zeros, unless the sum ran over.
        to.signed(if self.carried == 0 { self.without_zeros() } else { self.units });
        if self.carried != 0 {
            to.signed(self.carried.into());
        }
        if let Some(floats) = &self.floats {
            floats.write(to);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = from.u64()?;
        let flags = from.byte()?;
        let (scale, is_carried) = (flags & 0xf, flags >> 5 & 1 == 1);
        if scale > SCALE || flags >> 6 != 0 {
            return Err(Malformed);
        }
        let said = from.signed()?;
        let (units, carried) = match is_carried {
            true => (said, i64::try_from(from.signed()?).map_err(|_| Malformed)?),
            false => (said.checked_mul(zeros(scale).into()).ok_or(Malformed)?, 0),
        };
        let has_floats = flags >> 4 & 1 == 1;
        let floats = has_floats.then(|| FloatSum::read(from).map(Box::new)).transpose()?;
        Ok(Self { count, units, carried, scale, floats })
    }
}

/// What numbers with so many digits behind the point are multiples of, in units.
fn zeros(scale: u8) -> i64 {
    10i64.pow(u32::from(SCALE - scale))
}

pub(crate) fn exact_value(exact: Exact) -> Value<'static> {
    match i64::try_from(exact.mantissa()) {
        Ok(integer) if exact.scale() == 0 => Value::Integer(integer),
        _ => Value::Decimal(exact.digits().into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[&str]) -> Sum {
        let mut sum = Sum::default();
        for number in numbers {
            sum.add(Number::parse(number).expect("a number"));
        }
        sum
    }

    fn bytes(sum: &Sum) -> Vec<u8> {
        let mut writer = Writer::default();
        sum.write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn sums_are_exact_and_of_nothing_null() {
        for (numbers, expected) in [
            (&[][..], Value::Null),
            (&["1", "2"], Value::Integer(3)),
            (&["0.1", "0.2"], Value::Decimal("0.3".into())),
            (&["0.10", "0.9"], Value::Decimal("1.00".into())),
            (&["1e0", "0.5"], Value::Float(1.5)),
            (&["9223372036854775807", "1"], Value::Decimal("9223372036854775808".into())),
        ] {
            assert_eq!(sum(numbers).value(), expected, "{numbers:?}");
        }
        assert_eq!(sum(&["1", "2"]).average(), Value::Float(1.5));
        assert_eq!(sum(&[]).average(), Value::Null);
    }

    #[test]
    fn a_sum_beyond_128_bits_is_still_right() {
        let mut large = Sum::default();
        let most = "900000000000000000000";
        let mut numbers = vec![most];
        for _ in 0..20 {
            let mut doubled = sum(&numbers);
            doubled.merge(&sum(&numbers));
            large.merge(&doubled);
            numbers = vec![most; numbers.len() * 2];
            if numbers.len() > 1000 {
                break;
            }
        }
        let mut many = large.clone();
        for _ in 0..60 {
            let again = many.clone();
            many.merge(&again);
        }
        let ratio = many.to_f64() / large.to_f64();
        assert!((ratio / 2f64.powi(60) - 1.0).abs() < 1e-9, "{ratio}");
        let read = Sum::read(&mut Reader::new(&bytes(&many))).expect("as written");
        assert_eq!(bytes(&read), bytes(&many));
    }

    proptest! {
        #[test]
        fn no_order_and_no_split_changes_a_bit(
            numbers in prop::collection::vec("-?[0-9]{1,19}(\\.[0-9]{1,13})?", 0..40),
            at in 0usize..40,
        ) {
            let mut numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let whole = sum(&numbers);
            let (left, right) = numbers.split_at(at.min(numbers.len()));
            let mut merged = sum(right);
            merged.merge(&sum(left));
            prop_assert_eq!(bytes(&whole), bytes(&merged));
            numbers.reverse();
            prop_assert_eq!(bytes(&sum(&numbers)), bytes(&whole));
            let read = Sum::read(&mut Reader::new(&bytes(&whole))).expect("as written");
            prop_assert_eq!((bytes(&read), read.value()), (bytes(&whole), whole.value()));
        }
    }
}
