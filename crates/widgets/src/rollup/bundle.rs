//! Bundles: the partials of the days of a month, or of the hours of a day, as the value of one entry.

use std::time::Duration;

use super::{
    Rollup,
    encoding::{Malformed, Reader, Writer},
};

/// A partial as it was encoded, in a bundle of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundled<'b> {
    /// That of its partition among all those of the bundle's time.
    pub place: usize,
    /// How long it may be used, as it was when the bundle was made.
    pub left: Duration,
    pub bytes: &'b [u8],
}

/// No partial begins with it.
const FORMAT: u8 = 0x81;

/// Some of so many partitions, in the order of their places.
pub fn encode_bundle(rollup: &Rollup, of: usize, bundled: &[Bundled<'_>]) -> Vec<u8> {
    let mut to = Writer::default();
    to.byte(FORMAT);
    to.bytes(&rollup.fingerprint().to_le_bytes());
    to.count(of);
    for Bundled { place, left, bytes } in bundled {
        to.count(*place);
        to.unsigned(left.as_millis());
        to.text(bytes);
    }
    to.into_bytes()
}

/// # Errors
/// When the bytes are no bundle, or one of another rollup, format or number of partitions.
pub fn decode_bundle<'b>(
    rollup: &Rollup,
    of: usize,
    bytes: &'b [u8],
) -> Result<Vec<Bundled<'b>>, Malformed> {
    let from = &mut Reader::new(bytes);
    let is_ours = from.byte()? == FORMAT && from.array()? == rollup.fingerprint().to_le_bytes();
    if !is_ours || from.u64()? != of as u64 {
        return Err(Malformed);
    }
    let mut bundled: Vec<Bundled<'b>> = Vec::new();
    while !from.is_empty() {
        let place = from.index(of)?;
        let left = Duration::from_millis(from.u64()?);
        if bundled.last().is_some_and(|last| place <= last.place) {
            return Err(Malformed);
        }
        bundled.push(Bundled { place, left, bytes: from.text()? });
    }
    Ok(bundled)
}
