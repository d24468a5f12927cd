//! A TOML file read section by section: nothing in it goes unread, and each mistake is noted with
//! its line while the reading goes on.

use std::{cell::RefCell, ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Located, Problem, nearest, parse_bytes, parse_duration};

/// A file and the problems found in it so far.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Document<'t> {
    /// # Errors
    /// What is no TOML; then nothing else can be said about it.
    pub fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { text, root: root.into_inner(), problems: RefCell::new(Vec::new()) };
        for error in errors {
            let line = error.span().map_or(1, |span| document.line(&span));
            document.note(Problem::new(line, error.message()));
        }
        if document.problems.borrow().is_empty() { Ok(document) } else { Err(document.problems()) }
    }

    /// What stands outside of any section, and the way to the sections.
    pub fn root(&self) -> Section<'_> {
        let title = "the top level".to_owned();
        Section { title, line: 1, table: &self.root, document: self, known: Vec::new() }
    }

    /// Everything that was noted, from top to bottom.
    pub fn problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}

/// A table of the file. Each key that is asked for counts as known; [`Section::finish`] complains
/// about the others.
#[derive(Debug)]
pub struct Section<'a> {
    title: String,
    line: usize,
    table: &'a DeTable<'a>,
    document: &'a Document<'a>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub fn line(&self) -> usize {
        self.line
    }

    pub fn note(&self, problem: Problem) {
        self.document.note(problem);
    }

    pub fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        self.read(key, "a text", |value| value.as_str().map(|text| Ok(text.to_owned())))
    }

    pub fn required_text(&mut self, key: &'static str) -> Option<Located<String>> {
        if !self.has(key) {
            self.note(Problem::new(self.line, format!("{} needs `{key}`", self.title)));
        }
        self.text(key)
    }

    pub fn flag(&mut self, key: &'static str) -> Option<Located<bool>> {
        self.read(key, "true or false", |value| value.as_bool().map(Ok))
    }

    pub fn count(&mut self, key: &'static str, bounds: Range<usize>) -> Option<Located<usize>> {
        self.read(key, "a whole number", |value| {
            let number = value.as_integer()?;
            let number = usize::from_str_radix(number.as_str(), number.radix()).ok();
            let (least, most) = (bounds.start, bounds.end - 1);
            let good = number.filter(|number| bounds.contains(number));
            Some(good.ok_or_else(|| format!("it must lie between {least} and {most}")))
        })
    }

    pub fn duration(&mut self, key: &'static str) -> Option<Located<Duration>> {
        self.read(key, "a duration like \"30s\"", |value| value.as_str().map(parse_duration))
    }

    pub fn bytes(&mut self, key: &'static str) -> Option<Located<u64>> {
        self.read(key, "a size like \"256MB\"", |value| value.as_str().map(parse_bytes))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        self.read(key, "a text", |value| {
            let text = value.as_str()?;
            let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
            let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            Some(chosen.ok_or_else(|| format!("`{text}` is none of: {}", names())))
        })
    }

    pub fn texts(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        let elements = self.elements(key, "a list of texts")?;
        let read = |value: &'a Spanned<DeValue<'a>>| {
            let line = self.document.line(&value.span());
            let text = value.get_ref().as_str();
            if text.is_none() {
                self.note(Problem::new(line, format!("`{key}` is a list of texts")));
            }
            Some(Located { value: text?.to_owned(), line })
        };
        Some(elements.iter().filter_map(read).collect())
    }

    /// The table `key`.
    pub fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.take(key)?;
        self.enter(format!("[{key}]"), value, value.span())
    }

    /// The tables `key.*` with their names.
    pub fn sections(&mut self, key: &'static str) -> Vec<(Located<String>, Section<'a>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(outer) = self.enter(format!("[{key}]"), value, value.span()) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in outer.table {
            let (text, span) = (name.get_ref().to_string(), name.span());
            if let Some(section) = self.enter(format!("[{key}.{text}]"), value, span) {
                sections.push((Located { value: text, line: section.line }, section));
            }
        }
        sections
    }

    /// The tables in the list `key`.
    pub fn list(&mut self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let elements = self.elements(key, "a list of tables")?;
        let enter = |value| self.enter(format!("`{key}`"), value, Spanned::span(value));
        Some(elements.iter().filter_map(enter).collect())
    }

    /// Complains about keys that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let line = self.document.line(&key.span());
            let problem = Problem::new(line, format!("unknown key `{name}` in {}", self.title));
            let known = self.known.iter().copied();
            self.note(match nearest(name, known) {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint(format!("known here: {}", self.known.join(", "))),
            });
        }
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl FnOnce(&DeValue<'a>) -> Option<Result<T, String>>,
    ) -> Option<Located<T>> {
        let value = self.take(key)?;
        let line = self.document.line(&value.span());
        let wrong_type =
            || Err(format!("expected {expected}, found {}", value.get_ref().type_str()));
        match convert(value.get_ref()).unwrap_or_else(wrong_type) {
            Ok(value) => Some(Located { value, line }),
            Err(reason) => {
                self.note(Problem::new(line, format!("`{key}` in {}: {reason}", self.title)));
                None
            }
        }
    }

    fn elements(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Option<&'a [Spanned<DeValue<'a>>]> {
        let value = self.take(key)?;
        let elements = value.get_ref().as_array();
        if elements.is_none() {
            let line = self.document.line(&value.span());
            self.note(Problem::new(line, format!("`{key}` in {} is {expected}", self.title)));
        }
        elements.map(|elements| &**elements)
    }

    fn enter(
        &self,
        title: String,
        value: &'a Spanned<DeValue<'a>>,
        span: Range<usize>,
    ) -> Option<Section<'a>> {
        let (document, line) = (self.document, self.document.line(&span));
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.note(Problem::new(line, format!("{title} is a table, not a single value")));
        }
        Some(Section { title, line, table: table?, document, known: Vec::new() })
    }
}
