//! A table of a file, read key by key: nothing in it goes unread, and each mistake is noted with its
//! line while the reading goes on.

use std::{
    fmt,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    Document, Located, Problem, nearest,
    units::{self, show_bytes, show_duration},
};

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

/// One value that is neither a list nor a table, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) kind: ScalarKind,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Text,
    Integer,
    Float,
    Boolean,
    Date,
}

/// What a value should have been.
struct Expected<'e> {
    what: &'e str,
    hint: String,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    pub(crate) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        let title = "the top level".to_owned();
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

    /// A text in which something stands.
    pub fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        let text =
            self.read(key, &text_expected(key), |value| value.as_str().map(str::to_owned))?;
        self.filled(key, text)
    }

    pub fn required_text(
        &mut self,
        key: &'static str,
        example: &'static str,
    ) -> Option<Located<String>> {
        self.require(key, example);
        self.text(key)
    }

    /// A text in which `${NAME}` is taken from the environment. It may hold a secret: nothing of it
    /// is repeated here, and `parse` may repeat only what never is one.
    pub fn required_url<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Located<T>> {
        let Located { value, line } = self.required_text(key, example)?;
        let title = &self.title;
        let filled = self.document.environment().fill(&value).map_err(|unfilled| {
            let reason = format!("`{key}` in {title}: {unfilled}");
            Problem::new(line, reason).hint(unfilled.hint())
        });
        let parsed = filled.and_then(|filled| {
            parse(&filled).map_err(|error| {
                // The scheme is what gets repeated, so it has to stand in the file.
                let scheme = value.split_once("://").map_or("", |(scheme, _)| scheme);
                let problem = if scheme.contains("${") || filled != value && scheme.is_empty() {
                    let said = "what the environment gives cannot be used";
                    Problem::new(line, format!("`{key}` in {title}: {said}"))
                } else {
                    Problem::new(line, format!("`{key}` in {title}: {error}"))
                };
                problem.hint(format!("write it like {example}"))
            })
        });
        match parsed {
            Ok(value) => Some(Located { value, line }),
            Err(problem) => {
                self.note(problem);
                None
            }
        }
    }

    pub fn flag(&mut self, key: &'static str) -> Option<Located<bool>> {
        let hint = format!("write {key} = true or {key} = false");
        self.read(key, &Expected { what: "true or false", hint }, DeValue::as_bool)
    }

    pub fn count(&mut self, key: &'static str, bounds: Range<usize>) -> Option<Located<usize>> {
        let hint = format!("write a number between {} and {}", bounds.start, bounds.end - 1);
        let expected = Expected { what: "a whole number", hint };
        let read = self.read(key, &expected, |value| {
            let number = value.as_integer()?;
            let count = usize::from_str_radix(number.as_str(), number.radix()).ok();
            Some((number.to_string(), count.filter(|count| bounds.contains(count))))
        });
        let Located { value: (written, count), line } = read?;
        if count.is_none() {
            self.refuse(key, line, &format!("is {written}"), &expected.hint);
        }
        Some(Located { value: count?, line })
    }

    /// Whole or not.
    pub fn number(&mut self, key: &'static str) -> Option<Located<f64>> {
        let hint = format!("write it like {key} = 0.5");
        self.read(key, &Expected { what: "a number", hint }, |value| {
            let float = value.as_float().map(|it| it.as_str());
            let written = float.or_else(|| value.as_integer().map(|it| it.as_str()));
            written?.parse().ok()
        })
    }

    pub fn duration(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Located<Duration>> {
        let shown = [bounds.start(), bounds.end()].map(|it| show_duration(*it));
        let (what, hint) = ("duration", units::DURATION_HINT);
        self.measure(key, (what, hint), units::duration, bounds, shown)
    }

    pub fn bytes(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<Located<u64>> {
        let shown = [bounds.start(), bounds.end()].map(|it| show_bytes(*it));
        self.measure(key, ("size", units::SIZE_HINT), units::bytes, bounds, shown)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        let value = self.take(key)?;
        let line = self.document.value_line(value);
        self.choose(key, value, choices).map(|value| Located { value, line })
    }

    /// A table in which each key has one of a few words.
    pub fn choices<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Vec<(Located<String>, T)> {
        let table = self.take(key).and_then(|value| value.get_ref().as_table());
        let entries = table.into_iter().flat_map(DeTable::iter);
        let chosen = entries.filter_map(|(name, value)| {
            let line = self.document.line(&name.span());
            let name = name.get_ref().to_string();
            let chosen = self.choose(&format!("{key}.{name}"), value, choices)?;
            Some((Located { value: name, line }, chosen))
        });
        chosen.collect()
    }

    /// A list of texts in which something stands, none of them twice.
    pub fn texts(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Option<Vec<Located<String>>> {
        let hint = format!("write it like {key} = [\"...\", \"...\"]");
        let elements = self.elements(key, &Expected { what: "a list of texts", hint }, bounds)?;
        let mut texts: Vec<Located<String>> = Vec::new();
        for element in elements {
            let line = self.document.value_line(element);
            let Some(text) = element.get_ref().as_str() else {
                let found = name_of(element.get_ref());
                let reason = format!("`{key}` in {} is a list of texts", self.title);
                let problem = Problem::new(line, format!("{reason}, and {found} is in it"));
                self.note(problem.hint("put it between quotes"));
                continue;
            };
            let text = Located { value: text.to_owned(), line };
            texts.extend(self.listed_once(key, &texts, text));
        }
        Some(texts)
    }

    pub fn required_texts(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
        example: &'static str,
    ) -> Option<Vec<Located<String>>> {
        self.require(key, example);
        self.texts(key, bounds)
    }

    pub(crate) fn scalar(&mut self, key: &'static str) -> Option<Located<Scalar>> {
        let hint = format!("write it like {key} = \"...\"");
        self.read(key, &Expected { what: "a single value", hint }, scalar)
    }

    pub(crate) fn scalars(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Option<Vec<Located<Scalar>>> {
        let hint = format!("write it like {key} = [\"a\", \"b\"], or give a query");
        let elements = self.elements(key, &Expected { what: "a list of values", hint }, bounds)?;
        let read = |element: &'a Value<'a>| {
            let line = self.document.value_line(element);
            let scalar = scalar(element.get_ref());
            if scalar.is_none() {
                let found = name_of(element.get_ref());
                let reason = format!("`{key}` in {} lists {found}", self.title);
                self.note(Problem::new(line, reason).hint("list single values"));
            }
            Some(Located { value: scalar?, line })
        };
        Some(elements.iter().filter_map(read).collect())
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
            if let Some(section) = self.enter(format!("{path}.{text}"), value, span) {
                sections.push((Located { value: text, line: section.line }, section));
            }
        }
        sections
    }

    /// The tables in the list `key`.
    pub fn list(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
        example: &'static str,
    ) -> Option<Vec<Section<'a>>> {
        let hint = format!("write it like {example}");
        let elements = self.elements(key, &Expected { what: "a list of tables", hint }, bounds)?;
        let enter = |value: &'a Value<'a>| {
            let line = self.document.line(&value.span());
            let table = value.get_ref().as_table();
            if table.is_none() {
                let found = name_of(value.get_ref());
                let reason = format!("`{key}` in {} is a list of tables", self.title);
                let problem = Problem::new(line, format!("{reason}, and {found} is in it"));
                self.note(problem.hint(format!("write it like {example}")));
            }
            let title = format!("an entry of `{key}` in {}", self.title);
            let (path, known, missing) = (self.below(key), Vec::new(), Vec::new());
            let document = self.document;
            Some(Section { path, title, line, table: table?, document, known, missing })
        };
        Some(elements.iter().filter_map(enter).collect())
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

    fn filled(&self, key: &str, text: Located<String>) -> Option<Located<String>> {
        if text.value.trim().is_empty() {
            let hint = "say something, or leave the key out";
            self.refuse(key, text.line, "is empty", hint);
            return None;
        }
        Some(text)
    }

    fn listed_once(
        &self,
        key: &str,
        earlier: &[Located<String>],
        text: Located<String>,
    ) -> Option<Located<String>> {
        let Located { value, line } = &text;
        if value.trim().is_empty() {
            self.refuse(key, *line, "lists an empty text", "leave it out");
            return None;
        }
        if earlier.iter().any(|other| other.value == *value) {
            self.refuse(key, *line, &format!("lists `{value}` twice"), "remove one of them");
            return None;
        }
        Some(text)
    }

    fn measure<T: PartialOrd>(
        &mut self,
        key: &'static str,
        (what, hint): (&str, &str),
        parse: impl FnOnce(&str) -> Option<T>,
        bounds: RangeInclusive<T>,
        [least, most]: [String; 2],
    ) -> Option<Located<T>> {
        let article = format!("a {what} in quotes");
        let expected = Expected { what: &article, hint: format!("{hint}, in quotes") };
        let read = self.read(key, &expected, |value| value.as_str());
        let Located { value: text, line } = read?;
        match parse(text) {
            None => self.refuse(key, line, &format!("is `{text}`, no {what}"), hint),
            Some(value) if bounds.contains(&value) => return Some(Located { value, line }),
            Some(_) => {
                let hint = format!("choose something between {least} and {most}");
                self.refuse(key, line, &format!("is {text}"), &hint);
            }
        }
        None
    }

    fn choose<T: Copy>(&self, key: &str, value: &Value<'_>, choices: &[(&str, T)]) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let quoted = names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let line = self.document.value_line(value);
        let Some(text) = value.get_ref().as_str() else {
            let expected = Expected { what: "a text", hint: format!("choose one of {quoted}") };
            self.refuse_type(key, line, value.get_ref(), &expected);
            return None;
        };
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let reason = format!("`{key}` in {} is `{text}`", self.title);
            let otherwise = || format!("choose one of {quoted}");
            self.note(Problem::new(line, reason).meant(text, names(), otherwise));
        }
        chosen
    }

    fn elements(
        &mut self,
        key: &'static str,
        expected: &Expected<'_>,
        bounds: RangeInclusive<usize>,
    ) -> Option<&'a [Value<'a>]> {
        let value = self.take(key)?;
        let line = self.document.line(&value.span());
        let Some(elements) = value.get_ref().as_array() else {
            self.refuse_type(key, line, value.get_ref(), expected);
            return None;
        };
        let count = elements.len();
        if !bounds.contains(&count) {
            let (least, most) = (bounds.start(), bounds.end());
            let hint = match least {
                0 => format!("list at most {most}"),
                _ => format!("list {least} to {most}"),
            };
            let what = if count == 0 { "lists nothing".into() } else { format!("lists {count}") };
            self.refuse(key, line, &what, &hint);
            return None;
        }
        Some(elements)
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
            let hint = format!("write {title} on a line of its own and its keys below it");
            self.note(Problem::new(line, reason).hint(hint));
        }
        let (known, missing) = (Vec::new(), Vec::new());
        Some(Section { path, title, line, table: table?, document, known, missing })
    }
}

fn text_expected(key: &str) -> Expected<'static> {
    Expected { what: "a text", hint: format!("put it between quotes: {key} = \"...\"") }
}

fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn scalar(value: &DeValue<'_>) -> Option<Scalar> {
    let (kind, text) = match value {
        DeValue::String(text) => (ScalarKind::Text, text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            let text = decimal.map_or_else(|_| number.to_string(), |number| number.to_string());
            (ScalarKind::Integer, text)
        }
        DeValue::Float(number) => (ScalarKind::Float, number.as_str().to_owned()),
        DeValue::Boolean(flag) => (ScalarKind::Boolean, flag.to_string()),
        DeValue::Datetime(at) => (ScalarKind::Date, at.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    };
    Some(Scalar { kind, text })
}
