//! What was not exported, told at most now and then.

use std::fmt::Display;

use samovar_clock::{Clock, Instant};

use crate::limits::TELL_AGAIN;

#[derive(Debug)]
pub(crate) struct Loss {
    /// `spans` or `metrics`.
    what: &'static str,
    clock: Clock,
    /// Since it was told, the last of it for this reason.
    lost: u64,
    why: String,
    told_at: Option<Instant>,
    is_failing: bool,
}

impl Loss {
    pub(crate) fn of(what: &'static str, clock: Clock) -> Self {
        Self { what, clock, lost: 0, why: String::new(), told_at: None, is_failing: false }
    }

    pub(crate) fn add(&mut self, count: u64, why: impl Display) {
        self.is_failing = true;
        self.lost += count;
        self.why = why.to_string();
        let now = self.clock.now();
        if self.told_at.is_none_or(|at| now.since(at) >= TELL_AGAIN) {
            self.told_at = Some(now);
            self.tell();
        }
    }

    /// What was tried has arrived.
    pub(crate) fn arrived(&mut self) {
        if self.is_failing {
            self.is_failing = false;
            tracing::info!(lost = self.lost, "{} are exported again", self.what);
            self.lost = 0;
        }
    }

    /// Nothing more is tried.
    pub(crate) fn end(&mut self) {
        if self.lost > 0 {
            self.tell();
        }
    }

    fn tell(&mut self) {
        tracing::warn!(lost = self.lost, error = self.why, "{} are not exported", self.what);
        self.lost = 0;
    }
}
