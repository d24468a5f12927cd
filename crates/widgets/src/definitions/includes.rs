//! Related rows of a document, and theirs.

use super::check_field_name;
use crate::{Located, Problem, Section, limits};

/// Rows that stand in a field of their parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludeDefinition {
    /// The field of the parent.
    pub name: Located<String>,
    /// Its list parameter `:ids` holds the keys of all parents.
    pub query: Located<String>,
    /// The column of the related row that holds its parent's key.
    pub on: Located<String>,
    /// The column of the parent.
    pub key: Located<String>,
    /// An object or null instead of a list.
    pub one: bool,
    /// Rows kept for one parent.
    pub limit: Option<usize>,
    /// Columns whose text is JSON, embedded as JSON in the answer.
    pub json: Vec<Located<String>>,
    pub includes: Vec<IncludeDefinition>,
}

/// The includes of a widget, at all depths.
pub(super) fn read(widget: &mut Section<'_>) -> Vec<IncludeDefinition> {
    let mut lines = Vec::new();
    let includes = read_level(widget, 1, &mut lines);
    if lines.len() > limits::INCLUDES_PER_WIDGET {
        lines.sort_unstable();
        let line = lines[limits::INCLUDES_PER_WIDGET];
        let reason = format!("{} has {} includes", widget.title(), lines.len());
        let hint = format!("at most {} are allowed", limits::INCLUDES_PER_WIDGET);
        widget.note(Problem::new(line, reason).hint(hint));
    }
    includes
}

fn read_level(
    parent: &mut Section<'_>,
    depth: usize,
    lines: &mut Vec<usize>,
) -> Vec<IncludeDefinition> {
    let sections = parent.sections("include");
    if depth > limits::INCLUDE_DEPTH {
        if let Some((name, _)) = sections.first() {
            let reason = format!("the include `{}` is {depth} deep", name.value);
            let hint = format!("at most {} are allowed", limits::INCLUDE_DEPTH);
            parent.note(Problem::new(name.line, reason).hint(hint));
        }
        return Vec::new();
    }
    let mut includes = Vec::new();
    for (name, section) in sections {
        lines.push(name.line);
        includes.extend(read_one(name, section, depth, lines));
    }
    includes
}

fn read_one(
    name: Located<String>,
    mut section: Section<'_>,
    depth: usize,
    lines: &mut Vec<usize>,
) -> Option<IncludeDefinition> {
    const QUERY: &str = "query = \"select ... from items where order_id in (:ids)\"";
    check_field_name(&name, &section);
    let query = section.required_text("query", QUERY);
    let on = section.required_text("on", "on = \"order_id\"");
    let key = section.text("key");
    let one = section.flag("one").is_some_and(|it| it.value);
    let limit = section.count("limit", 1..limits::INCLUDED_ROWS + 1);
    if let Some(limit) = limit.as_ref().filter(|_| one) {
        let hint = "remove `limit`, or `one`: one row at most is kept";
        section.refuse("limit", limit.line, "has no use beside `one`", hint);
    }
    let json = section.texts("json", 0..=limits::JSON_COLUMNS).unwrap_or_default();
    let includes = read_level(&mut section, depth + 1, lines);
    section.finish();
    let key = key.unwrap_or_else(|| Located { value: "id".to_owned(), line: name.line });
    let limit = limit.map(|it| it.value);
    Some(IncludeDefinition { name, query: query?, on: on?, key, one, limit, json, includes })
}
