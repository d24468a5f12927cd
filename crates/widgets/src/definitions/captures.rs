//! Captures: tables whose changes the source tells by itself.

use std::time::Duration;

use super::{
    check_name, check_source,
    events::{self, EventTag, LONGEST_SETTLE},
};
use crate::{Located, Problem, Section, limits};

/// A table in which triggers record what changes, and what that means for what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureDefinition {
    pub name: Located<String>,
    pub source: String,
    /// With its schema before a dot, where it is not the first that the connection looks in.
    pub table: Located<String>,
    /// Recorded of each row, as it was and as it is.
    pub columns: Vec<Located<String>>,
    /// The column that says whose row it is. Without one a change touches all tenants.
    pub tenant: Option<String>,
    /// Made of the columns, as those of an event are made of its data.
    pub tags: Vec<EventTag>,
    /// The column with the time by which dates in tags are cut.
    pub at: Option<String>,
    /// After this time the same is invalidated once more.
    pub settle: Option<Duration>,
}

const SOURCE: &str = "source = \"shop\"";
const TABLE: &str = "table = \"orders\"";
const COLUMNS: &str = "columns = [\"tenant_id\", \"received_at\"]";
const TAG: &str = "tag = \"orders/{day}\"";

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    sources: &[String],
) -> Option<CaptureDefinition> {
    let before = section.error_count();
    check_name(&name, &section);
    if name.value.len() > limits::CAPTURE_NAME_BYTES {
        let problem = Problem::new(name.line, format!("`{}` is too long a name", name.value));
        let most = limits::CAPTURE_NAME_BYTES;
        section.note(problem.hint(format!("triggers are called by it: take {most} bytes at most")));
    }
    let source = section.required_text("source", SOURCE);
    source.iter().for_each(|source| check_source(source, sources, &section));
    let table = section.required_text("table", TABLE);
    table.iter().for_each(|table| check_table(table, &section));
    section.require("columns", COLUMNS);
    let columns = section.texts("columns", 1..=limits::COLUMNS_PER_CAPTURE).unwrap_or_default();
    let tenant = section.text("tenant");
    let one = section.text("tag");
    let more = section.texts("tags", 1..=limits::TAGS_PER_EVENT).unwrap_or_default();
    if let (Some(one), false) = (&one, more.is_empty()) {
        section.refuse("tag", one.line, "stands beside `tags`", "put it among them");
    }
    let texts = one.iter().map(|tag| ("tag", tag)).chain(more.iter().map(|tag| ("tags", tag)));
    let tags: Vec<EventTag> =
        texts.filter_map(|(key, text)| events::parse(key, text, &section)).collect();
    if !section.has("tags") {
        section.require("tag", TAG);
    }
    let at = section.text("at");
    let all_are_read = tags.len() == one.iter().count() + more.len();
    events::check_at(at.as_ref(), &tags, all_are_read, &mut section);
    for column in tenant.iter().chain(&at) {
        check_column(&column.value, column.line, &columns, &section);
    }
    for tag in &tags {
        tag.fields().for_each(|field| check_column(field, tag.text.line, &columns, &section));
        if let (None, false) = (&tenant, tag.is_global()) {
            let reason = format!("nobody says whose `{}` is", tag.text.value);
            let hint = "name the column: tenant = \"tenant_id\"; or a tag that all tenants share, such \
                        as global:rates";
            section.note(Problem::new(tag.text.line, reason).hint(hint));
        }
    }
    let settle = section.duration("settle", Duration::from_millis(1)..=LONGEST_SETTLE);
    let is_sound = section.error_count() == before;
    section.finish();
    let definition = CaptureDefinition {
        name,
        source: source?.value,
        table: table?,
        columns,
        tenant: tenant.map(|it| it.value),
        tags,
        at: at.map(|it| it.value),
        settle: settle.map(|it| it.value),
    };
    is_sound.then_some(definition)
}

fn check_table(table: &Located<String>, section: &Section<'_>) {
    let text = &table.value;
    let is_named = text.split('.').all(|part| !part.is_empty()) && text.split('.').count() <= 2;
    if !is_named || text.len() > limits::TABLE_BYTES || text.contains(char::is_control) {
        let hint = "write it like orders, or sales.orders with its schema";
        section.refuse("table", table.line, "names no table", hint);
    }
}

/// What tags are made of is recorded.
fn check_column(column: &str, line: usize, columns: &[Located<String>], section: &Section<'_>) {
    let known = || columns.iter().map(|it| it.value.as_str());
    if !columns.is_empty() && known().all(|it| it != column) {
        let problem = Problem::new(line, format!("`{column}` is none of the columns"));
        section.note(problem.meant(column, known(), || format!("add it: {COLUMNS}")));
    }
}
