//! Numbers as sources give them: exact where they can be, doubles otherwise.

use std::cmp::Ordering;

use super::Exact;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Exact(Exact),
    /// Never `-0.0`.
    Float(f64),
}

impl Number {
    pub(crate) fn integer(number: impl Into<i128>) -> Self {
        let number = number.into();
        #[expect(clippy::cast_precision_loss, reason = "what is larger has no exact form")]
        Exact::new(number, 0).map_or(Number::Float(number as f64), Number::Exact)
    }

    pub(crate) fn float(number: f64) -> Self {
        // Zero has two signs, and one is enough.
        Number::Float(number + 0.0)
    }

    /// A decimal, with or without an exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(exact) = Exact::parse(text.as_bytes()) {
            return Some(Number::Exact(exact));
        }
        text.parse().ok().map(Self::float)
    }

    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Number::Exact(exact) => exact.to_f64(),
            Number::Float(float) => float,
        }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        self.combine(other, Exact::add, |a, b| a + b)
    }

    pub(crate) fn subtract(self, other: Self) -> Self {
        self.combine(other, |a, b| a.add(b.negate()), |a, b| a - b)
    }

    pub(crate) fn multiply(self, other: Self) -> Self {
        self.combine(other, Exact::multiply, |a, b| a * b)
    }

    /// Always a double; by zero it is nothing.
    pub(crate) fn divide(self, other: Self) -> Option<Self> {
        let divisor = other.to_f64();
        (divisor != 0.0).then(|| Self::float(self.to_f64() / divisor))
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            Number::Exact(exact) => Number::Exact(exact.negate()),
            Number::Float(float) => Self::float(-float),
        }
    }

    fn combine(
        self,
        other: Self,
        exactly: impl FnOnce(Exact, Exact) -> Option<Exact>,
        nearly: impl FnOnce(f64, f64) -> f64,
    ) -> Self {
        if let (Number::Exact(a), Number::Exact(b)) = (self, other)
            && let Some(exact) = exactly(a, b)
        {
            return Number::Exact(exact);
        }
        Self::float(nearly(self.to_f64(), other.to_f64()))
    }

    /// By value. Of two that are the same number, which is the lesser depends on their form alone,
    /// so that the least and the greatest of many do not depend on their order. Not-a-number is
    /// greater than all.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        if let (Number::Exact(a), Number::Exact(b)) = (self, other) {
            return a.units().cmp(&b.units()).then(b.scale().cmp(&a.scale()));
        }
        let (a, b) = (self.to_f64(), other.to_f64());
        let by_value = a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        let form = |it| u8::from(matches!(it, Number::Exact(_)));
        by_value.then(form(self).cmp(&form(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: Number) -> String {
        match number {
            Number::Exact(exact) => exact.digits(),
            Number::Float(float) => format!("{float:?}"),
        }
    }

    #[test]
    fn exact_numbers_stay_exact_until_they_cannot() {
        let number = |text: &str| Number::parse(text).expect("a number");
        assert_eq!(shown(number("0.1").add(number("0.2"))), "0.3");
        assert_eq!(shown(number("0.1").subtract(number("1"))), "-0.9");
        assert_eq!(shown(number("1e2").add(number("1"))), "101.0");
        assert_eq!(shown(number("1").divide(number("4")).expect("a number")), "0.25");
        assert!(number("1").divide(number("0.00")).is_none());
        let fine = number("0.00048828125");
        assert_eq!(shown(fine.multiply(fine)), "2.384185791015625e-7");
        assert_eq!(shown(number("-0.0e0")), "0.0");
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let mut numbers: Vec<_> = ["2", "1.5", "NaN", "-3e0", "1.50", "1e400", "15e-1", "-3"]
            .map(|text| Number::parse(text).expect("a number"))
            .to_vec();
        numbers.sort_by(|a, b| a.compare(*b));
        let shown: Vec<_> = numbers.into_iter().map(shown).collect();
        assert_eq!(shown, ["-3.0", "-3", "1.5", "1.50", "1.5", "2", "inf", "NaN"]);
    }
}
