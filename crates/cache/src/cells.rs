//! The local table of versions: what this node last heard of each.
//!
//! An entry in the local tier holds the cells of its versions and the step each was at. A cell
//! steps whenever its version is known to have changed, and never back: one comparison of two
//! numbers tells whether an entry is still what it was.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use foldhash::fast::SeedableRandomState;
use quick_cache::{Lifecycle, OptionsBuilder, UnitWeighter, sync::Cache as Table};
use samovar_clock::Instant;
use samovar_store::Trust;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    entry::Stamp,
    laws::{Law, Laws},
    limits,
    shared::{Origin, Origins},
    version::{Ids, VersionKey},
};

/// One version, as this node knows it.
#[derive(Debug)]
pub(crate) struct Cell {
    key: VersionKey,
    /// What a stamp knows the version by.
    hash: u64,
    /// Starts at 1, so that 0 never equals it; `DEAD` once it has left the table.
    step: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Ids>,
    /// Whatever was stamped may be cleared by now: the store said that there is no such version,
    /// or somebody cleared it, and which clear id is the last is for the store to say.
    cleared: bool,
    /// The change that the cell stepped for last.
    told: Option<u64>,
    /// The listener to the master that said what is known, if nothing was heard since: as long as
    /// it is trusted, asking again would say the same. And until when that is believed.
    vouched: Option<(Arc<Trust>, Instant)>,
}

impl State {
    fn is_vouched(&self, origin: &Origin, now: Instant, laws: Laws) -> bool {
        self.vouched.as_ref().is_some_and(|(listener, until)| {
            let same = Arc::ptr_eq(listener, &origin.trust);
            now < *until && (same || !laws.hold(Law::NewLinksKnowNothing))
        })
    }
}

/// The step of a cell that no message reaches any more.
const DEAD: u64 = u64::MAX;

impl Cell {
    fn new(key: VersionKey, hash: u64) -> Self {
        Self { key, hash, step: AtomicU64::new(1), state: Mutex::default() }
    }

    pub(crate) fn key(&self) -> &VersionKey {
        &self.key
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    pub(crate) fn step(&self) -> u64 {
        self.step.load(Ordering::Acquire)
    }

    /// Whether a value that was stamped with this clear id may have been cleared since, as far as
    /// is known here. Of a dead cell nothing is known: a clearing may have passed it by.
    pub(crate) fn may_be_cleared(&self, clear: u64) -> bool {
        let state = self.state();
        let other = state.known.is_some_and(|ids| ids.clear != clear);
        other || state.cleared || self.step() == DEAD
    }

    /// The step at which the stamp holds, if the listener to its master vouches for it.
    fn vouches_for(&self, stamp: &Stamp, origin: &Origin, now: Instant, laws: Laws) -> Option<u64> {
        let state = self.state();
        let same = state.known == Some(Ids { change: stamp.change, clear: stamp.clear })
            && stamp.incarnation == origin.incarnation;
        (same && state.is_vouched(origin, now, laws)).then(|| self.step())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self) {
        self.step.fetch_add(1, Ordering::AcqRel);
    }
}

/// The versions a reading depends on, each once, in an order that is the same everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependencies(Arc<[Arc<Cell>]>);

impl Dependencies {
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Cell> {
        self.0.iter().map(|cell| &**cell)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of a version.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let wanted = (xxh3_64(name.as_bytes()), name);
        self.0.binary_search_by(|cell| (cell.hash, cell.key.as_str()).cmp(&wanted)).ok()
    }

    pub(crate) fn keys(&self) -> Arc<[VersionKey]> {
        self.iter().map(|cell| cell.key.clone()).collect()
    }

    /// Whether news reaches all of the cells.
    pub(crate) fn are_alive(&self) -> bool {
        self.iter().all(|cell| cell.step() != DEAD)
    }

    /// Whether these stamps are of these versions.
    pub(crate) fn fit(&self, stamps: &[Stamp]) -> bool {
        let pairs = || stamps.iter().zip(self.iter());
        stamps.len() == self.len() && pairs().all(|(stamp, cell)| stamp.key_hash == cell.hash)
    }
}

/// All cells of a node.
#[derive(Debug)]
pub(crate) struct Cells {
    table: Table<VersionKey, Arc<Cell>, UnitWeighter, SeedableRandomState, KillOnEviction>,
    /// Counts every step of every cell: while it stands still, nothing has to be compared.
    moves: Arc<AtomicU64>,
}

/// A cell that leaves the table must not be believed any longer.
#[derive(Clone, Debug)]
struct KillOnEviction {
    moves: Arc<AtomicU64>,
}

impl Lifecycle<VersionKey, Arc<Cell>> for KillOnEviction {
    type RequestState = ();

    fn on_evict(&self, _: &mut (), _: VersionKey, cell: Arc<Cell>) {
        let mut state = cell.state();
        state.vouched = None;
        cell.step.store(DEAD, Ordering::Release);
        drop(state);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }
}

impl Cells {
    pub(crate) fn new(capacity: usize, hasher: SeedableRandomState) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            .build()
            .expect("both capacities are given");
        let moves = Arc::new(AtomicU64::new(1));
        let lifecycle = KillOnEviction { moves: moves.clone() };
        Self { table: Table::with_options(options, UnitWeighter, hasher, lifecycle), moves }
    }

    #[inline]
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The cells of the versions that `names` tells its listener, some of them perhaps twice.
    pub(crate) fn depend(&self, names: impl FnOnce(&mut dyn FnMut(&str))) -> Dependencies {
        let mut cells: Vec<Arc<Cell>> = Vec::with_capacity(32);
        names(&mut |name| {
            let hash = xxh3_64(name.as_bytes());
            let same = |cell: &Arc<Cell>| cell.hash == hash && cell.key.as_str() == name;
            if !cells.iter().any(same) {
                cells.push(self.cell(name, hash));
            }
        });
        cells.sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then_with(|| a.key.cmp(&b.key)));
        Dependencies(cells.into())
    }

    /// Remembers the steps of these versions, to be called before a question about them is sent:
    /// an answer that something overtook is then recognised.
    pub(crate) fn capture(&self, dependencies: &Dependencies) -> Capture {
        let steps: Arc<[u64]> = dependencies.iter().map(Cell::step).collect();
        if !steps.contains(&DEAD) {
            return Capture { cells: dependencies.clone(), steps };
        }
        // News of a version goes to the cell that is in the table now.
        let living = |cell: &Arc<Cell>| match cell.step() {
            DEAD => self.cell(cell.key.as_str(), cell.hash),
            _ => cell.clone(),
        };
        let cells = Dependencies(dependencies.0.iter().map(living).collect());
        // One that dies right now is at a step that nothing holds at.
        let alive = |cell: &Cell| match cell.step() {
            DEAD => 0,
            step => step,
        };
        let steps = cells.iter().map(alive).collect();
        Capture { cells, steps }
    }

    fn cell(&self, name: &str, hash: u64) -> Arc<Cell> {
        if let Some(cell) = self.table.get(name) {
            return cell;
        }
        let key = VersionKey::from_stored(name);
        let make = || Ok::<_, std::convert::Infallible>(Arc::new(Cell::new(key.clone(), hash)));
        match self.table.get_or_insert_with(&key, make) {
            Ok(cell) => cell,
            Err(never) => match never {},
        }
    }

    /// News of a change that was made: from the bus, or by the reply to whoever made it.
    pub(crate) fn changed(&self, key: &str, change: u64, clear: Option<u64>) {
        self.step(key, Some(change), |state| {
            // News may be told twice and out of order: it says that something changed, not to what.
            state.cleared |= clear.is_some();
            let clear = clear.or(state.known.map(|known| known.clear));
            state.known = clear.map(|clear| Ids { change, clear });
        });
    }

    /// A change that may have been made, now or later, or not at all.
    pub(crate) fn doubt(&self, key: &str, clear: bool) {
        self.step(key, None, |state| state.cleared |= clear);
    }

    fn step(&self, key: &str, told: Option<u64>, news: impl FnOnce(&mut State)) {
        let Some(cell) = self.table.peek(key) else { return };
        let mut state = cell.state();
        // Heard before. That a look has seen it is not enough: older looks may still be on their
        // way.
        if cell.step() == DEAD || (told.is_some() && state.told == told) {
            return;
        }
        state.told = told;
        news(&mut state);
        state.vouched = None;
        cell.advance();
        drop(state);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes in what the store said about the captured versions. Returns for each the step at
    /// which it holds, or 0 where anything was heard since the question was sent: even if it was
    /// the same, something newer may have been heard before it. `origins` vouch for it from when
    /// the question was sent; without them, nobody does.
    pub(crate) fn observe(
        &self,
        capture: &Capture,
        said: &[Option<Ids>],
        origins: Option<(&Origins, Instant)>,
    ) -> Vec<u64> {
        let mut moved = false;
        let steps = capture.iter().zip(said).map(|((cell, since), ids)| {
            let mut state = cell.state();
            if cell.step() != since {
                return 0;
            }
            if state.known != *ids {
                // A version that was known and reads otherwise has changed without our hearing it.
                if state.known.is_some() {
                    cell.advance();
                    moved = true;
                }
                state.known = *ids;
                state.vouched = None;
            }
            state.cleared = ids.is_none();
            if ids.is_none() {
                return 0;
            }
            if let Some((origins, sent_at)) = origins {
                let listener = origins.of(&cell.key).trust.clone();
                state.vouched = Some((listener, sent_at + limits::VOUCHED_FOR));
            }
            cell.step()
        });
        let steps = steps.collect();
        if moved {
            self.moves.fetch_add(1, Ordering::AcqRel);
        }
        steps
    }
}

/// Cells and the steps they were at.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    cells: Dependencies,
    steps: Arc<[u64]>,
}

impl Default for Capture {
    fn default() -> Self {
        Self { cells: Dependencies::default(), steps: Arc::new([]) }
    }
}

impl Capture {
    pub(crate) fn unmoved(&self) -> bool {
        self.iter().all(|(cell, step)| cell.step() == step)
    }

    pub(crate) fn cells(&self) -> &Dependencies {
        &self.cells
    }

    /// Whether the listeners to these masters vouch for all versions: while they are trusted, the
    /// masters need not be asked.
    pub(crate) fn vouched(&self, origins: &Origins, now: Instant, laws: Laws) -> bool {
        self.cells.iter().all(|cell| cell.state().is_vouched(origins.of(&cell.key), now, laws))
    }

    /// The steps at which these stamps hold, if the listeners vouch for all of them.
    pub(crate) fn vouch_for(
        &self,
        stamps: &[Stamp],
        origins: &Origins,
        now: Instant,
        laws: Laws,
    ) -> Option<Vec<u64>> {
        let pairs = self.cells.iter().zip(stamps);
        let step = |(cell, stamp): (&Cell, &Stamp)| {
            cell.vouches_for(stamp, origins.of(&cell.key), now, laws)
        };
        pairs.map(step).collect()
    }

    fn iter(&self) -> impl Iterator<Item = (&Cell, u64)> {
        self.cells.iter().zip(self.steps.iter().copied())
    }
}

#[cfg(test)]
mod tests;
