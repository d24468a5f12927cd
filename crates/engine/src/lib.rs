//! The product between its surfaces and its libraries: readings are bound, read and invalidated.
//!
//! Definitions become a [`Catalogue`], where everything that can be wrong with them has been
//! found. An [`Engine`] serves a catalogue out of a cache.

mod catalogue;
mod change;
mod classes;
mod engine;
mod keys;
mod read;
mod statistics;
mod tags;

pub use catalogue::{Catalogue, Member};
pub use change::{Change, ChangeFailure};
pub use engine::{Engine, StartError, WidgetShown};
pub use read::ReadFailure;
pub use samovar_cache::{Answer, ChangeError, Coding, ReadError, StaleBecause, State, Tier};
pub use samovar_widgets::parse_duration;
pub use statistics::{Statistics, WidgetStatistics};
