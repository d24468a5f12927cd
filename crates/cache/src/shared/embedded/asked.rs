//! What was asked for, so that it is spared when room is made.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::limits;
use crate::key::EntryKey;

/// Which entries were asked for since the hand came by. The hand goes round the entries in the order
/// in which they expire: it spares those once, and takes the others. So nothing has to be written
/// where something is read.
#[derive(Debug)]
pub(super) struct Asked {
    /// One for each entry, by its hash; a few share theirs.
    bits: Box<[AtomicU64]>,
    hand: Mutex<Place>,
}

/// Of an entry: when it expires, and its row.
pub(super) type Place = (i64, i64);

/// Before all entries.
pub(super) const START: Place = (i64::MIN, i64::MIN);

const WORDS: usize = limits::ASKED / u64::BITS as usize;

impl Default for Asked {
    fn default() -> Self {
        Self { bits: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), hand: Mutex::new(START) }
    }
}

impl Asked {
    pub(super) fn note(&self, key: &EntryKey) {
        let (word, bit) = self.bit(key.as_str());
        // Mostly it is there already, and a line that nobody writes to is shared by all cores.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether it was asked for since this was called for it before.
    pub(super) fn take(&self, key: &str) -> bool {
        let (word, bit) = self.bit(key);
        word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }

    fn bit(&self, key: &str) -> (&AtomicU64, u64) {
        let hash = xxhash_rust::xxh3::xxh3_64(key.as_bytes()) as usize % limits::ASKED;
        let bits = u64::BITS as usize;
        (&self.bits[hash / bits], 1 << (hash % bits))
    }

    pub(super) fn hand(&self) -> Place {
        *self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn move_hand(&self, to: Place) {
        *self.hand.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}
