//! How partials are written: variable-length counts and plain bytes. Whatever the bytes are, reading
//! them ends, and takes no more memory than they justify.

/// Bytes that are no partial, or one of another rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no partial of this rollup")]
pub struct Malformed;

#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.unsigned(count as u128);
    }

    pub(crate) fn text(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes(bytes);
    }

    /// Seven bits in each byte, the lowest first.
    pub(crate) fn unsigned(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Small numbers are short, whatever their sign.
    pub(crate) fn signed(&mut self, number: i128) {
        self.unsigned(((number << 1) ^ (number >> 127)) as u128);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Of things that take at least a byte each: never more than there are bytes.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| Malformed)?;
        if count > self.0.len() { Err(Malformed) } else { Ok(count) }
    }

    pub(crate) fn index(&mut self, below: usize) -> Result<usize, Malformed> {
        let index = usize::try_from(self.unsigned()?).map_err(|_| Malformed)?;
        if index < below { Ok(index) } else { Err(Malformed) }
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        u64::try_from(self.unsigned()?).map_err(|_| Malformed)
    }

    pub(crate) fn text(&mut self) -> Result<&'b [u8], Malformed> {
        let count = self.count()?;
        self.bytes(count)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u128, Malformed> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift > 121 && bits > 3 {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(crate) fn signed(&mut self) -> Result<i128, Malformed> {
        let number = self.unsigned()?;
        Ok((number >> 1) as i128 ^ -((number & 1) as i128))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned in any::<u128>(), signed in any::<i128>(), shift in 0u32..128) {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut writer = Writer::default();
            writer.unsigned(unsigned);
            writer.signed(signed);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.unsigned(), Ok(unsigned));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert!(reader.is_empty());
        }
    }
}
