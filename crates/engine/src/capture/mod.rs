//! Captures: what a source tells of its own changes is invalidated, at least once.
//!
//! - `source`: the captures of one source, and who depends on them
//! - `touched`: rows of an outbox become tags
//! - `run`: they are taken, applied, and only then deleted
//! - `shown`: what is told of that

mod run;
mod shown;
mod source;
mod touched;

pub use run::Capturing;
pub use shown::{CaptureRuleShown, CaptureShown};
pub(crate) use source::CapturedSource;
