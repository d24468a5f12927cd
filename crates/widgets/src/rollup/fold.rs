//! Rows become partials: one pass, whatever the number of slots, measures and dimensions.
//!
//! Memory does not grow with the rows. Few partials are open at a time; the others wait as bytes,
//! and one is opened again when a late row belongs to it.

use std::sync::Arc;

use super::{
    Partial, Rollup, Slot,
    elements::{Fault, elements},
    instant::microseconds,
    keys::{KeyRef, Keys},
    number::Number,
    partial::Groups,
    scalar::Scalar,
    shape::{Operand, Place, Table},
    state::{Kind, State},
};
use crate::{Row, Rows, SourceError, TimeForm, Value, limits};

/// Folds the rows of a rollup's query, in any order, into one partial for each slot. Rows outside of
/// all slots are passed over.
pub struct Fold {
    rollup: Arc<Rollup>,
    times: TimeForm,
    slots: Vec<Slot>,
    /// Of each slot, from and to, in microseconds.
    bounds: Vec<(i64, i64)>,
    held: Vec<Held>,
    /// The slot of the row before: most rows follow their like.
    current: usize,
    /// Of the rollup's columns, their places in the rows.
    columns: Vec<usize>,
    open: usize,
    most_open: usize,
    rows: u64,
    scratch: Scratch,
}

/// The encoded partial of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    pub slot: Slot,
    pub bytes: Vec<u8>,
}

enum Held {
    Nothing,
    Open { partial: Box<Partial>, used: u64 },
    Closed(Vec<u8>),
}

/// Room that is used again for each row.
#[derive(Default)]
struct Scratch {
    dimensions: Vec<u32>,
    numbers: Vec<Option<Number>>,
}

/// Rows that come in the order of time need one; there are more when they turn out not to.
const LEAST_OPEN: usize = 2;
/// Keys that nothing refers to any more are let go when there are so many in all.
const MANY_KEYS: usize = 1 << 16;

impl Fold {
    /// `slots` are in the order of time and do not overlap, as [`super::plan`] gives them.
    pub fn new(rollup: Arc<Rollup>, slots: Vec<Slot>, times: TimeForm) -> Self {
        let bounds = |it: &Slot| (ceiled(it.from()), ceiled(it.to()));
        Self {
            bounds: slots.iter().map(bounds).collect(),
            held: slots.iter().map(|_| Held::Nothing).collect(),
            rollup,
            times,
            slots,
            current: 0,
            columns: Vec::new(),
            open: 0,
            most_open: LEAST_OPEN,
            rows: 0,
            scratch: Scratch::default(),
        }
    }

    /// How many rows went through it.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Of every slot its partial, also where no row belonged to it.
    pub fn finish(mut self) -> Vec<Folded> {
        let rollup = &self.rollup;
        let slots = std::mem::take(&mut self.slots).into_iter();
        let folded = slots.zip(self.held).map(|(slot, held)| {
            let bytes = match held {
                Held::Nothing => Partial::empty(rollup).encode(rollup),
                Held::Open { partial, .. } => close(*partial, rollup),
                Held::Closed(bytes) => bytes,
            };
            Folded { slot, bytes }
        });
        folded.collect()
    }

    fn slot_of(&mut self, at: i64) -> Option<usize> {
        let is_in = |(from, to): (i64, i64)| from <= at && at < to;
        if !self.bounds.get(self.current).copied().is_some_and(is_in) {
            let next = self.bounds.partition_point(|(from, _)| *from <= at);
            self.current = next.checked_sub(1)?;
        }
        is_in(self.bounds[self.current]).then_some(self.current)
    }

    fn ensure_open(&mut self, slot: usize) -> Result<(), SourceError> {
        if matches!(self.held[slot], Held::Open { .. }) {
            return Ok(());
        }
        if self.open >= self.most_open {
            self.close_least_used();
        }
        let held = std::mem::replace(&mut self.held[slot], Held::Nothing);
        let partial = match held {
            Held::Closed(bytes) => {
                self.most_open += 1;
                let read = Partial::decode(&self.rollup, &bytes);
                read.map_err(|error| SourceError::query(error.to_string()))?
            }
            Held::Open { .. } | Held::Nothing => Partial::empty(&self.rollup),
        };
        self.open += 1;
        self.held[slot] = Held::Open { partial: Box::new(partial), used: self.rows };
        Ok(())
    }

    fn close_least_used(&mut self) {
        let used = |held: &Held| match held {
            Held::Open { used, .. } => Some(*used),
            Held::Nothing | Held::Closed(_) => None,
        };
        let open = self.held.iter_mut().filter_map(|held| Some((used(held)?, held)));
        let Some((_, held)) = open.min_by_key(|(used, _)| *used) else { return };
        if let Held::Open { partial, .. } = std::mem::replace(held, Held::Nothing) {
            *held = Held::Closed(close(*partial, &self.rollup));
            self.open -= 1;
        }
    }
}

fn close(mut partial: Partial, rollup: &Rollup) -> Vec<u8> {
    partial.seal(rollup);
    partial.encode(rollup)
}

/// Rows have microseconds: the first of them that is not before.
fn ceiled(at: jiff::Timestamp) -> i64 {
    let floored = at.as_microsecond();
    floored + i64::from(i128::from(floored) * 1000 < at.as_nanosecond())
}

impl Rows for Fold {
    fn columns(&mut self, names: &[String]) -> Result<(), SourceError> {
        let place = |column: &String| {
            let place = names.iter().position(|name| name == column);
            place.ok_or_else(|| SourceError::NoColumn { column: column.clone() })
        };
        self.columns = self.rollup.columns().iter().map(place).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        self.rows += 1;
        let value = row.get(self.columns[0])?;
        let Some(at) = microseconds(&value, self.times) else {
            if value == Value::Null {
                return Ok(());
            }
            return Err(mistyped(
                self.rollup.columns[0].clone(),
                "no time in a form that is known",
            ));
        };
        let Some(slot) = self.slot_of(at) else { return Ok(()) };
        self.ensure_open(slot)?;
        let Held::Open { partial, used } = &mut self.held[slot] else { return Ok(()) };
        *used = self.rows;
        let columns = Columns { row, places: &self.columns, names: &self.rollup.columns };
        fold(&self.rollup, partial, columns, &mut self.scratch)?;
        if partial.keys.count() > MANY_KEYS && partial.keys.count() > 2 * partial.keys.kept() {
            let bytes = partial.encode(&self.rollup);
            let compact = Partial::decode(&self.rollup, &bytes);
            **partial = compact.map_err(|error| SourceError::query(error.to_string()))?;
            partial.keys.keep_count();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Fold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (slots, rows, open) = (self.slots.len(), self.rows, self.open);
        write!(f, "Fold {{ {slots} slots, {open} open, {rows} rows }}")
    }
}

#[derive(Clone, Copy)]
struct Columns<'r> {
    row: &'r Row<'r>,
    places: &'r [usize],
    names: &'r [String],
}

impl<'r> Columns<'r> {
    fn scalar(&self, column: usize) -> Result<Scalar<'r>, SourceError> {
        let value = self.row.get(self.places[column])?;
        Scalar::of_value(value).map_err(|found| mistyped(self.names[column].clone(), found))
    }
}

fn mistyped(column: String, found: &str) -> SourceError {
    SourceError::Type { column, found: found.to_owned() }
}

/// Why an element cannot be folded.
enum Stop {
    Fault(Fault),
    Error(SourceError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

fn fold(
    rollup: &Rollup,
    partial: &mut Partial,
    columns: Columns<'_>,
    scratch: &mut Scratch,
) -> Result<(), SourceError> {
    let Partial { keys, tables } = partial;
    let (rows, lists) = rollup.tables.split_first().expect("the table of rows is there");
    scratch.dimensions.clear();
    let scalar = |place| match place {
        Place::Column(column) => columns.scalar(column),
        Place::Field(_) => Ok(Scalar::Null),
    };
    for dimension in &rows.dimensions {
        let key = intern(&scalar(dimension.place)?, keys, &dimension.name)?;
        scratch.dimensions.push(key);
    }
    if !rows.measures.is_empty() {
        let group = group(&mut tables[0], rows, &scratch.dimensions, keys)?;
        let states = &mut tables[0].groups[group].states;
        measure(rollup, 0, states, keys, &mut scratch.numbers, &scalar)?;
    }
    for (index, (list, table)) in rollup.lists.iter().zip(lists).enumerate() {
        if table.measures.is_empty() {
            continue;
        }
        let value = columns.row.get(columns.places[list.column])?;
        let text = match &value {
            Value::Null => continue,
            Value::Text(text) | Value::Json(text) => text,
            _ => {
                let column = rollup.columns[list.column].clone();
                return Err(mistyped(column, "something else than a JSON list"));
            }
        };
        let groups = &mut tables[index + 1];
        let of_rows = rows.dimensions.len();
        let mut known = None;
        let each = |values: &[Scalar<'_>]| -> Result<(), Stop> {
            let scalar = |place| match place {
                Place::Column(column) => columns.scalar(column),
                Place::Field(field) => Ok(values[field].borrowed()),
            };
            let mut element = || {
                let place = match known {
                    Some(place) => place,
                    None => {
                        scratch.dimensions.truncate(of_rows);
                        for dimension in &table.dimensions[of_rows..] {
                            let key = intern(&scalar(dimension.place)?, keys, &dimension.name)?;
                            scratch.dimensions.push(key);
                        }
                        group(groups, table, &scratch.dimensions, keys)?
                    }
                };
                // Without a dimension of its own each element is of the same group.
                known = (table.dimensions.len() == of_rows).then_some(place);
                let states = &mut groups.groups[place].states;
                measure(rollup, index + 1, states, keys, &mut scratch.numbers, &scalar)
            };
            element().map_err(Stop::Error)
        };
        elements(text, &list.fields, each).map_err(|stop| match stop {
            Stop::Fault(found) => mistyped(rollup.columns[list.column].clone(), found),
            Stop::Error(error) => error,
        })?;
        scratch.dimensions.truncate(of_rows);
    }
    Ok(())
}

fn group(
    groups: &mut Groups,
    table: &Table,
    dimensions: &[u32],
    keys: &Keys,
) -> Result<usize, SourceError> {
    if let Some(place) = groups.find(dimensions) {
        return Ok(place);
    }
    if groups.groups.len() >= limits::GROUPS_PER_PARTIAL {
        return Err(too_many(groups, table, keys));
    }
    Ok(groups.insert(dimensions, table.measures.iter().map(|it| it.kind)))
}

/// Blames the dimension that has the most values.
fn too_many(groups: &Groups, table: &Table, keys: &Keys) -> SourceError {
    let values = |at: usize| {
        let mut seen = vec![false; keys.count()];
        groups.groups.iter().for_each(|it| seen[it.dimensions[at] as usize] = true);
        seen.into_iter().filter(|it| *it).count()
    };
    let worst = (0..table.dimensions.len()).max_by_key(|at| values(*at));
    let dimension = worst.map(|at| table.dimensions[at].name.clone()).unwrap_or_default();
    SourceError::TooManyGroups { dimension, limit: limits::GROUPS_PER_PARTIAL }
}

fn intern(scalar: &Scalar<'_>, keys: &mut Keys, name: &str) -> Result<u32, SourceError> {
    let take = |key: KeyRef<'_>| (key.bytes.len() <= limits::KEY_BYTES).then(|| keys.intern(key));
    let key = scalar.with_key(take).map_err(|found| mistyped(name.to_owned(), found))?;
    key.ok_or_else(|| mistyped(name.to_owned(), "a text that is too long to group by"))
}

fn measure<'v>(
    rollup: &Rollup,
    table: usize,
    states: &mut [State],
    keys: &mut Keys,
    numbers: &mut Vec<Option<Number>>,
    scalar: &impl Fn(Place) -> Result<Scalar<'v>, SourceError>,
) -> Result<(), SourceError> {
    let shape = &rollup.tables[table];
    let of = |place, found| mistyped(rollup.name_of(table, place), found);
    numbers.clear();
    for expression in &shape.expressions {
        numbers.push(
            expression
                .value(&mut |place| scalar(*place)?.number().map_err(|found| of(*place, found)))?,
        );
    }
    for (measure, state) in shape.measures.iter().zip(states) {
        match (measure.of, state) {
            (Operand::Value(place), State::Top(top)) => {
                let Kind::Top { keep } = measure.kind else { continue };
                let (Some(weight), key) = (numbers[measure.by], scalar(place)?) else { continue };
                if !matches!(key, Scalar::Null) {
                    let key = intern(&key, keys, &rollup.name_of(table, place))?;
                    top.add(key, weight, keep, keys);
                }
            }
            (Operand::Value(place), state) => {
                let added = state.add_value(measure.kind, &scalar(place)?);
                added.map_err(|found| of(place, found))?;
            }
            (Operand::Number(expression), state) => {
                if let Some(number) = numbers[expression] {
                    state.add_number(measure.kind, number);
                }
            }
            (Operand::Each, State::Count(count)) => *count += 1,
            (Operand::Each, _) => {}
        }
    }
    Ok(())
}
