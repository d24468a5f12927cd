//! Whole numbers and decimals as they are, without a rounding anywhere.

/// The most digits behind the point that are kept exactly.
pub(crate) const SCALE: u8 = 12;

/// The largest in units of 10^-12; sums of billions of them fit into what [`super::sum`] keeps.
const LARGEST: i128 = 1 << 110;

const POWERS: [i128; SCALE as usize + 1] = {
    let mut powers = [1; SCALE as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// `mantissa` times 10^-`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    mantissa: i128,
    scale: u8,
}

impl Exact {
    /// `None` for what is too long or too large.
    pub(crate) fn new(mantissa: i128, scale: u8) -> Option<Self> {
        let missing = SCALE.checked_sub(scale)?;
        let units = mantissa.checked_mul(POWERS[usize::from(missing)])?;
        (units.unsigned_abs() < LARGEST.unsigned_abs()).then_some(Self { mantissa, scale })
    }

    pub(crate) fn mantissa(self) -> i128 {
        self.mantissa
    }

    pub(crate) fn scale(self) -> u8 {
        self.scale
    }

    /// In units of 10^-12.
    pub(crate) fn units(self) -> i128 {
        self.mantissa * POWERS[usize::from(SCALE - self.scale)]
    }

    /// Digits with at most one point: neither an exponent nor anything else.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (is_negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        // As many digits fit into 64 bits whatever they are.
        const SHORT: usize = 18;
        let (mut mantissa, mut scale, mut has_point) = (0u64, 0u8, false);
        if digits.len() > SHORT || !digits.first()?.is_ascii_digit() {
            return Self::parse_long(is_negative, digits);
        }
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    mantissa = mantissa * 10 + u64::from(byte - b'0');
                    scale += u8::from(has_point);
                }
                b'.' if !has_point => has_point = true,
                _ => return None,
            }
        }
        if has_point && scale == 0 {
            return None;
        }
        Self::signed(is_negative, mantissa.into(), scale)
    }

    fn parse_long(is_negative: bool, digits: &[u8]) -> Option<Self> {
        let (mut mantissa, mut scale, mut has_point) = (0i128, 0u8, false);
        if !digits.first()?.is_ascii_digit() || !digits.last()?.is_ascii_digit() {
            return None;
        }
        // Zeros that end a fraction say nothing, and may be many.
        let point = digits.iter().position(|byte| *byte == b'.');
        let said = match point {
            Some(point) => {
                let zeros = digits[point + 1..].iter().rev().take_while(|it| **it == b'0').count();
                let fraction = digits.len() - point - 1;
                &digits[..digits.len() - zeros.min(fraction.saturating_sub(usize::from(SCALE)))]
            }
            None => digits,
        };
        for byte in said {
            match byte {
                b'0'..=b'9' => {
                    mantissa = mantissa.checked_mul(10)?.checked_add((byte - b'0').into())?;
                    scale = scale.checked_add(u8::from(has_point))?;
                }
                b'.' if !has_point => has_point = true,
                _ => return None,
            }
        }
        Self::signed(is_negative, mantissa, scale)
    }

    fn signed(is_negative: bool, mantissa: i128, scale: u8) -> Option<Self> {
        Self::new(if is_negative { -mantissa } else { mantissa }, scale)
    }

    pub(crate) fn add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let aligned = |it: Self| it.mantissa.checked_mul(POWERS[usize::from(scale - it.scale)]);
        Self::new(aligned(self)?.checked_add(aligned(other)?)?, scale)
    }

    pub(crate) fn negate(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }

    pub(crate) fn multiply(self, other: Self) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Self { mantissa, scale: self.scale + other.scale }.shortened()
    }

    /// Without zeros that are too many.
    fn shortened(mut self) -> Option<Self> {
        while self.scale > SCALE && self.mantissa % 10 == 0 {
            self = Self { mantissa: self.mantissa / 10, scale: self.scale - 1 };
        }
        Self::new(self.mantissa, self.scale)
    }

    /// Without zeros that end its fraction, so that equal numbers are equal.
    pub(crate) fn canonical(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self = Self { mantissa: self.mantissa / 10, scale: self.scale - 1 };
        }
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub(crate) fn to_f64(self) -> f64 {
        self.mantissa as f64 / POWERS[usize::from(self.scale)] as f64
    }

    pub(crate) fn digits(self) -> String {
        let digits = self.mantissa.unsigned_abs().to_string();
        let scale = usize::from(self.scale);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        if scale == 0 {
            return format!("{sign}{digits}");
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }

    /// Of a sum in units of 10^-12 whose last digits are zeros.
    pub(crate) fn of_units(units: i128, scale: u8) -> Self {
        let scale = scale.min(SCALE);
        Self { mantissa: units / POWERS[usize::from(SCALE - scale)], scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_and_written_are_the_same() {
        for text in ["0", "7", "-7", "12.50", "-0.05", "0.000000000001", "9223372036854775807"] {
            let exact = Exact::parse(text.as_bytes()).expect(text);
            assert_eq!(exact.digits(), text);
        }
        let long = Exact::parse(b"2.50000000000000000000").expect("zeros say nothing");
        assert_eq!(long.canonical().digits(), "2.5");
    }

    #[test]
    fn what_is_no_plain_decimal_or_too_long_is_left_to_doubles() {
        for text in ["", "-", ".5", "5.", "1e3", "+1", "1.2.3", "x", " 1", "0.0000000000001"] {
            assert_eq!(Exact::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Exact::parse(&[b'9'; 40]), None);
        assert_eq!(Exact::parse(b"1111111111111111111111."), None);
    }

    #[test]
    fn arithmetic_keeps_every_digit_or_says_that_it_cannot() {
        let exact = |text: &str| Exact::parse(text.as_bytes()).expect("a decimal");
        let digits = |it: Option<Exact>| it.map(Exact::digits);
        assert_eq!(digits(exact("0.1").add(exact("0.20"))).as_deref(), Some("0.30"));
        assert_eq!(digits(exact("3").multiply(exact("19.99"))).as_deref(), Some("59.97"));
        assert_eq!(digits(exact("0.0000001").multiply(exact("0.0000001"))), None);
        let product = exact("0.000000010").multiply(exact("0.00010"));
        assert_eq!(digits(product).as_deref(), Some("0.000000000001"));
        assert_eq!(exact("900000000000000000000").multiply(exact("9000000000000")), None);
    }
}
