//! Decimals of any size, digit by digit.

use super::form::{Malformed, next};
use crate::Value;

/// Each digit of the server has four of ours.
const WIDTH: usize = 4;

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Number of digits, power of the first, sign, digits behind the point as ours; then the digits.
pub(super) fn read(mut bytes: &[u8]) -> Result<Value<'static>, Malformed> {
    let count = u16::from_be_bytes(next(&mut bytes)?);
    let weight = i16::from_be_bytes(next(&mut bytes)?);
    let sign = u16::from_be_bytes(next(&mut bytes)?);
    let scale = usize::from(u16::from_be_bytes(next(&mut bytes)?));
    let mut text = match sign {
        0 => String::new(),
        NEGATIVE => "-".to_owned(),
        NOT_A_NUMBER => return Ok(Value::Text("NaN".into())),
        INFINITY => return Ok(Value::Text("Infinity".into())),
        NEGATIVE_INFINITY => return Ok(Value::Text("-Infinity".into())),
        _ => return Err(Malformed),
    };
    let mut digits = Vec::with_capacity(count.into());
    for _ in 0..count {
        let digit = u16::from_be_bytes(next(&mut bytes)?);
        digits.push(if digit < 10_000 { digit } else { return Err(Malformed) });
    }
    // Zeros that are not sent stand before the first and behind the last.
    let digit = |power: i32| {
        let index = usize::try_from(i32::from(weight) - power).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let whole: String =
        (0..=i32::from(weight)).rev().map(|at| format!("{:04}", digit(at))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let groups = scale.div_ceil(WIDTH) as i32;
        let fraction: String = (1..=groups).map(|at| format!("{:04}", digit(-at))).collect();
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Ok(Value::Decimal(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Value<'static> {
        let head = [digits.len() as u16, weight as u16, sign, scale];
        let bytes: Vec<u8> =
            head.iter().chain(digits).flat_map(|number| number.to_be_bytes()).collect();
        read(&bytes).expect("well formed")
    }

    #[test]
    fn zeros_that_are_not_sent_are_there() {
        for (weight, sign, scale, digits, expected) in [
            (0, 0, 0, &[][..], "0"),
            (0, 0, 2, &[], "0.00"),
            (0, 0, 2, &[1, 5000], "1.50"),
            (2, 0, 0, &[1], "100000000"),
            (1, NEGATIVE, 1, &[12, 34, 5000], "-120034.5"),
            (-1, 0, 4, &[1], "0.0001"),
            (-3, 0, 12, &[7], "0.000000000007"),
            (-1, NEGATIVE, 3, &[1230], "-0.123"),
        ] {
            assert_eq!(decimal(weight, sign, scale, digits), Value::Decimal(expected.into()));
        }
        assert_eq!(decimal(0, NOT_A_NUMBER, 0, &[]), Value::Text("NaN".into()));
        assert!(read(&[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]).is_err());
    }
}
