//! How captures fare.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use samovar_clock::Instant;
use samovar_widgets::{Installed, Standing};
use serde::Serialize;

use super::source::CapturedSource;
use crate::engine::Engine;

/// The captures of a source, as this process sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaptureShown {
    pub source: String,
    pub captures: Vec<CaptureRuleShown>,
    /// Whether this process reads the outbox at all.
    pub running: bool,
    pub connected: bool,
    /// Whether it applies what comes; otherwise another process does, and this one watches.
    pub leads: bool,
    /// Rows of the outbox that were applied since the process began.
    pub rows: u64,
    /// Since the last of them.
    pub last_applied_ms: Option<u64>,
    /// How old the oldest row was that was taken last.
    pub oldest_ms: Option<u64>,
    /// So often there were too many rows to look at one by one, and all that they may have changed was
    /// invalidated.
    pub collapsed: u64,
    /// Rows that said too little for the tags of their capture.
    pub broader: u64,
    /// Rows of tenants that nobody knows.
    pub of_unknown_tenants: u64,
    /// Triggers that are not as they should be: what changes there is not seen.
    pub not_installed: Vec<String>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaptureRuleShown {
    pub name: String,
    pub table: String,
    pub tenant: Option<String>,
    /// Tags, with what is filled in from columns.
    pub tags: Vec<String>,
    pub settle_ms: Option<u64>,
}

/// Shared by what runs and what is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Figures>>);

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) running: bool,
    pub(super) connected: bool,
    pub(super) leads: bool,
    pub(super) rows: u64,
    pub(super) applied_at: Option<Instant>,
    pub(super) oldest_ms: Option<u64>,
    pub(super) collapsed: u64,
    pub(super) broader: u64,
    pub(super) of_nobody: u64,
    pub(super) not_installed: Vec<String>,
    pub(super) error: Option<String>,
}

impl Progress {
    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    /// Says whether anything is not as it should be that was not told before.
    pub(super) fn see(&mut self, installed: &Installed) -> bool {
        let bad = installed
            .parts
            .iter()
            .filter(|part| !matches!(part.standing, Standing::Installed | Standing::NotDeclared));
        let bad: Vec<String> = bad
            .map(|part| {
                let what = match part.standing {
                    Standing::Missing => "missing",
                    Standing::OutOfDate => "out of date",
                    _ => "disabled",
                };
                format!("{} is {what}", part.name)
            })
            .collect();
        let is_news = !bad.is_empty() && bad != self.not_installed;
        self.not_installed = bad;
        is_news
    }
}

impl Engine {
    /// By source.
    pub fn captures(&self) -> Vec<CaptureShown> {
        let now = self.0.clock.now();
        self.0.captures.iter().map(|source| source.shown(now)).collect()
    }
}

impl CapturedSource {
    fn shown(&self, now: Instant) -> CaptureShown {
        let figures = self.progress.figures();
        let millis = |it: std::time::Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let rule = |(name, rule): (&String, &super::source::CaptureRule)| CaptureRuleShown {
            name: name.clone(),
            table: rule.table.clone(),
            tenant: rule.tenant.clone(),
            tags: rule.tags.invalidates.iter().map(|tag| tag.text.value.clone()).collect(),
            settle_ms: rule.settle.map(millis),
        };
        CaptureShown {
            source: self.name.clone(),
            captures: self.rules.iter().map(rule).collect(),
            running: figures.running,
            connected: figures.connected,
            leads: figures.leads,
            rows: figures.rows,
            last_applied_ms: figures.applied_at.map(|at| millis(now.since(at))),
            oldest_ms: figures.oldest_ms,
            collapsed: figures.collapsed,
            broader: figures.broader,
            of_unknown_tenants: figures.of_nobody,
            not_installed: figures.not_installed.clone(),
            error: figures.error.clone(),
        }
    }
}
