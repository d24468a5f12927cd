//! Events: what something that happens in an application means for what is kept.

use std::time::Duration;

use super::{
    check_letters,
    rollups::UNITS,
    warming::{Known, WarmDefinition, read_warm},
};
use crate::{Located, PartitionUnit, Problem, Section, limits, nearest};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDefinition {
    pub name: Located<String>,
    pub invalidates: Vec<EventTag>,
    /// The field with the time by which dates in tags are cut.
    pub at: Option<String>,
    /// For the tenant of the event, where it has one.
    pub warm: Option<WarmDefinition>,
    /// After this time the same is invalidated once more.
    pub settle: Option<Duration>,
}

/// A tag in which something is left to be filled in from the data of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTag {
    /// As it stands in the file.
    pub text: Located<String>,
    pub parts: Vec<TagPart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPart {
    Text(String),
    /// `{month}`, `{day}` or `{hour}`: nested dates, by the clock of the tenant.
    Date(PartitionUnit),
    /// A field of the data; that of a nested object behind a dot.
    Field(String),
}

impl EventTag {
    /// It begins with `global:`, and is of no tenant.
    pub fn is_global(&self) -> bool {
        self.text.value.starts_with(GLOBAL)
    }

    pub fn has_date(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, TagPart::Date(_)))
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TagPart::Field(field) => Some(field.as_str()),
            TagPart::Text(_) | TagPart::Date(_) => None,
        })
    }
}

/// The event that a warm-up raises when it is over.
pub const WARMED: &str = "cache.warming.completed";
/// What its data has.
const WARMED_DATA: [&str; 7] = ["batch", "name", "state", "jobs", "failed", "cancelled", "periods"];
const KEYS: [&str; 4] = ["invalidates", "at", "warm", "settle"];
const GLOBAL: &str = "global:";
const INVALIDATES: &str = "invalidates = [\"orders/{day}\"], or say what to warm";
pub(super) const AT: &str = "at = \"received_at\"";
const NO_TENANTS: &str =
    "leave it out: the tenant of the event is warmed, or all of them where it has none";
/// Longer than this no replica lags behind.
pub(super) const LONGEST_SETTLE: Duration = Duration::from_secs(24 * 3600);

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    known: Known<'_>,
) -> Option<EventDefinition> {
    let before = section.error_count();
    let mut tables = section.tables().into_iter();
    if let Some(inner) = tables.find(|inner| !KEYS.contains(&inner.value.as_str())) {
        let whole = format!("{}.{}", name.value, inner.value);
        let reason = format!("`{}` in {} is a table", inner.value, section.title());
        let hint = format!("put the name of an event between quotes: [event.\"{whole}\"]");
        section.note(Problem::new(inner.line, reason).hint(hint));
        return None;
    }
    check_letters(&name, &section, &['.', '_', '-'], "letters, digits, ., _ and -");
    let texts = section.texts("invalidates", 1..=limits::TAGS_PER_EVENT);
    let texts = texts.unwrap_or_default();
    let invalidates: Vec<EventTag> =
        texts.iter().filter_map(|text| parse("invalidates", text, &section)).collect();
    let at = section.text("at");
    check_at(at.as_ref(), &invalidates, texts.len() == invalidates.len(), &mut section);
    let known = Known { no_tenants: Some(NO_TENANTS), ..known };
    let warm = read_warm(&mut section, "warm", known);
    let settle = section.duration("settle", Duration::from_millis(1)..=LONGEST_SETTLE);
    if let Some(settle) = &settle
        && !section.has("invalidates")
    {
        let hint = "say what: invalidates = [\"orders/{day}\"], or leave it out";
        section.refuse("settle", settle.line, "has nothing to invalidate once more", hint);
    }
    if !section.has("warm") {
        section.require("invalidates", INVALIDATES);
    }
    if name.value == WARMED {
        check_warmed(&invalidates, &section);
    }
    let is_sound = section.error_count() == before;
    section.finish();
    let (at, settle) = (at.map(|it| it.value), settle.map(|it| it.value));
    is_sound.then_some(EventDefinition { name, invalidates, at, warm, settle })
}

/// What can be told of a tag before there is any data. Whether it can be one is for the cache to say.
pub(super) fn parse(key: &str, text: &Located<String>, section: &Section<'_>) -> Option<EventTag> {
    let mut parts = Vec::new();
    let mut rest = text.value.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            section.refuse(key, text.line, "has a { without a }", "close it: orders/{day}");
            return None;
        };
        if !before.is_empty() {
            parts.push(TagPart::Text(before.to_owned()));
        }
        if name == "tenant" {
            let hint = "leave it out: a tag is the tenant's own, unless it begins with global:";
            section.refuse(key, text.line, "has {tenant} in a tag", hint);
            return None;
        }
        if !is_path(name) {
            let what = format!("has `{{{name}}}` in a tag, which names no field");
            let hint = "name a field of the event's data, such as {id} or {order.id}";
            section.refuse(key, text.line, &what, hint);
            return None;
        }
        let unit = UNITS.iter().find(|(known, _)| *known == name);
        parts.push(
            unit.map_or_else(|| TagPart::Field(name.to_owned()), |(_, unit)| TagPart::Date(*unit)),
        );
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TagPart::Text(rest.to_owned()));
    }
    Some(EventTag { text: text.clone(), parts })
}

/// A field, or fields with a dot between them.
fn is_path(text: &str) -> bool {
    text.split('.').all(|field| !field.is_empty() && !field.contains(char::is_whitespace))
}

/// It is there where a date needs it, and nowhere else.
pub(super) fn check_at(
    at: Option<&Located<String>>,
    tags: &[EventTag],
    all_are_read: bool,
    section: &mut Section<'_>,
) {
    let dated = tags.iter().find(|tag| tag.has_date());
    match (at, dated) {
        (Some(at), _) if !is_path(&at.value) => {
            let what = format!("is `{}`, which names no field", at.value);
            section.refuse("at", at.line, &what, &format!("write it like {AT}"));
        }
        (Some(at), None) if all_are_read => {
            let hint = "leave it out, or put {month}, {day} or {hour} into a tag";
            section.refuse("at", at.line, "cuts nothing: no tag has a date", hint);
        }
        (None, Some(_)) => section.require("at", AT),
        (Some(_), _) | (None, None) => {}
    }
}

/// What is raised by the system itself has no tenant, no time, and always the same data.
fn check_warmed(tags: &[EventTag], section: &Section<'_>) {
    if section.has("warm") {
        let hint = "leave it out: it would be over again, and begin again, without end";
        let what = "follows the end of a warm-up with another one";
        section.refuse("warm", section.line_of("warm"), what, hint);
    }
    for tag in tags {
        let (text, line) = (&tag.text.value, tag.text.line);
        if !tag.is_global() {
            let what = format!("has `{text}`, and this event has no tenant");
            let hint = format!("name a tag that all tenants share, such as global:{text}");
            section.refuse("invalidates", line, &what, &hint);
        }
        if tag.has_date() {
            let hint = "name what is not cut by dates";
            section.refuse("invalidates", line, "has a date, and this event no time", hint);
        }
        if let Some(field) = tag.fields().find(|field| !WARMED_DATA.contains(field)) {
            let reason = format!("`{WARMED}` has no `{field}` in its data");
            let problem = Problem::new(line, reason);
            let hint = match nearest(field, WARMED_DATA) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it has {}", WARMED_DATA.join(", ")),
            };
            section.note(problem.hint(hint));
        }
    }
}
