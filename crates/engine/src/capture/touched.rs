//! Rows of an outbox become what is to be invalidated: tags of tenants, and where a row does not say
//! enough, something broader.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;
use samovar_cache::Tag;
use samovar_widgets::Recorded;
use serde_json::Value;

use super::source::{CaptureRule, CapturedSource};
use crate::{Member, NoTenant, engine::Inner, events::Settle};

/// What some rows came down to, each thing once.
#[derive(Debug, Default)]
pub(super) struct Touched<'r> {
    /// By tenant.
    tenants: BTreeMap<String, Whose<'r>>,
    global: BTreeSet<Tag>,
    /// All that any of these captures may have changed, of whatever tenant.
    of_everybody: BTreeSet<&'r str>,
    captures: BTreeSet<&'r str>,
    /// What is to be invalidated once more, after its time.
    pub(super) later: BTreeMap<Duration, Touched<'r>>,
    /// Rows of tenants that nobody knows.
    pub(super) of_nobody: u64,
    /// Rows that said too little for the tags of their capture.
    pub(super) broader: u64,
}

#[derive(Debug, Default)]
struct Whose<'r> {
    tags: BTreeSet<Tag>,
    captures: BTreeSet<&'r str>,
    everything: bool,
}

/// Tags of one tenant. With more of them, what lies above them counts as changed.
const MOST_TAGS: usize = 256;

/// Whose a row is.
enum Owner {
    Member(String, Arc<Member>),
    /// It may be anybody's.
    Everybody,
    /// Someone who is not known.
    Nobody,
}

impl<'r> Touched<'r> {
    /// # Errors
    /// When the tenants cannot be read.
    pub(super) async fn by(
        inner: &Arc<Inner>,
        source: &CapturedSource,
        recorded: &'r [Recorded],
    ) -> Result<Self, NoTenant> {
        let mut touched = Self::default();
        for row in recorded {
            let Some(rule) = source.rules.get(&row.capture) else {
                // It was declared once: the source has changed all the same.
                touched.of_everybody.insert(&row.capture);
                continue;
            };
            for data in row.rows.as_deref().unwrap_or(&[Value::Null]) {
                let owner = match row.rows {
                    None => Owner::Everybody,
                    Some(_) => owner(inner, rule, data).await?,
                };
                touched.add(source, rule, &row.capture, data, &owner);
            }
        }
        Ok(touched)
    }

    /// All that these captures may have changed.
    pub(super) fn whatever(
        source: &CapturedSource,
        captures: impl Iterator<Item = &'r str>,
    ) -> Self {
        let mut touched = Self::default();
        for capture in captures {
            touched.of_everybody.insert(capture);
            if let Some(settle) = source.rules.get(capture).and_then(|rule| rule.settle) {
                touched.later.entry(settle).or_default().of_everybody.insert(capture);
            }
        }
        touched
    }

    fn add(
        &mut self,
        source: &CapturedSource,
        rule: &CaptureRule,
        capture: &'r str,
        data: &Value,
        owner: &Owner,
    ) {
        self.put(source, rule, capture, data, owner);
        if let Some(settle) = rule.settle {
            self.later.entry(settle).or_default().put(source, rule, capture, data, owner);
        }
    }

    fn put(
        &mut self,
        source: &CapturedSource,
        rule: &CaptureRule,
        capture: &'r str,
        data: &Value,
        owner: &Owner,
    ) {
        self.captures.insert(capture);
        let (id, member) = match owner {
            Owner::Member(id, member) => (id, member),
            Owner::Everybody | Owner::Nobody => {
                self.of_nobody += u64::from(matches!(owner, Owner::Nobody));
                let tags = rule.tags.tags_or_broader(data, &TimeZone::UTC);
                self.global.extend(tags.into_iter().flatten().filter(Tag::is_global));
                self.of_everybody.insert(capture);
                return;
            }
        };
        let whose = self.tenants.entry(id.clone()).or_default();
        whose.captures.insert(capture);
        whose.tags.insert(source.tag.clone());
        let filled = rule.tags.tags(data, &member.zone);
        self.broader += u64::from(filled.is_err());
        let tags = match filled {
            Ok(tags) => tags.into_iter().map(Some).collect(),
            Err(_) => rule.tags.tags_or_broader(data, &member.zone),
        };
        for tag in tags {
            match tag {
                Some(tag) if tag.is_global() => drop(self.global.insert(tag)),
                Some(tag) => drop(whose.tags.insert(tag)),
                None => whose.everything = true,
            }
        }
    }

    /// Changes that can be made in any order.
    pub(super) fn changes(&self, inner: &Inner, source: &CapturedSource) -> Vec<Settle> {
        let mut changes = Vec::new();
        for (tenant, whose) in &self.tenants {
            let mut tags: BTreeSet<String> = BTreeSet::new();
            let mut everything = whose.everything;
            if whose.tags.len() <= MOST_TAGS {
                tags.extend(whose.tags.iter().map(ToString::to_string));
            } else {
                tags.insert(source.tag.to_string());
                let rules = whose.captures.iter().filter_map(|name| source.rules.get(*name));
                for tag in rules.flat_map(|rule| rule.tags.broadest()) {
                    match tag {
                        Some(tag) if tag.is_global() => {}
                        Some(tag) => drop(tags.insert(tag.to_string())),
                        None => everything = true,
                    }
                }
            }
            let tags = tags.into_iter().collect();
            let cause = cause(&whose.captures);
            let tenant = Some(tenant.clone());
            changes.push(Settle { tenant, tags, everything, cause, ..Settle::default() });
        }
        if !self.global.is_empty() {
            let tags: Vec<String> = self.global.iter().map(ToString::to_string).collect();
            for tags in tags.chunks(MOST_TAGS) {
                let (tags, cause) = (tags.to_vec(), cause(&self.captures));
                changes.push(Settle { tags, cause, ..Settle::default() });
            }
        }
        if !self.of_everybody.is_empty() {
            let dependents = inner.dependents(source, self.of_everybody.iter().copied());
            changes.push(Settle { cause: cause(&self.of_everybody), ..dependents });
        }
        changes
    }
}

async fn owner(inner: &Arc<Inner>, rule: &CaptureRule, data: &Value) -> Result<Owner, NoTenant> {
    let Some(column) = &rule.tenant else { return Ok(Owner::Everybody) };
    let id = match data.get(column) {
        None | Some(Value::Null) => return Ok(Owner::Everybody),
        Some(Value::String(id)) => id.clone(),
        Some(other) => other.to_string(),
    };
    match inner.member(&id).await {
        Ok(member) => Ok(Owner::Member(id, member)),
        Err(NoTenant::Unknown { .. }) => Ok(Owner::Nobody),
        Err(error) => Err(error),
    }
}

/// As `why` shows it.
fn cause(captures: &BTreeSet<&str>) -> String {
    /// More are counted.
    const NAMED: usize = 3;
    let some: Vec<_> = captures.iter().take(NAMED).copied().collect();
    let (what, some) = (if some.len() == 1 { "capture" } else { "captures" }, some.join(", "));
    match captures.len().saturating_sub(NAMED) {
        0 => format!("{what} {some}"),
        others => format!("{what} {some} and {others} more"),
    }
}
