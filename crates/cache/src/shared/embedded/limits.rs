//! Every limit of the embedded tier, and what happens at it.

use std::time::Duration;

/// Leases at a time, those of dead computes included. More: a begin is refused, and its reader
/// computes without storing.
pub(super) const LEASES: usize = 1 << 16;

/// Readings whose failures are remembered. More: a failure is forgotten at once, so that its
/// reading may be computed again without a wait.
pub(super) const FAILURES: usize = 1 << 16;

/// The count of failures in a row outlives its last wait by this long.
pub(super) const FAILURES_KEPT: Duration = Duration::from_secs(600);

/// Each so many writes, what has expired is swept. A commit adds one entry, so entries are swept
/// faster than they come.
pub(super) const SWEEP_EVERY: u64 = 64;
pub(super) const SWEPT_ENTRIES: usize = 256;
pub(super) const SWEPT_VERSIONS: usize = 2048;

/// Entries evicted between two looks at the space that is left, beginning with one and doubled.
pub(super) const EVICTED_AT_ONCE: usize = 64;

/// Versions evicted at a time, where they have taken the place of all entries.
pub(super) const EVICTED_VERSIONS: u64 = 4096;

/// Entries of which it is remembered that they were asked for. More share a place: then one is spared
/// because of another.
pub(super) const ASKED: usize = 1 << 20;

/// Entries that are spared while one finds room, because they were asked for. Then whatever comes
/// next goes.
pub(super) const SPARED: usize = 1024;

/// Entries that a clean-up reads or removes in one transaction.
pub(super) const CLEANED_AT_ONCE: usize = 500;

/// Space beyond the disk limit that SQLite itself refuses to exceed, for versions: entries never
/// reach it.
pub(super) const VERSIONS_BYTES: u64 = 64 << 20;

/// How often a small write is tried again whose transaction a neighbour had spoiled.
pub(super) const TRIES: usize = 3;
