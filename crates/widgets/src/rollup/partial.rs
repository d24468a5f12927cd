//! Partials: for each combination of dimensions the states of the measures. They are merged in any
//! order to the same bytes.

use hashbrown::HashMap;

use super::{
    Rollup,
    encoding::{Malformed, Reader, Writer},
    keys::{Keys, Renumber},
    state::{Kind, State},
};

/// What was folded of one slot, or merged of many.
#[derive(Clone, Debug, Default)]
pub struct Partial {
    pub(super) keys: Keys,
    pub(super) tables: Vec<Groups>,
}

/// The groups of one table by the values of its dimensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    places: HashMap<Box<[u32]>, usize>,
    pub(super) groups: Vec<Group>,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) dimensions: Box<[u32]>,
    pub(super) states: Box<[State]>,
}

/// What of a table goes where.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) table: usize,
    /// Dimensions that are kept, by their places.
    pub(super) dimensions: Vec<usize>,
    /// Measures that are kept, by their places.
    pub(super) measures: Vec<(usize, Kind)>,
}

const FORMAT: u8 = 1;

impl Groups {
    pub(super) fn find(&self, dimensions: &[u32]) -> Option<usize> {
        self.places.get(dimensions).copied()
    }

    pub(super) fn insert(
        &mut self,
        dimensions: &[u32],
        kinds: impl Iterator<Item = Kind>,
    ) -> usize {
        let place = self.groups.len();
        let dimensions: Box<[u32]> = dimensions.into();
        self.places.insert(dimensions.clone(), place);
        self.groups.push(Group { dimensions, states: kinds.map(State::new).collect() });
        place
    }

    fn mark(&self, used: &mut [bool]) {
        for group in &self.groups {
            group.dimensions.iter().for_each(|key| used[*key as usize] = true);
            for state in &group.states {
                if let State::Top(top) = state {
                    top.mark(used);
                }
            }
        }
    }
}

impl Partial {
    /// Of a rollup: nothing.
    pub fn empty(rollup: &Rollup) -> Self {
        Self::with_tables(rollup.tables.len())
    }

    pub(super) fn with_tables(count: usize) -> Self {
        Self { keys: Keys::default(), tables: vec![Groups::default(); count] }
    }

    /// Adds what is in another partial of the same rollup.
    pub fn merge(&mut self, rollup: &Rollup, other: &Self) {
        let views = rollup.tables.iter().enumerate().map(|(index, table)| View {
            table: index,
            dimensions: (0..table.dimensions.len()).collect(),
            measures: table.measures.iter().map(|it| it.kind).enumerate().collect(),
        });
        self.gather(other, &views.collect::<Vec<_>>(), |_, _| true);
    }

    /// Adds to each table what its view shows of the groups that pass, told by the place of the view.
    pub(super) fn gather(
        &mut self,
        other: &Self,
        views: &[View],
        passes: impl Fn(usize, &Group) -> bool,
    ) {
        let mut renumber = Renumber::new(&other.keys);
        let mut dimensions = Vec::new();
        for ((index, view), table) in views.iter().enumerate().zip(&mut self.tables) {
            for group in other.tables[view.table].groups.iter().filter(|it| passes(index, it)) {
                dimensions.clear();
                let kept = view.dimensions.iter().map(|at| group.dimensions[*at]);
                dimensions.extend(kept.map(|key| renumber.id(key, &mut self.keys)));
                let place = table.find(&dimensions).unwrap_or_else(|| {
                    table.insert(&dimensions, view.measures.iter().map(|(_, kind)| *kind))
                });
                let states = table.groups[place].states.iter_mut();
                for (state, (measure, kind)) in states.zip(&view.measures) {
                    let theirs = &group.states[*measure];
                    state.merge(*kind, theirs, &mut renumber, &mut self.keys);
                }
            }
        }
    }

    /// The same bytes for the same content, however it came together.
    pub fn encode(&self, rollup: &Rollup) -> Vec<u8> {
        let mut to = Writer::default();
        to.byte(FORMAT);
        to.bytes(&rollup.fingerprint().to_le_bytes());
        let mut used = vec![false; self.keys.count()];
        self.tables.iter().for_each(|table| table.mark(&mut used));
        let places = self.keys.write(&used, &mut to);
        for table in &self.tables {
            let placed = |group: &Group| -> Vec<u32> {
                group.dimensions.iter().map(|key| places[*key as usize]).collect()
            };
            let mut ordered: Vec<_> = table.groups.iter().map(|it| (placed(it), it)).collect();
            ordered.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            to.count(ordered.len());
            for (dimensions, group) in ordered {
                dimensions.iter().for_each(|place| to.unsigned((*place).into()));
                group.states.iter().for_each(|state| state.write(&places, &mut to));
            }
        }
        to.into_bytes()
    }

    /// # Errors
    /// When the bytes are no partial, or one of another rollup or format: compute it anew.
    pub fn decode(rollup: &Rollup, bytes: &[u8]) -> Result<Self, Malformed> {
        let from = &mut Reader::new(bytes);
        if from.byte()? != FORMAT || from.array()? != rollup.fingerprint().to_le_bytes() {
            return Err(Malformed);
        }
        let mut partial = Self::empty(rollup);
        partial.keys = Keys::read(from)?;
        let keys = &partial.keys;
        for (shape, table) in rollup.tables.iter().zip(&mut partial.tables) {
            // A table without measures has no groups, so that each group takes some bytes.
            for _ in 0..from.count()? {
                let key = |_| from.index(keys.count()).map(|key| key as u32);
                let dimensions = (0..shape.dimensions.len()).map(key);
                let dimensions = dimensions.collect::<Result<Box<[u32]>, _>>()?;
                let states = shape.measures.iter().map(|it| State::read(it.kind, from, keys));
                let states = states.collect::<Result<Box<[State]>, _>>()?;
                let place = table.groups.len();
                if table.places.insert(dimensions.clone(), place).is_some() {
                    return Err(Malformed);
                }
                table.groups.push(Group { dimensions, states });
            }
        }
        if from.is_empty() { Ok(partial) } else { Err(Malformed) }
    }

    /// Lets go what tops need not keep.
    pub(super) fn seal(&mut self, rollup: &Rollup) {
        for (table, shape) in self.tables.iter_mut().zip(&rollup.tables) {
            for group in &mut table.groups {
                for (state, measure) in group.states.iter_mut().zip(&shape.measures) {
                    if let (State::Top(top), Kind::Top { keep }) = (state, measure.kind) {
                        top.keep(keep, &self.keys);
                    }
                }
            }
        }
    }

    /// About so many bytes of memory.
    pub fn weight(&self) -> usize {
        let groups = self.tables.iter().flat_map(|table| &table.groups);
        let states = |group: &Group| {
            let beside: usize = group.states.iter().map(State::weight).sum();
            beside + size_of_val(&*group.states) + 64
        };
        self.keys.weight() + groups.map(states).sum::<usize>()
    }
}
