//! Rollups: rows are folded once into partials of hours, days or months, and partials are merged
//! into whatever a widget shows of a range.
//!
//! In reading order: [`Rollup`] says what is folded, [`plan`] which partitions a range takes,
//! [`Fold`] turns rows into [`Partial`]s, [`Answer`] merges them into the JSON of a widget. Many of
//! them are kept together as [`Bundled`].
//! Merging is associative and commutative to the bit, and so are the bytes of a partial.

mod answer;
mod bundle;
mod distinct;
mod elements;
mod encoding;
mod exact;
mod expression;
mod extreme;
mod float_sum;
mod fold;
mod instant;
mod keys;
mod number;
mod partial;
mod partition;
mod quantiles;
mod scalar;
mod shape;
mod state;
mod sum;
mod top;

pub use answer::Answer;
pub use bundle::{Bundled, decode_bundle, encode_bundle};
pub use encoding::Malformed;
pub use fold::{Fold, Folded};
pub use instant::instant;
pub use partial::Partial;
pub use partition::{Partition, PartitionUnit, Slot, plan};
pub use shape::Rollup;

pub(crate) use answer::short;
pub(crate) use exact::{Exact, SCALE};
pub(crate) use expression::Expression;
pub(crate) use shape::Refusal;
pub(crate) use state::{Kind, Wanted};
