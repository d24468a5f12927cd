//! Alerts: what somebody should know of, told once when it begins and once when it is over.
//!
//! - `kind`: which alerts there are, and from when on each holds
//! - `settings`: what a file changes about them, and who hears of them
//! - `phase`: fine, pending, firing; pure
//! - `window`: the last while of the counters of this process
//! - `measure`: one number for each alert, out of what was seen; pure
//! - `board`: how each of them stands
//! - `run`: looks, every few seconds
//! - `told`: which of several processes tells of what they all see
//! - `webhook`: signed posts

mod board;
mod kind;
mod measure;
mod phase;
mod run;
mod settings;
mod told;
mod webhook;
mod window;

pub(crate) use board::Board;
pub use board::{AlertShown, AlertsShown};
pub use kind::{AlertKind, Side, Unit};
pub use run::{Alerting, Firing};
pub use settings::{AlertRule, AlertSettings, Webhook};
pub use webhook::{SIGNATURE, SIGNED_AT, WebhookShown};
