//! What is expected of one measure, and whether what was found is that.

use std::{cmp::Ordering, fmt};

use serde_json::Value as Json;

/// A number with four digits behind the point, without any rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fixed(pub(super) i128);

const DIGITS: usize = 4;
const ONE: i128 = 10_000;

/// The value of a dimension, or what a top is of, in the order in which answers have them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Null,
    Integer(i64),
    Text(String),
}

#[derive(Clone)]
pub(super) enum Figure {
    Null,
    Number(Fixed),
    /// To the last bit.
    Double(f64),
    Text(String),
    /// So many different ones.
    Distinct(u64),
    /// In their order, and the shares that are shown.
    Quantiles(Vec<f64>),
}

pub(super) const POINTS: [f64; 5] = [0.0, 0.25, 0.5, 0.95, 1.0];
const DOUBLE_DIGITS: usize = 15;
/// Up to here different values are counted exactly.
const COUNTED: u64 = 2048;
const STANDARD_ERROR: f64 = 0.0081;
/// Standard errors that an estimate may be away.
const MOST_ERRORS: f64 = 5.0;
/// 0.8 % of the number itself, of which a 128th is a little less.
const QUANTILE_ERROR: f64 = 1.0 / 128.0;

impl Fixed {
    pub(super) fn integer(number: impl Into<i128>) -> Self {
        Self(number.into() * ONE)
    }

    /// `None`: it is no decimal, or one with more digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || !all_digits(whole)
            || !all_digits(fraction)
            || fraction.len() > DIGITS
        {
            return None;
        }
        let units = format!("{whole}{fraction:0<DIGITS$}").parse::<i128>().ok()?;
        Some(Self(sign * units))
    }

    pub(super) fn times(self, other: Self) -> Self {
        let product = self.0 * other.0;
        assert_eq!(product % ONE, 0, "a product has no more digits than a number");
        Self(product / ONE)
    }

    /// Without zeros in front or at the end of the fraction.
    fn digits(self) -> usize {
        let text = self.to_string();
        text.trim_end_matches('0').trim_start_matches(['-', '0', '.']).replace('.', "").len()
    }

    #[expect(clippy::cast_precision_loss, reason = "for an order, and where a double is expected")]
    pub(super) fn to_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

impl std::ops::Add for Fixed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Fixed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:04}", self.0.abs() / ONE, self.0.abs() % ONE)
    }
}

impl Key {
    pub(super) fn text(text: Option<&str>) -> Self {
        text.map_or(Key::Null, |text| Key::Text(text.to_owned()))
    }

    pub(super) fn integer(number: Option<i64>) -> Self {
        number.map_or(Key::Null, Key::Integer)
    }

    pub(super) fn is(&self, found: &Json) -> bool {
        match self {
            Key::Null => found.is_null(),
            Key::Integer(number) => number_of(found) == Some(&number.to_string()),
            Key::Text(text) => found.as_str() == Some(text),
        }
    }
}

impl Figure {
    pub(super) fn sum(numbers: impl Iterator<Item = Fixed>) -> Self {
        let sum = numbers.reduce(|a, b| a + b);
        sum.map_or(Figure::Null, Figure::Number)
    }

    pub(super) fn count(count: usize) -> Self {
        Figure::Number(Fixed::integer(u32::try_from(count).expect("a test has few")))
    }

    /// By what rows are ordered.
    pub(super) fn rank(&self) -> f64 {
        match self {
            Figure::Number(number) => number.to_f64(),
            _ => f64::NEG_INFINITY,
        }
    }

    pub(super) fn is(&self, found: &Json) -> bool {
        match self {
            Figure::Null => found.is_null(),
            Figure::Number(number) => {
                // What a double does not give back is written as a text.
                let digits = match number.digits() <= DOUBLE_DIGITS {
                    true => number_of(found),
                    false => found.as_str().filter(|_| number_of(found).is_none()),
                };
                digits.and_then(Fixed::parse) == Some(*number)
            }
            Figure::Double(double) => {
                let found = number_of(found).and_then(|it| it.parse::<f64>().ok());
                found.is_some_and(|it| it.to_bits() == double.to_bits())
            }
            Figure::Text(text) => found.as_str() == Some(text),
            Figure::Distinct(count) => {
                let found = number_of(found).and_then(|it| it.parse::<u64>().ok());
                found.is_some_and(|it| is_near(it, *count))
            }
            Figure::Quantiles(sorted) => {
                let Some(found) = found.as_object() else { return false };
                found.len() == POINTS.len()
                    && POINTS.iter().all(|point| {
                        let found = found.get(&point.to_string());
                        found.is_some_and(|it| is_quantile(it, sorted, *point))
                    })
            }
        }
    }

    /// Both are of one thing, found in two ways.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Figure::Null, Figure::Null) => true,
            (Figure::Number(a), Figure::Number(b)) => a == b,
            (Figure::Double(a), Figure::Double(b)) => a.total_cmp(b) == Ordering::Equal,
            (Figure::Text(a), Figure::Text(b)) => a == b,
            (Figure::Distinct(a), Figure::Distinct(b)) => a == b,
            (Figure::Quantiles(a), Figure::Quantiles(b)) => a == b,
            _ => false,
        }
    }
}

/// Without all the numbers among which a rank is.
impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Null => f.write_str("null"),
            Figure::Number(number) => write!(f, "{number}"),
            Figure::Double(double) => write!(f, "{double:?}"),
            Figure::Text(text) => write!(f, "{text:?}"),
            Figure::Distinct(count) => write!(f, "{count} different"),
            Figure::Quantiles(sorted) => {
                let ranks = POINTS.map(|point| ranked(sorted, point));
                write!(f, "{ranks:?} of {}", sorted.len())
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn is_near(found: u64, count: u64) -> bool {
    let most = if count <= COUNTED { 0.0 } else { count as f64 * STANDARD_ERROR * MOST_ERRORS };
    found.abs_diff(count) as f64 <= most
}

fn is_quantile(found: &Json, sorted: &[f64], point: f64) -> bool {
    let Some(exact) = ranked(sorted, point) else { return found.is_null() };
    let found = number_of(found).and_then(|it| it.parse::<f64>().ok());
    found.is_some_and(|it| (it - exact).abs() <= exact.abs() * QUANTILE_ERROR)
}

/// The number with this rank, and nothing of nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among few numbers"
)]
fn ranked(sorted: &[f64], point: f64) -> Option<f64> {
    let rank = ((point * sorted.len() as f64).ceil() as usize).max(1);
    sorted.get(rank - 1).copied()
}

/// As it is written.
pub(super) fn number_of(found: &Json) -> Option<&str> {
    found.as_str()?.strip_prefix(NUMBER)
}

/// Before numbers, which become texts, so that no digit is lost.
const NUMBER: &str = "\u{1}";

/// As it was found.
pub(super) fn told(found: &Json) -> String {
    found.to_string().replace("\"\\u0001", "\"")
}

/// JSON whose numbers are texts.
pub(super) fn read_json(json: &str) -> Json {
    let (mut text, mut is_inside) = (String::new(), false);
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        let is_number = !is_inside && matches!(c, '-' | '0'..='9');
        if !is_number {
            text.push(c);
            match c {
                '\\' if is_inside => text.extend(rest.next()),
                '"' => is_inside = !is_inside,
                _ => {}
            }
            continue;
        }
        text.push_str("\"\\u0001");
        text.push(c);
        while let Some(part) = rest.next_if(|it| !matches!(it, ',' | '}' | ']' | ' ' | '\n')) {
            text.push(part);
        }
        text.push('"');
    }
    serde_json::from_str(&text).expect("JSON")
}
