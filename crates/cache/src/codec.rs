//! Compressing values and decompressing them, with contexts that each thread makes once: making one costs
//! several times what it does for a few kilobytes.

use std::{cell::RefCell, io};

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::{
    entry::{Coding, EntryError},
    limits,
};

/// Larger values have a context of their own, so that no thread keeps a large one.
const KEPT_FOR: usize = 256 << 10;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The value as it will be stored: compressed when that makes it smaller.
pub(crate) fn compress(value: Bytes, above: usize) -> (Coding, Bytes) {
    if value.len() > above {
        match compressed(&value) {
            Ok(small) if small.len() < value.len() => return (Coding::Zstd, small.into()),
            _ => {}
        }
    }
    (Coding::Identity, value)
}

fn compressed(value: &[u8]) -> io::Result<Vec<u8>> {
    if value.len() > KEPT_FOR {
        return zstd::bulk::compress(value, limits::COMPRESSION_LEVEL);
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(limits::COMPRESSION_LEVEL)?),
        };
        compressor.compress(value)
    })
}

/// Never more than the entry announced, and never more than a value may have.
pub(crate) fn decompress(coding: Coding, value: &Bytes, raw_len: u64) -> Result<Bytes, EntryError> {
    match coding {
        Coding::Identity => Ok(value.clone()),
        Coding::Zstd => {
            let capacity = usize::try_from(raw_len).map_err(|_| EntryError::Compression)?;
            if capacity > limits::DECOMPRESSED_BYTES {
                return Err(EntryError::Compression);
            }
            let raw = decompressed(value, capacity).map_err(|_| EntryError::Compression)?;
            if raw.len() == capacity { Ok(raw.into()) } else { Err(EntryError::Compression) }
        }
    }
}

fn decompressed(value: &[u8], capacity: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress(value, capacity)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_keeps_what_it_does_not_shrink_and_is_capped() {
        let text = Bytes::from("samovar ".repeat(1000));
        let (coding, small) = compress(text.clone(), 1024);
        assert_eq!(coding, Coding::Zstd);
        assert!(small.len() < text.len() / 10);
        assert_eq!(decompress(coding, &small, 8000), Ok(text.clone()));
        assert_eq!(decompress(coding, &small, 7999), Err(EntryError::Compression));
        assert_eq!(decompress(coding, &small, u64::MAX), Err(EntryError::Compression));
        assert_eq!(compress(Bytes::from("tiny"), 1).0, Coding::Identity);
        assert_eq!(compress(text, 10_000).0, Coding::Identity);
    }

    #[test]
    fn a_context_that_failed_is_as_good_as_new() {
        let text = Bytes::from("samovar ".repeat(1000));
        for _ in 0..3 {
            let (coding, small) = compress(text.clone(), 1024);
            assert_eq!(coding, Coding::Zstd);
            let cut = small.slice(..small.len() - 3);
            assert_eq!(decompress(coding, &cut, 8000), Err(EntryError::Compression));
            assert_eq!(decompress(coding, &small, 7999), Err(EntryError::Compression));
            assert_eq!(decompress(coding, &small, 8000), Ok(text.clone()));
        }
        let large = Bytes::from("samovar ".repeat(KEPT_FOR));
        let (coding, small) = compress(large.clone(), 1024);
        assert_eq!(decompress(coding, &small, large.len() as u64), Ok(large));
    }
}
