//! The stored form of an entry: a fixed header, the stamps, and the value ready to be served.

use std::time::Duration;

use bytes::Bytes;

use crate::{codec, freshness::Lifetimes};

/// What an entry remembers of one version it was made under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// A hash of the version's key, so that stamps of another definition never fit by chance.
    pub(crate) key_hash: u64,
    pub(crate) change: u64,
    pub(crate) clear: u64,
    /// The incarnation of the master that held the version.
    pub(crate) incarnation: u64,
}

impl Stamp {
    fn read(bytes: &[u8; STAMP]) -> Self {
        let (numbers, _) = bytes.as_chunks::<8>();
        let number = |index: usize| u64::from_le_bytes(numbers[index]);
        Self { key_hash: number(0), change: number(1), clear: number(2), incarnation: number(3) }
    }
}

/// How the value's bytes are encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    Identity,
    Zstd,
}

/// Where the data of a value was read, as far as its compute says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Provenance {
    /// The state of the source: values of one moment agree with each other. 0: not said.
    pub moment: u64,
    /// What was asked of the source.
    pub queries: u32,
}

/// An entry as it travels to and from the shared tier.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct StoredEntry {
    /// The token of the lease under which it was written: what "has it changed" is asked by.
    pub(crate) commit: u64,
    pub(crate) coding: Coding,
    /// "There is nothing": a negative answer.
    pub(crate) absent: bool,
    /// When its stamps were captured, or the oldest of what it was made from; the store's time.
    pub(crate) as_of_ms: u64,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) compute: Duration,
    pub(crate) provenance: Provenance,
    /// Bytes of the value when decoded.
    pub(crate) raw_len: u64,
    /// A hash of the decoded value; the same content has the same one.
    pub(crate) content_hash: u64,
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) value: Bytes,
}

const MAGIC: [u8; 4] = *b"SMVE";
/// Raised when the layout changes; other versions are treated as missing and computed anew.
const FORMAT: u8 = 3;
/// Magic, format, coding, flags, then what the scripts read at a fixed place: the commit.
pub(crate) const COMMIT_AT: usize = 8;
const HEADER: usize = 92;
const CHECKSUM_AT: usize = HEADER - 4;
const STAMP: usize = 32;

impl StoredEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let stamps = self.stamps.len() * STAMP;
        let mut out = Vec::with_capacity(HEADER + stamps + self.value.len());
        out.extend(MAGIC);
        out.push(FORMAT);
        out.push(match self.coding {
            Coding::Identity => 0,
            Coding::Zstd => 1,
        });
        out.extend(u16::from(self.absent).to_le_bytes());
        out.extend(self.commit.to_be_bytes());
        for number in [
            self.as_of_ms,
            millis(self.lifetimes.ttl),
            millis(self.lifetimes.grace),
            millis(self.lifetimes.lead),
            self.compute.as_micros().try_into().unwrap_or(u64::MAX),
            self.raw_len,
            self.content_hash,
            self.provenance.moment,
        ] {
            out.extend(number.to_le_bytes());
        }
        out.extend((stamps as u32).to_le_bytes());
        out.extend(self.provenance.queries.to_le_bytes());
        out.extend([0; 4]); // the checksum's place
        debug_assert_eq!(out.len(), HEADER);
        for stamp in &self.stamps {
            for number in [stamp.key_hash, stamp.change, stamp.clear, stamp.incarnation] {
                out.extend(number.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.value);
        let sum = checksum(&out);
        out[CHECKSUM_AT..HEADER].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// The value shares the memory of `bytes`.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, EntryError> {
        let header = bytes.get(..HEADER).ok_or(EntryError::Truncated)?;
        if header[..4] != MAGIC {
            return Err(EntryError::NotAnEntry);
        }
        if header[4] != FORMAT {
            return Err(EntryError::Format { format: header[4] });
        }
        let sum = u32::from_le_bytes(header[CHECKSUM_AT..].try_into().expect("four bytes"));
        if sum != checksum(bytes) {
            return Err(EntryError::Checksum);
        }
        let coding = match header[5] {
            0 => Coding::Identity,
            1 => Coding::Zstd,
            other => return Err(EntryError::Coding { coding: other }),
        };
        let number = |index: usize| {
            let at = COMMIT_AT + 8 + index * 8;
            u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"))
        };
        let half = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four"));
        let stamps_len = half(80);
        let value_at = HEADER.checked_add(stamps_len as usize).ok_or(EntryError::Truncated)?;
        let stamps = bytes.get(HEADER..value_at).ok_or(EntryError::Truncated)?;
        let (stamps, rest) = stamps.as_chunks::<STAMP>();
        if !rest.is_empty() {
            return Err(EntryError::Stamps);
        }
        Ok(Self {
            commit: u64::from_be_bytes(header[COMMIT_AT..COMMIT_AT + 8].try_into().expect("eight")),
            coding,
            absent: header[6] & 1 == 1,
            as_of_ms: number(0),
            lifetimes: Lifetimes {
                ttl: Duration::from_millis(number(1)),
                grace: Duration::from_millis(number(2)),
                lead: Duration::from_millis(number(3)),
            },
            compute: Duration::from_micros(number(4)),
            raw_len: number(5),
            content_hash: number(6),
            provenance: Provenance { moment: number(7), queries: half(84) },
            stamps: stamps.iter().map(Stamp::read).collect(),
            value: bytes.slice(value_at..),
        })
    }
}

/// The commit that stored bytes carry, whatever else is wrong with them: the same eight bytes that
/// a store compares with what the writer has seen. `None` where there are none.
pub(crate) fn commit_of(stored: &[u8]) -> Option<u64> {
    let bytes = stored.get(COMMIT_AT..)?.first_chunk()?;
    Some(u64::from_be_bytes(*bytes))
}

/// The first bytes of an entry, enough for [`gone_at_ms`].
pub(crate) const LIFE_BYTES: usize = COMMIT_AT + 4 * 8;

/// When an entry is past all use, by the store's clock: before its key expires where it was made
/// of older parts. `None` for bytes that are no entry of this format.
pub(crate) fn gone_at_ms(stored: &[u8]) -> Option<u64> {
    let (header, _) = stored.split_first_chunk::<LIFE_BYTES>()?;
    if header[..4] != MAGIC || header[4] != FORMAT {
        return None;
    }
    let (numbers, _) = header[COMMIT_AT + 8..].as_chunks::<8>();
    Some(numbers.iter().map(|n| u64::from_le_bytes(*n)).fold(0, u64::saturating_add))
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Over everything but itself.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[HEADER..]);
    hasher.finalize()
}

/// Why stored bytes are no entry. All are treated as a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("the entry is cut short")]
    Truncated,
    #[error("these bytes are no entry")]
    NotAnEntry,
    #[error("the entry has format {format}, this version reads {FORMAT}")]
    Format { format: u8 },
    #[error("the entry has coding {coding}, which is unknown")]
    Coding { coding: u8 },
    #[error("the entry's checksum does not fit")]
    Checksum,
    #[error("the entry's stamps cannot be read")]
    Stamps,
    #[error("the entry's value cannot be decompressed")]
    Compression,
}

/// Decodes stored bytes and forgets the result: what a fuzzer calls.
#[doc(hidden)]
pub fn check_stored_entry(bytes: &[u8]) -> Result<(), EntryError> {
    let entry = StoredEntry::decode(&Bytes::copy_from_slice(bytes))?;
    codec::decompress(entry.coding, &entry.value, entry.raw_len).map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(value: &[u8]) -> StoredEntry {
        StoredEntry {
            commit: 0x0102_0304_0506_0708,
            coding: Coding::Identity,
            absent: false,
            as_of_ms: 1_754_497_865_000,
            lifetimes: Lifetimes {
                ttl: Duration::from_secs(60),
                grace: Duration::from_secs(30),
                lead: Duration::from_millis(1500),
            },
            compute: Duration::from_micros(421),
            provenance: Provenance { moment: 5, queries: 6 },
            raw_len: value.len() as u64,
            content_hash: 99,
            stamps: vec![Stamp { key_hash: 1, change: 2, clear: 3, incarnation: 4 }; 3],
            value: Bytes::copy_from_slice(value),
        }
    }

    #[test]
    fn an_entry_survives_its_encoding_and_the_scripts_find_its_commit() {
        let original = entry(b"{\"revenue\":12}");
        let bytes = Bytes::from(original.encode());
        assert_eq!(StoredEntry::decode(&bytes), Ok(original));
        assert_eq!(bytes[COMMIT_AT..COMMIT_AT + 8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(commit_of(&bytes), Some(0x0102_0304_0506_0708));
        assert_eq!(commit_of(&bytes[..COMMIT_AT + 7]), None);
        assert_eq!(gone_at_ms(&bytes[..LIFE_BYTES]), Some(1_754_497_865_000 + 60_000 + 30_000));
        assert_eq!(gone_at_ms(&bytes[..LIFE_BYTES - 1]), None);
        assert_eq!(gone_at_ms(&[0; LIFE_BYTES]), None);
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed() {
        let good = entry(b"value").encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(StoredEntry::decode(&Bytes::from(bad)).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check_stored_entry(&bytes);
            let mut dressed = entry(&bytes).encode();
            dressed.truncate(HEADER + bytes.len() % 64);
            prop_assert!(check_stored_entry(&dressed).is_err());
        }
    }
}
