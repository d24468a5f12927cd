//! How much was compared, and what of it was made of partials that were kept.

use std::{fmt, path::Path};

use rusqlite::{Connection, OpenFlags};
use samovar_cache::Cache;
use samovar_engine::{Answer, Tier};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) readings: usize,
    /// Without a query, from partials that were kept.
    pub(super) alone: usize,
    /// With a query for what was missing.
    queried: usize,
    /// Bytes that were kept as they are.
    ready: usize,
    /// After a change that nobody told, the value of before.
    pub(super) untold: usize,
    /// After a change that was told while something was being read.
    pub(super) meanwhile: usize,
    kept: u64,
    folded: u64,
    pub(super) bundles: u64,
}

impl Counts {
    pub(super) fn add(&mut self, answer: &Answer) {
        self.readings += 1;
        match answer.tier() {
            Tier::Computed if answer.provenance().queries == 0 => self.alone += 1,
            Tier::Computed => self.queried += 1,
            Tier::Local | Tier::Shared => self.ready += 1,
        }
    }

    /// Since the cache was opened.
    pub(super) fn add_partials(&mut self, cache: &Cache) {
        for (widget, _, found) in cache.counters() {
            if widget.starts_with("rollup") {
                self.kept += found.shared_hits + found.local_hits;
                self.folded += found.computes;
            }
        }
    }
}

impl Counts {
    /// That are in a store.
    pub(super) fn add_bundles(&mut self, folder: &Path) {
        let file = folder.join("store").join("cache.db");
        let file = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let count =
            "select count(*) from entries where key like '%/days?%' or key like '%/hours?%'";
        let bundles = file.and_then(|file| file.query_row(count, [], |row| row.get::<_, u32>(0)));
        self.bundles += u64::from(bundles.expect("a count"));
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone, queried, ready, untold, meanwhile, kept, folded, bundles, .. } = self;
        write!(
            f,
            "{alone} made of kept partials alone, {queried} with queries, {ready} kept as they were; \
             {untold} after changes that nobody told, {meanwhile} after changes meanwhile; {kept} \
             partials and bundles found, {folded} made, {bundles} bundles left"
        )
    }
}
