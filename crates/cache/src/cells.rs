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

use crate::version::{Ids, VersionKey};

#[derive(Debug)]
pub(crate) struct Cell {
    /// Starts at 1, so that 0 never equals it.
    step: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: Option<Ids>,
    /// The store said that there is no such version, which counts as cleared.
    missing: bool,
    /// Dropped from the table: no message reaches it any more.
    dead: bool,
}

impl Cell {
    fn new() -> Self {
        let state = State { known: None, missing: false, dead: false };
        Self { step: AtomicU64::new(1), state: Mutex::new(state) }
    }

    #[inline]
    pub(crate) fn step(&self) -> u64 {
        self.step.load(Ordering::Acquire)
    }

    /// Whether a value that was stamped with this clear id may have been cleared since, as far as
    /// is known here. Of a dead cell nothing is known: a clearing may have passed it by.
    pub(crate) fn may_be_cleared(&self, clear: u64) -> bool {
        let state = self.state();
        state.dead || state.missing || state.known.is_some_and(|ids| ids.clear != clear)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self) {
        self.step.fetch_add(1, Ordering::AcqRel);
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
        cell.state().dead = true;
        cell.advance();
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

    /// Remembers the steps of these versions, to be called before a question about them is sent:
    /// an answer that something overtook is then recognised.
    pub(crate) fn capture(&self, keys: &[VersionKey]) -> Capture {
        Capture(keys.iter().map(|key| self.cell(key)).map(|cell| (cell.step(), cell)).collect())
    }

    fn cell(&self, key: &VersionKey) -> Arc<Cell> {
        let make = || Ok::<_, std::convert::Infallible>(Arc::new(Cell::new()));
        match self.table.get_or_insert_with(key, make) {
            Ok(cell) => cell,
            Err(never) => match never {},
        }
    }

    /// News from the bus, or of this node's own doing.
    pub(crate) fn changed(&self, key: &str, change: u64, clear: Option<u64>) {
        let Some(cell) = self.table.peek(key) else { return };
        let mut state = cell.state();
        if state.known.is_some_and(|known| known.change == change) {
            return; // heard before: from the bus and from the reply
        }
        state.missing &= clear.is_none();
        let clear = clear.or(state.known.map(|known| known.clear));
        state.known = clear.map(|clear| Ids { change, clear });
        cell.advance();
        drop(state);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes in what the store said about the captured versions. Returns for each the step at
    /// which it holds, or 0 where something newer was heard since the question was sent.
    pub(crate) fn observe(&self, capture: &Capture, said: &[Option<Ids>]) -> Vec<u64> {
        let mut moved = false;
        let steps = capture.0.iter().zip(said).map(|((since, cell), ids)| {
            let mut state = cell.state();
            if state.dead {
                return 0;
            }
            if ids.is_some() && state.known == *ids {
                return cell.step();
            }
            if cell.step() != *since {
                return 0;
            }
            // A version that was known and reads otherwise has changed without our hearing it.
            if state.known.is_some() {
                cell.advance();
                moved = true;
            }
            state.known = *ids;
            state.missing = ids.is_none();
            if ids.is_some() { cell.step() } else { 0 }
        });
        let steps = steps.collect();
        if moved {
            self.moves.fetch_add(1, Ordering::AcqRel);
        }
        steps
    }
}

/// Cells and the steps they were at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capture(Vec<(u64, Arc<Cell>)>);

impl Capture {
    pub(crate) fn unmoved(&self) -> bool {
        self.0.iter().all(|(step, cell)| cell.step() == *step)
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = &Arc<Cell>> {
        self.0.iter().map(|(_, cell)| cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Ids = Ids { change: 1, clear: 9 };
    const NEW: Ids = Ids { change: 2, clear: 9 };

    fn cells(capacity: usize) -> Cells {
        Cells::new(capacity, crate::local::hasher(1))
    }

    fn key(name: &str) -> [VersionKey; 1] {
        [VersionKey::from_stored(name)]
    }

    #[test]
    fn a_reply_that_was_overtaken_by_news_is_not_believed() {
        let cells = cells(100);
        let capture = cells.capture(&key("k"));
        cells.changed("k", NEW.change, Some(NEW.clear));
        assert_eq!(cells.observe(&capture, &[Some(OLD)]), [0]);
        assert!(!capture.unmoved());
        assert_ne!(cells.observe(&capture, &[Some(NEW)]), [0], "the same news by reply");
    }

    #[test]
    fn a_change_that_was_only_seen_by_asking_steps_the_cell_too() {
        let cells = cells(100);
        let first = cells.capture(&key("k"));
        let step = cells.observe(&first, &[Some(OLD)])[0];
        let second = cells.capture(&key("k"));
        let moves = cells.moves();
        assert_ne!(cells.observe(&second, &[Some(NEW)])[0], step);
        assert_ne!(cells.moves(), moves);
        assert_eq!(cells.observe(&first, &[Some(OLD)]), [0], "the older reply comes late");
    }

    #[test]
    fn what_is_missing_in_the_store_holds_nothing() {
        let cells = cells(100);
        let capture = cells.capture(&key("k"));
        assert_eq!(cells.observe(&capture, &[None]), [0]);
    }

    #[test]
    fn a_cell_that_left_the_table_holds_nothing() {
        let cells = cells(4);
        let capture = cells.capture(&key("k"));
        let step = cells.observe(&capture, &[Some(OLD)])[0];
        let cell = capture.cells().next().expect("one cell").clone();
        assert_eq!(cell.step(), step);
        for other in 0..1000 {
            // Twice, or a table that resists scans would rather keep the first.
            cells.capture(&key(&format!("other-{other}")));
            cells.capture(&key(&format!("other-{other}")));
        }
        assert_ne!(cell.step(), step);
        assert_eq!(cells.observe(&capture, &[Some(OLD)]), [0]);
    }

    #[test]
    fn the_same_news_twice_is_one_step() {
        let cells = cells(100);
        let capture = cells.capture(&key("k"));
        cells.observe(&capture, &[Some(OLD)]);
        cells.changed("k", NEW.change, None);
        let moves = cells.moves();
        cells.changed("k", NEW.change, None);
        assert_eq!(cells.moves(), moves);
    }
}
