//! A rule for an event: which tags its data names.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use samovar_cache::{Tag, TagError};
use samovar_widgets::{
    CaptureDefinition, EventDefinition, EventTag, Partition, PartitionUnit, Problem, TagPart,
    instant,
};
use serde::Serialize;
use serde_json::Value;

use crate::{NoTenant, WarmUp, tags};

/// An event that is declared, in which nothing is wrong any more.
#[derive(Clone, Debug)]
pub(crate) struct EventRule {
    pub(crate) invalidates: Vec<EventTag>,
    at: Option<String>,
    pub(crate) warm: Option<WarmUp>,
    pub(crate) settle: Option<Duration>,
}

/// An event as a list of events shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventShown {
    pub name: String,
    /// Tags, with what is filled in from its data.
    pub invalidates: Vec<String>,
    /// The field with its time.
    pub at: Option<String>,
    pub warm: Option<WarmUp>,
    pub settle_ms: Option<u64>,
}

/// Why an event cannot be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EventFault {
    #[error(transparent)]
    Tenant(NoTenant),
    #[error("the tag `{tag}` is of a tenant, and none is named")]
    MissingTenant { tag: String },
    #[error("its data has no `{field}`")]
    MissingField { field: String },
    #[error("`{field}` in its data is {found}, neither a text nor a number")]
    NotSingle { field: String, found: &'static str },
    #[error("`{field}` in its data is {value:?}, which cannot be a part of a tag")]
    NotInTag { field: String, value: String },
    #[error("`{field}` in its data is {value}, which is no time")]
    NoTime { field: String, value: String },
}

impl EventFault {
    /// What is wrong, as a path in the event.
    pub fn field(&self) -> String {
        match self {
            EventFault::Tenant(_) | EventFault::MissingTenant { .. } => "tenant".to_owned(),
            EventFault::MissingField { field }
            | EventFault::NotSingle { field, .. }
            | EventFault::NotInTag { field, .. }
            | EventFault::NoTime { field, .. } => format!("data.{field}"),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            EventFault::Tenant(_) => "name one that [tenants] has",
            EventFault::MissingTenant { .. } => "say whose event it is: \"tenant\": \"ID\"",
            EventFault::MissingField { .. } => "send it along: a tag of this event is made of it",
            EventFault::NotSingle { .. } => "send one text or number",
            EventFault::NotInTag { .. } => {
                "a tag takes letters, digits and -_.:@+, 256 bytes of them, and each value is a part \
                 of one segment"
            }
            EventFault::NoTime { .. } => {
                "write it like 2026-11-19T08:30:00Z, or as seconds or milliseconds since 1970"
            }
        }
    }
}

/// Only so much of a value is repeated.
const SHOWN_CHARS: usize = 80;

/// Tells what can never be a tag.
pub(crate) fn check(definition: &EventDefinition, problems: &mut Vec<Problem>) -> EventRule {
    check_tags(&definition.invalidates, problems);
    let name = &definition.name.value;
    EventRule {
        invalidates: definition.invalidates.clone(),
        at: definition.at.clone(),
        warm: definition.warm.as_ref().map(|warm| WarmUp::from(warm).called(name)),
        settle: definition.settle,
    }
}

/// The same for what a capture makes of the columns of its rows.
pub(crate) fn check_capture(
    definition: &CaptureDefinition,
    problems: &mut Vec<Problem>,
) -> EventRule {
    check_tags(&definition.tags, problems);
    let (invalidates, at) = (definition.tags.clone(), definition.at.clone());
    EventRule { invalidates, at, warm: None, settle: definition.settle }
}

fn check_tags(tags: &[EventTag], problems: &mut Vec<Problem>) {
    for template in tags {
        let sample = |part: &TagPart| match part {
            TagPart::Text(text) => text.clone(),
            TagPart::Field(_) => "x".to_owned(),
            TagPart::Date(PartitionUnit::Month) => "2026/11".to_owned(),
            TagPart::Date(PartitionUnit::Day) => "2026/11/19".to_owned(),
            TagPart::Date(PartitionUnit::Hour) => "2026/11/19/08".to_owned(),
        };
        let filled: String = template.parts.iter().map(sample).collect();
        if let Err(error) = to_tag(template, &filled) {
            let problem = Problem::new(template.text.line, &error);
            problems.push(problem.hint(tags::hint_for(&error)));
        }
    }
}

fn to_tag(template: &EventTag, filled: &str) -> Result<Tag, TagError> {
    if template.is_global() { filled.parse() } else { Tag::new(filled) }
}

impl EventRule {
    pub(super) fn shown(&self, name: &str) -> EventShown {
        let millis = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        EventShown {
            name: name.to_owned(),
            invalidates: self.invalidates.iter().map(|it| it.text.value.clone()).collect(),
            at: self.at.clone(),
            warm: self.warm.clone(),
            settle_ms: self.settle.map(millis),
        }
    }

    /// A tag that it cannot invalidate without a tenant.
    pub(super) fn tag_of_a_tenant(&self) -> Option<&str> {
        let own = self.invalidates.iter().find(|tag| !tag.is_global());
        own.map(|tag| tag.text.value.as_str())
    }

    /// Dates are cut in this zone.
    pub(crate) fn tags(&self, data: &Value, zone: &TimeZone) -> Result<Vec<Tag>, EventFault> {
        let mut cut = Cut { at: self.at.as_deref(), data, zone, known: BTreeMap::new() };
        self.invalidates.iter().map(|template| fill(template, &mut cut)).collect()
    }

    /// Those that data names, and in the place of one that it does not, the narrowest above it that
    /// needs no more data. `None` where there is none above it.
    pub(crate) fn tags_or_broader(&self, data: &Value, zone: &TimeZone) -> Vec<Option<Tag>> {
        let mut cut = Cut { at: self.at.as_deref(), data, zone, known: BTreeMap::new() };
        let tags = self.invalidates.iter();
        tags.map(|template| fill(template, &mut cut).ok().or_else(|| above(template))).collect()
    }

    /// Tags above all that data may name. `None` where there is none.
    pub(crate) fn broadest(&self) -> impl Iterator<Item = Option<Tag>> {
        self.invalidates.iter().map(above)
    }
}

/// The segments before the first that is filled in.
fn above(template: &EventTag) -> Option<Tag> {
    let Some(TagPart::Text(text)) = template.parts.first() else { return None };
    if template.parts.len() == 1 {
        return to_tag(template, text).ok();
    }
    let (above, _) = text.rsplit_once('/')?;
    to_tag(template, above).ok()
}

/// The time of an event, looked up in the calendar once for each kind of date.
struct Cut<'e> {
    at: Option<&'e str>,
    data: &'e Value,
    zone: &'e TimeZone,
    known: BTreeMap<PartitionUnit, String>,
}

impl Cut<'_> {
    fn date(&mut self, unit: PartitionUnit) -> Result<&str, EventFault> {
        if !self.known.contains_key(&unit) {
            let date = self.find(unit)?.to_string();
            self.known.insert(unit, date);
        }
        Ok(&self.known[&unit])
    }

    fn find(&self, unit: PartitionUnit) -> Result<Partition, EventFault> {
        // One without it was refused where it is declared.
        let path = self.at.unwrap_or_default();
        let value = field(self.data, path)?;
        let at: Option<Timestamp> = instant(value);
        at.and_then(|at| Partition::at(unit, at, self.zone)).ok_or_else(|| {
            let value = value.to_string().chars().take(SHOWN_CHARS).collect();
            EventFault::NoTime { field: path.to_owned(), value }
        })
    }
}

fn fill(template: &EventTag, cut: &mut Cut<'_>) -> Result<Tag, EventFault> {
    let mut filled = String::new();
    let mut longest: Option<(&str, String)> = None;
    for part in &template.parts {
        match part {
            TagPart::Text(text) => filled.push_str(text),
            TagPart::Date(unit) => filled.push_str(cut.date(*unit)?),
            TagPart::Field(path) => {
                let value = single(cut.data, path)?;
                // A value is a part of one segment: it moves the tag nowhere else.
                if value.contains('/') || Tag::new(&value).is_err() {
                    return Err(not_in_tag(path, &value));
                }
                filled.push_str(&value);
                if longest.as_ref().is_none_or(|(_, other)| value.len() > other.len()) {
                    longest = Some((path, value));
                }
            }
        }
    }
    // Whatever does not depend on values was found where it is declared.
    to_tag(template, &filled).map_err(|_| {
        let (path, value) = longest.unwrap_or(("", filled));
        not_in_tag(path, &value)
    })
}

fn not_in_tag(path: &str, value: &str) -> EventFault {
    let value = value.chars().take(SHOWN_CHARS).collect();
    EventFault::NotInTag { field: path.to_owned(), value }
}

/// That of a nested object behind a dot. What is null is not there.
fn field<'d>(data: &'d Value, path: &str) -> Result<&'d Value, EventFault> {
    let found = path.split('.').try_fold(data, |data, name| data.get(name));
    let found = found.filter(|value| !value.is_null());
    found.ok_or_else(|| EventFault::MissingField { field: path.to_owned() })
}

/// A text or a number, as widgets have it in their parameters: `7.0` is `7`.
fn single(data: &Value, path: &str) -> Result<String, EventFault> {
    let found = match field(data, path)? {
        Value::String(text) => return Ok(text.clone()),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < 9e15);
            // Far inside of what an integer holds.
            #[expect(clippy::cast_possible_truncation, reason = "looked at before")]
            let whole = whole.filter(|_| number.is_f64()).map(|it| (it as i64).to_string());
            return Ok(whole.unwrap_or_else(|| number.to_string()));
        }
        Value::Bool(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::Null => "null",
    };
    Err(EventFault::NotSingle { field: path.to_owned(), found })
}

#[cfg(test)]
mod tests {
    use samovar_widgets::{Definitions, Document};
    use serde_json::json;

    use super::*;

    fn rule(keys: &str) -> EventRule {
        let text = format!(
            "[tenants]\nlist = [{{ id = \"north\" }}]\n[source.shop]\nurl = \"sqlite://shop.db\"\n\
             [widget.any]\nsource = \"shop\"\nquery = \"select 1\"\n[event.happened]\n{keys}"
        );
        let document = Document::parse(&text).expect("it is TOML");
        let definitions = Definitions::read(&mut document.root());
        let mut problems = Vec::new();
        let rule = check(&definitions.events[0], &mut problems);
        assert_eq!((document.problems(), problems), (Vec::new(), Vec::new()));
        rule
    }

    fn tags(rule: &EventRule, data: &Value) -> Result<Vec<String>, EventFault> {
        let zone = TimeZone::get("Europe/Oslo").expect("a zone");
        Ok(rule.tags(data, &zone)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn fields_are_found_by_their_path_and_written_as_parameters_are() {
        let rule = rule("invalidates = [\"a/{id}\", \"b/{order.id}-{id}\", \"global:{id}\"]");
        for (data, id, nested) in [
            (json!({ "id": 7, "order": { "id": "x" } }), "7", "x"),
            (json!({ "id": 7.0, "order": { "id": -1 } }), "7", "-1"),
            (json!({ "id": 1.5, "order": { "id": "A@b" } }), "1.5", "A@b"),
            (json!({ "id": u64::MAX, "order": { "id": "_" } }), "18446744073709551615", "_"),
        ] {
            let expected = [format!("a/{id}"), format!("b/{nested}-{id}"), format!("global:{id}")];
            assert_eq!(tags(&rule, &data), Ok(expected.to_vec()), "{data}");
        }
    }

    #[test]
    fn what_is_no_part_of_a_tag_is_refused_with_its_field() {
        let rule = rule("invalidates = [\"a/{id}\", \"{id}\"]");
        for (data, message) in [
            (json!(null), "its data has no `id`"),
            (json!([7]), "its data has no `id`"),
            (json!({ "id": null }), "its data has no `id`"),
            (
                json!({ "id": true }),
                "`id` in its data is true or false, neither a text nor a number",
            ),
            (json!({ "id": [7] }), "`id` in its data is a list, neither a text nor a number"),
            (json!({ "id": {} }), "`id` in its data is an object, neither a text nor a number"),
            (json!({ "id": "" }), "`id` in its data is \"\", which cannot be a part of a tag"),
            (
                json!({ "id": "a b" }),
                "`id` in its data is \"a b\", which cannot be a part of a tag",
            ),
            (
                json!({ "id": "a/b" }),
                "`id` in its data is \"a/b\", which cannot be a part of a tag",
            ),
            (
                json!({ "id": "global:a" }),
                "`id` in its data is \"global:a\", which cannot be a part of a tag",
            ),
        ] {
            let fault = tags(&rule, &data).expect_err("a fault");
            assert_eq!((fault.to_string().as_str(), fault.field().as_str()), (message, "data.id"));
            assert!(!fault.hint().is_empty());
        }
        // Each would fit, but not behind the rest.
        for long in [300, 255] {
            let fault = tags(&rule, &json!({ "id": "a".repeat(long) })).expect_err("a fault");
            let value = "a".repeat(SHOWN_CHARS);
            assert_eq!(fault, EventFault::NotInTag { field: "id".to_owned(), value });
        }
    }

    #[test]
    fn what_cannot_be_filled_in_becomes_what_lies_above_it() {
        let rule = rule(
            "invalidates = [\"o/{day}\", \"o/x/y-{id}\", \"{id}\", \"a-{id}\", \"b\"]\nat = \"at\"",
        );
        let broader = |data: &Value| {
            let tags = rule.tags_or_broader(data, &TimeZone::UTC).into_iter();
            tags.map(|tag| tag.map(|tag| tag.to_string())).collect::<Vec<_>>()
        };
        let some = |tag: &str| Some(tag.to_owned());
        let full = json!({ "id": 7, "at": "2026-11-19" });
        let expected = ["o/2026/11/19", "o/x/y-7", "7", "a-7", "b"].map(some);
        assert_eq!(broader(&full), expected);
        for data in [json!({}), json!({ "id": "a/b", "at": "soon" }), json!(null)] {
            assert_eq!(broader(&data), [some("o"), some("o/x"), None, None, some("b")], "{data}");
        }
    }

    #[test]
    fn dates_are_cut_by_the_clock_of_the_zone() {
        let rule =
            rule("invalidates = [\"o/{month}\", \"o/{day}\", \"o/{hour}\"]\nat = \"order.at\"");
        for (at, hour) in [
            (json!("2026-11-19T22:59:59Z"), "2026/11/19/23"),
            (json!("2026-11-19 23:00:00"), "2026/11/20/00"),
            (json!(1_795_215_907), "2026/11/21/00"),
            (json!(1_795_215_907_000_u64), "2026/11/21/00"),
        ] {
            let expected = [&hour[..7], &hour[..10], hour].map(|date| format!("o/{date}"));
            let found = tags(&rule, &json!({ "order": { "at": at } }));
            assert_eq!(found, Ok(expected.to_vec()), "{at}");
        }
        for at in [json!("soon"), json!(true), json!(""), json!(-99_999_999_999_i64), json!({})] {
            let fault = tags(&rule, &json!({ "order": { "at": at } })).expect_err("a fault");
            assert!(matches!(fault, EventFault::NoTime { .. }), "{at}: {fault}");
            assert_eq!(fault.field(), "data.order.at");
        }
        let missing = tags(&rule, &json!({ "order": {} })).expect_err("a fault");
        assert_eq!(missing, EventFault::MissingField { field: "order.at".to_owned() });
    }
}
