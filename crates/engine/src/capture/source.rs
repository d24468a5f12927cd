//! The captures of one source, in which nothing is wrong any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use samovar_cache::Tag;
use samovar_clock::Clock;
use samovar_widgets::{Captured, Definitions, Problem, SourceDefinition};

use super::shown::Progress;
use crate::{
    engine::Inner,
    events::{self, EventRule, Settle},
};

#[derive(Clone, Debug)]
pub(crate) struct CapturedSource {
    pub(crate) name: String,
    pub(super) captured: Captured,
    pub(super) rules: BTreeMap<String, CaptureRule>,
    /// The source's own, which each change touches.
    pub(super) tag: Tag,
    pub(super) progress: Progress,
}

#[derive(Clone, Debug)]
pub(super) struct CaptureRule {
    pub(super) table: String,
    /// The column that says whose row it is.
    pub(super) tenant: Option<String>,
    pub(super) tags: EventRule,
    pub(super) settle: Option<Duration>,
}

/// Widgets that are named one by one. With more of them everything counts as changed.
const MOST_WIDGETS: usize = 256;

impl CapturedSource {
    /// Those sources that have captures. Tells what can never be a tag.
    pub(crate) fn check(
        definitions: &Definitions,
        folder: &Path,
        clock: &Clock,
        problems: &mut Vec<Problem>,
    ) -> Vec<Self> {
        let mut sources = Vec::new();
        for source in &definitions.sources {
            let captured = Captured::of(source, &definitions.captures, folder, clock);
            if !captured.captures().is_empty() {
                sources.extend(Self::of(source, captured, problems));
            }
        }
        sources
    }

    fn of(
        source: &SourceDefinition,
        captured: Captured,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut rules = BTreeMap::new();
        for capture in captured.captures() {
            let rule = CaptureRule {
                table: capture.table.value.clone(),
                tenant: capture.tenant.clone(),
                tags: events::check_capture(capture, problems),
                settle: capture.settle.or(source.capture.settle),
            };
            rules.insert(capture.name.value.clone(), rule);
        }
        // A name that is none is a mistake already.
        let tag = Tag::new(&source.name).ok()?;
        let (name, progress) = (source.name.clone(), Progress::default());
        Some(Self { name, captured, rules, tag, progress })
    }
}

impl Inner {
    /// What depends on tables of these captures, of whatever tenant.
    pub(super) fn dependents<'n>(
        &self,
        source: &CapturedSource,
        captures: impl Iterator<Item = &'n str>,
    ) -> Settle {
        let mut change = Settle::default();
        let mut tags = BTreeSet::new();
        // Widgets that name no tags of their own have the source's.
        let mut roots = BTreeSet::from([source.name.clone()]);
        for capture in captures {
            // A capture that is not declared any more is none of which anything depends.
            let Some(rule) = source.rules.get(capture) else { continue };
            for tag in rule.tags.broadest() {
                let Some(tag) = tag else {
                    return Settle { everything: true, ..Settle::default() };
                };
                let text = tag.to_string();
                roots.insert(text.split('/').next().unwrap_or_default().to_owned());
                if tag.is_global() {
                    tags.insert(text);
                }
            }
        }
        let mut widgets: BTreeSet<&str> = self.listings.names_of(&source.name).collect();
        for served in self.widgets.values() {
            let mut own = served.entry.tags.iter().map(|tag| tag.root());
            if own.any(|root| root.is_none_or(|root| roots.contains(root))) {
                widgets.extend(self.names_of(served));
            }
        }
        if widgets.len() > MOST_WIDGETS {
            return Settle { everything: true, ..Settle::default() };
        }
        change.widgets = widgets.into_iter().map(str::to_owned).collect();
        change.tags = tags.into_iter().collect();
        change
    }
}
