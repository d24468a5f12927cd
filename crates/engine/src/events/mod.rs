//! Events: what happened in an application, turned by rules into tags that are invalidated and
//! readings that are warmed.
//!
//! - `rule`: an event that is declared, and the tags that data makes of it
//! - `covers`: whether an event tells of every change of what a rollup folds
//! - `raise`: events are checked, all of them, and then applied
//! - `jobs`: what follows later

mod covers;
mod jobs;
mod raise;
mod rule;

pub(crate) use covers::covers;
pub(crate) use jobs::{Settle, SettleError};
pub(crate) use raise::MOST_EVENTS;
pub use raise::{Event, EventFailure, Invalidated, Raised, Settling, WarmingBegun};
pub use rule::{EventFault, EventShown};
pub(crate) use rule::{EventRule, check, check_capture};
