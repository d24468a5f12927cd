//! Durations and sizes as people write them.

use std::time::Duration;

const DURATIONS_MS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)];

pub(crate) const DURATION_HINT: &str = "write it like 500ms, 30s, 10m, 2h or 1d";
pub(crate) const SIZE_HINT: &str = "write it like 64KB, 256MB or 2GB";

/// `500ms`, `30s`, `10m`, `2h` or `1d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| format!("`{text}` is no duration: {DURATION_HINT}"))
}

/// `64B`, `1KB`, `256MB` or `2GB`; a kilobyte has 1024 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| format!("`{text}` is no size: {SIZE_HINT}"))
}

pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let unit = if unit == "m" { "min" } else { unit };
    multiply(number, unit, &DURATIONS_MS).map(Duration::from_millis)
}

pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    multiply(number, unit, &SIZES)
}

/// In the largest unit that leaves no rest.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(ms, &DURATIONS_MS).replace("min", "m")
}

pub(crate) fn show_bytes(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn multiply(number: &str, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| number.is_multiple_of(*factor) && number >= *factor;
    let (name, factor) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{name}", number / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_as_written() {
        let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("10m"), Ok(600_000));
        assert_eq!(ms("2 h"), Ok(7_200_000));
        assert_eq!(parse_bytes("256MB"), Ok(256 << 20));
        for wrong in ["", "10", "s", "-1s", "1.5h", "10 parsecs", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "10", "MB", "1.5GB", "99999999999GB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["1ms", "1500ms", "30s", "10m", "2h", "1d"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Ok(text));
        }
        for text in ["1000B", "1KB", "256MB", "2GB"] {
            assert_eq!(parse_bytes(text).map(show_bytes).as_deref(), Ok(text));
        }
        assert_eq!((show_duration(Duration::ZERO).as_str(), show_bytes(0).as_str()), ("0ms", "0B"));
    }
}
