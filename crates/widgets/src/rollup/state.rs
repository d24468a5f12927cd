//! What is known of one measure: it takes values, it is merged, and it says what it found.

use std::{cmp::Ordering, io::Write};

use super::{
    distinct::Distinct,
    encoding::{Malformed, Reader, Writer},
    extreme::Extreme,
    keys::{Keys, Renumber},
    number::Number,
    quantiles::Quantiles,
    scalar::Scalar,
    sum::Sum,
    top::Top,
};
use crate::Value;

/// What a definition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Count,
    Sum,
    Min,
    Max,
    Average,
    Distinct,
    Quantiles,
    Top { keep: usize },
}

/// What kind of state a measure has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Count,
    Sum,
    Average,
    /// The one that compares so to all others.
    Extreme(Ordering),
    Distinct,
    Quantiles,
    Top {
        keep: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum State {
    Count(u64),
    /// Of sums and of averages.
    Sum(Sum),
    Extreme(Extreme),
    Distinct(Distinct),
    Quantiles(Quantiles),
    Top(Top),
}

impl Wanted {
    /// Whether it is of values as they are, and not only of numbers.
    pub(crate) fn takes_values(self) -> bool {
        match self {
            Wanted::Count | Wanted::Min | Wanted::Max | Wanted::Distinct | Wanted::Top { .. } => {
                true
            }
            Wanted::Sum | Wanted::Average | Wanted::Quantiles => false,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Wanted::Count => Kind::Count,
            Wanted::Sum => Kind::Sum,
            Wanted::Min => Kind::Extreme(Ordering::Less),
            Wanted::Max => Kind::Extreme(Ordering::Greater),
            Wanted::Average => Kind::Average,
            Wanted::Distinct => Kind::Distinct,
            Wanted::Quantiles => Kind::Quantiles,
            Wanted::Top { keep } => Kind::Top { keep },
        }
    }
}

impl Kind {
    /// Part of what tells partials apart: never to be changed.
    pub(crate) fn word(self) -> String {
        match self {
            Kind::Count => "count".to_owned(),
            Kind::Sum => "sum".to_owned(),
            Kind::Average => "average".to_owned(),
            Kind::Extreme(Ordering::Less) => "min".to_owned(),
            Kind::Extreme(_) => "max".to_owned(),
            Kind::Distinct => "distinct".to_owned(),
            Kind::Quantiles => "quantiles".to_owned(),
            Kind::Top { keep } => format!("top {keep}"),
        }
    }
}

impl State {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Count => State::Count(0),
            Kind::Sum | Kind::Average => State::Sum(Sum::default()),
            Kind::Extreme(_) => State::Extreme(Extreme::default()),
            Kind::Distinct => State::Distinct(Distinct::default()),
            Kind::Quantiles => State::Quantiles(Quantiles::default()),
            Kind::Top { .. } => State::Top(Top::default()),
        }
    }

    /// # Errors
    /// What the value is that cannot be measured.
    pub(crate) fn add_value(&mut self, kind: Kind, value: &Scalar<'_>) -> Result<(), &'static str> {
        match (self, kind) {
            (State::Count(count), _) => *count += u64::from(!matches!(value, Scalar::Null)),
            (State::Distinct(distinct), _) => distinct.add(value),
            (State::Extreme(extreme), Kind::Extreme(wanted)) => extreme.add(value, wanted)?,
            (state, kind) => {
                if let Some(number) = value.number()? {
                    state.add_number(kind, number);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn add_number(&mut self, kind: Kind, number: Number) {
        match (self, kind) {
            (State::Count(count), _) => *count += 1,
            (State::Sum(sum), _) => sum.add(number),
            (State::Quantiles(quantiles), _) => quantiles.add(number.to_f64()),
            (State::Distinct(distinct), _) => distinct.add(&Scalar::Number(number)),
            (State::Extreme(extreme), Kind::Extreme(wanted)) => {
                // A number has an order.
                let _ = extreme.add(&Scalar::Number(number), wanted);
            }
            (State::Extreme(_) | State::Top(_), _) => {}
        }
    }

    pub(crate) fn merge(
        &mut self,
        kind: Kind,
        other: &Self,
        renumber: &mut Renumber<'_>,
        keys: &mut Keys,
    ) {
        match (self, other) {
            (State::Count(mine), State::Count(theirs)) => *mine = mine.saturating_add(*theirs),
            (State::Sum(mine), State::Sum(theirs)) => mine.merge(theirs),
            (State::Distinct(mine), State::Distinct(theirs)) => mine.merge(theirs),
            (State::Quantiles(mine), State::Quantiles(theirs)) => mine.merge(theirs),
            (State::Top(mine), State::Top(theirs)) => mine.merge(theirs, renumber, keys),
            (State::Extreme(mine), State::Extreme(theirs)) => {
                if let Kind::Extreme(wanted) = kind {
                    mine.merge(theirs, wanted);
                }
            }
            _ => {}
        }
    }

    /// As JSON. `points` are the shares that quantiles are wanted of.
    pub(crate) fn write_json(&self, kind: Kind, points: &[f64], json: &mut Vec<u8>) {
        match (self, kind) {
            (State::Count(count), _) => Value::Unsigned(*count).write_json(json),
            (State::Sum(sum), Kind::Average) => sum.average().write_json(json),
            (State::Sum(sum), _) => sum.value().write_json(json),
            (State::Extreme(extreme), _) => extreme.value().write_json(json),
            (State::Distinct(distinct), _) => Value::Unsigned(distinct.estimate()).write_json(json),
            (State::Quantiles(quantiles), _) => {
                json.push(b'{');
                for (index, point) in points.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(json, "{comma}\"{point}\":").expect("memory takes everything");
                    quantiles.at(*point).map_or(Value::Null, Value::Float).write_json(json);
                }
                json.push(b'}');
            }
            // Widgets show it row by row.
            (State::Top(_), _) => json.extend(b"null"),
        }
    }

    /// By what rows are ordered.
    #[expect(clippy::cast_precision_loss, reason = "an order, not a result")]
    pub(crate) fn rank(&self, kind: Kind) -> f64 {
        match self {
            State::Count(count) => *count as f64,
            State::Sum(sum) if sum.count() == 0 => f64::NEG_INFINITY,
            State::Sum(sum) if kind == Kind::Average => sum.to_f64() / sum.count() as f64,
            State::Sum(sum) => sum.to_f64(),
            State::Distinct(distinct) => distinct.estimate() as f64,
            State::Quantiles(quantiles) => quantiles.at(0.5).unwrap_or(f64::NEG_INFINITY),
            State::Extreme(extreme) => match extreme {
                Extreme::Number(number) => number.to_f64(),
                Extreme::Nothing | Extreme::Text(_) => f64::NEG_INFINITY,
            },
            State::Top(_) => f64::NEG_INFINITY,
        }
    }

    pub(crate) fn write(&self, places: &[u32], to: &mut Writer) {
        match self {
            State::Count(count) => to.unsigned((*count).into()),
            State::Sum(sum) => sum.write(to),
            State::Extreme(extreme) => extreme.write(to),
            State::Distinct(distinct) => distinct.write(to),
            State::Quantiles(quantiles) => quantiles.write(to),
            State::Top(top) => top.write(places, to),
        }
    }

    pub(crate) fn read(kind: Kind, from: &mut Reader<'_>, keys: &Keys) -> Result<Self, Malformed> {
        Ok(match kind {
            Kind::Count => State::Count(from.u64()?),
            Kind::Sum | Kind::Average => State::Sum(Sum::read(from)?),
            Kind::Extreme(_) => State::Extreme(Extreme::read(from)?),
            Kind::Distinct => State::Distinct(Distinct::read(from)?),
            Kind::Quantiles => State::Quantiles(Quantiles::read(from)?),
            Kind::Top { .. } => State::Top(Top::read(from, keys)?),
        })
    }

    /// About so many bytes beside itself.
    pub(crate) fn weight(&self) -> usize {
        match self {
            State::Count(_) | State::Sum(_) | State::Extreme(_) => 0,
            State::Distinct(distinct) => distinct.weight(),
            State::Quantiles(quantiles) => quantiles.weight(),
            State::Top(top) => top.weight(),
        }
    }
}
