//! A table of a file, read key by key: nothing in it goes unread, and each mistake is noted with its
//! line while the reading goes on.

mod entries;
mod lists;
mod values;

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Document, Located, Problem, nearest};

pub(crate) use entries::Entry;
pub(crate) use values::{Scalar, ScalarKind};

/// Each key that is asked for counts as known; [`Section::finish`] complains about the others, and
/// about those that are needed and not there.
#[derive(Debug)]
pub struct Section<'a> {
    path: String,
    title: String,
    line: usize,
    table: &'a DeTable<'a>,
    document: &'a Document<'a>,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

/// What a value should have been.
struct Expected<'e> {
    what: &'e str,
    hint: String,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    pub(crate) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        let title = "this file".to_owned();
        let (path, known, missing) = (String::new(), Vec::new(), Vec::new());
        Self { path, title, line: 1, table, document, known, missing }
    }

    pub fn line(&self) -> usize {
        self.line
    }

    /// As in `[widget.sales]`.
    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn note(&self, problem: Problem) {
        self.document.note(problem);
    }

    /// Of the whole file so far.
    pub fn error_count(&self) -> usize {
        self.document.error_count()
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    pub fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_str())
    }

    pub fn is_flag(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_bool())
    }

    /// The line of a key that is there.
    pub fn line_of(&self, key: &str) -> usize {
        let found = self.table.keys().find(|it| *it.get_ref() == key);
        found.map_or(self.line, |key| self.document.line(&key.span()))
    }

    /// The table `key`.
    pub fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.take(key)?;
        self.enter(self.below(key), value, value.span())
    }

    /// The tables `key.*` with their names.
    pub fn sections(&mut self, key: &'static str) -> Vec<(Located<String>, Section<'a>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let path = self.below(key);
        let Some(outer) = self.enter(format!("{path}.NAME"), value, value.span()) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in outer.table {
            let (text, span) = (name.get_ref().to_string(), name.span());
            // As it is written: a dot between quotes divides nothing.
            let below = if text.contains('.') { format!("{text:?}") } else { text.clone() };
            if let Some(section) = self.enter(format!("{path}.{below}"), value, span) {
                sections.push((Located { value: text, line: section.line }, section));
            }
        }
        sections
    }

    /// The keys whose values are tables.
    pub(crate) fn tables(&self) -> Vec<Located<String>> {
        let tables = self.table.iter().filter(|(_, value)| value.get_ref().is_table());
        let located = tables.map(|(key, _)| Located {
            value: key.get_ref().to_string(),
            line: self.document.line(&key.span()),
        });
        located.collect()
    }

    /// Complains about keys that nobody asked for, and about those that were needed.
    pub fn finish(self) {
        let mut meant_keys = Vec::new();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let line = self.document.line(&key.span());
            let absent = self.known.iter().copied().filter(|known| !self.has(known));
            let meant = nearest(name, absent).or_else(|| nearest(name, self.known.iter().copied()));
            let problem = Problem::new(line, format!("unknown key `{name}` in {}", self.title));
            self.note(match meant {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint(format!("known here: {}", self.known.join(", "))),
            });
            meant_keys.extend(meant);
        }
        // A key that is only misspelt is not missing as well.
        for (key, example) in self.missing.iter().filter(|(key, _)| !meant_keys.contains(key)) {
            let problem = Problem::new(self.line, format!("{} needs `{key}`", self.title));
            self.note(problem.hint(format!("write it like {example}")));
        }
    }

    /// Notes what is wrong with the value of a key that was read.
    pub fn refuse(&self, key: &str, line: usize, what: &str, hint: &str) {
        let reason = format!("`{key}` in {} {what}", self.title);
        self.note(Problem::new(line, reason).hint(hint));
    }

    /// A key that was refused is not unknown as well.
    pub(crate) fn know(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Missing it is a mistake, which [`Section::finish`] tells.
    pub fn require(&mut self, key: &'static str, example: &'static str) {
        if !self.has(key) {
            self.missing.push((key, example));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &Expected<'_>,
        convert: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<Located<T>> {
        let value = self.take(key)?;
        let line = self.document.value_line(value);
        let converted = convert(value.get_ref());
        if converted.is_none() {
            self.refuse_type(key, line, value.get_ref(), expected);
        }
        Some(Located { value: converted?, line })
    }

    fn refuse_type(&self, key: &str, line: usize, value: &DeValue<'_>, expected: &Expected<'_>) {
        let what = format!("is {}, not {}", name_of(value), expected.what);
        self.refuse(key, line, &what, &expected.hint);
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn enter(&self, path: String, value: &'a Value<'a>, span: Range<usize>) -> Option<Section<'a>> {
        let (document, line) = (self.document, self.document.line(&span));
        let table = value.get_ref().as_table();
        let title = format!("[{path}]");
        if table.is_none() {
            let reason = format!("{title} is {}, not a table", name_of(value.get_ref()));
            let quoted = path.strip_suffix('"').and_then(|path| path.rfind('"'));
            let key = quoted.map_or_else(|| path.rsplit('.').next(), |at| path.get(at..));
            let key = key.unwrap_or_default();
            let hint =
                format!("write {title} with its keys below it, or {key} = {{ ... }} in a line");
            self.note(Problem::new(line, reason).hint(hint));
        }
        let (known, missing) = (Vec::new(), Vec::new());
        Some(Section { path, title, line, table: table?, document, known, missing })
    }
}

fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
