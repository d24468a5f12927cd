//! A TOML file with the lines of everything in it, and the problems found in it so far.

use std::{cell::RefCell, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Overrides, Problem, Section, environment::Environment};

/// A file that is being read.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
    environment: Environment<'t>,
    problems: RefCell<Vec<Problem>>,
    overrides: Option<&'t Overrides>,
}

impl<'t> Document<'t> {
    /// In an environment without any variable.
    ///
    /// # Errors
    /// What is no TOML; then nothing else can be said about it.
    pub fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        Self::parse_in(|_| None, text)
    }

    /// With what `${NAME}` stands for.
    ///
    /// # Errors
    /// What is no TOML; then nothing else can be said about it.
    pub fn parse_in(
        environment: impl Fn(&str) -> Option<String> + 't,
        text: &'t str,
    ) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let environment = Environment::new(environment);
        let problems = RefCell::default();
        let root = root.into_inner();
        let document = Self { text, root, environment, problems, overrides: None };
        for error in errors {
            let line = document.error_line(error.message(), error.span());
            let (reason, hint) = document.explain(error.message(), error.span());
            let problem = Problem::new(line, reason).hint(hint);
            // What one slip breaks is broken once in each line.
            if document.problems.borrow().iter().all(|earlier| earlier.line != line) {
                document.note(problem);
            }
        }
        if document.problems.borrow().is_empty() { Ok(document) } else { Err(document.problems()) }
    }

    /// With keys that are set elsewhere, whatever the file says.
    ///
    /// # Errors
    /// What cannot be put into a file.
    pub fn overridden(mut self, overrides: &'t Overrides) -> Result<Self, Vec<Problem>> {
        overrides.put_into(&mut self.root, self.text.len())?;
        self.overrides = Some(overrides);
        Ok(self)
    }

    /// What stands outside of any section, and the way to the sections.
    pub fn root(&self) -> Section<'_> {
        Section::root(self, &self.root)
    }

    /// Everything that was noted, from top to bottom.
    pub fn problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        // A list in one line can be wrong in the same way many times.
        problems.dedup();
        problems
    }

    pub(crate) fn environment(&self) -> &Environment<'t> {
        &self.environment
    }

    pub(crate) fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn error_count(&self) -> usize {
        self.problems.borrow().iter().filter(|problem| problem.is_error()).count()
    }

    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        if let Some(behind) = span.start.checked_sub(self.text.len() + 1)
            && let Some(overrides) = self.overrides
        {
            return overrides.line(behind);
        }
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// A text in three quotes that is never closed is found at the end of the file, and went wrong
    /// where it was opened.
    fn error_line(&self, message: &str, span: Option<Range<usize>>) -> usize {
        let Some(span) = span else { return 1 };
        let quotes = if message.contains("literal") { "'''" } else { "\"\"\"" };
        let never_closed = message.contains("multi-line") && span.end >= self.text.len();
        let opened = self.text.rfind(quotes).filter(|_| never_closed);
        opened.map_or_else(|| self.line(&span), |at| self.line(&(at..at)))
    }

    /// The parser's words, where they help, and a way out.
    fn explain(&self, message: &str, span: Option<Range<usize>>) -> (String, &'static str) {
        const LONG: usize = 40;
        let written = span.and_then(|span| self.text.get(span)).unwrap_or_default();
        let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let way = way_out(message);
        match what {
            "duplicate key" => (format!("`{}` is declared twice", written.trim()), way),
            "string values must be quoted" if written.trim().is_empty() => {
                ("a key has no value".to_owned(), "write one behind the =, or remove the key")
            }
            "string values must be quoted" => (format!("`{written}` stands without quotes"), way),
            "invalid multi-line basic string" | "invalid multi-line literal string" => {
                ("a text in three quotes is wrong, or never closed".to_owned(), way)
            }
            _ if expected.len() > LONG => (what.to_owned(), way),
            _ => (message.to_owned(), way),
        }
    }

    /// Where a value begins. For a text in three quotes that opens with a line break that is the
    /// line behind it, so that the nth line of the text is n lines further on.
    pub(crate) fn value_line(&self, value: &Spanned<DeValue<'_>>) -> usize {
        let line = self.line(&value.span());
        let written = self.text.get(value.span()).unwrap_or_default();
        let opened = written.strip_prefix("\"\"\"").or_else(|| written.strip_prefix("'''"));
        let breaks = opened.is_some_and(|text| text.starts_with('\n') || text.starts_with("\r\n"));
        line + usize::from(breaks)
    }
}

/// What helps against a mistake that the parser names so.
fn way_out(message: &str) -> &'static str {
    const WAYS: [(&str, &str); 12] = [
        ("duplicate key", "a name stands for one thing: remove one of the two, or rename it"),
        ("string values must be quoted", "put texts between quotes, \"like this\""),
        ("quote", "put texts between quotes, \"like this\""),
        ("basic string", "close it with the quotes that opened it; a quote inside is written \\\""),
        ("literal string", "close it with the quotes that opened it"),
        ("array", "a list is written [\"a\", \"b\"]"),
        ("inline table", "a table in a line is written { a = 1, b = 2 }"),
        ("key-value pairs", "a table in a line is written { a = 1, b = 2 }"),
        ("table", "a section begins with a line like [widget.sales]"),
        ("escape", "in \"quotes\" a backslash is written \\\\; in 'quotes' nothing is escaped"),
        ("recurse", "nothing here is nested that deep"),
        ("digit", "numbers are written like 10 or 0.8"),
    ];
    let way = WAYS.iter().find(|(word, _)| message.contains(word));
    way.map_or("each line is a section like [source.shop] or a key like url = \"...\"", |it| it.1)
}
