//! Time, chance and tasks: everything a program does that is not a function of its input.
//!
//! Only this crate reads the system's clocks and its source of randomness, and only it knows the
//! runtime that runs background work. Everybody else is handed a [`Clock`], a [`Random`] and a
//! [`Spawner`], so that a simulation can own all three.

mod chance;
mod manual;
mod spawn;
mod time;

pub use chance::Random;
pub use manual::ManualClock;
pub use spawn::Spawner;
pub use time::{Clock, Instant, Sleep, TimedOut, WallTime};
