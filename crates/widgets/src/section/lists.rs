//! Lists: of texts, of values, of tables.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    Expected, Section, Value, name_of,
    values::{Scalar, ScalarKind, scalar},
};
use crate::{
    Located, Problem,
    units::{self, show_duration},
};

impl<'a> Section<'a> {
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

    /// A list of durations; a number alone counts seconds.
    pub fn durations(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<usize>,
        each: RangeInclusive<Duration>,
    ) -> Option<Vec<Duration>> {
        let hint = format!("write it like {key} = [60, \"5m\"]");
        let elements =
            self.elements(key, &Expected { what: "a list of durations", hint }, bounds)?;
        let read = |element: &'a Value<'a>| {
            let scalar = scalar(element.get_ref());
            let duration = scalar.as_ref().and_then(|it| match it.kind {
                ScalarKind::Text => units::duration(&it.text),
                ScalarKind::Integer => it.text.parse().ok().map(Duration::from_secs),
                _ => None,
            });
            let duration = duration.filter(|it| each.contains(it));
            if duration.is_none() {
                let line = self.document.value_line(element);
                let (least, most) = (show_duration(*each.start()), show_duration(*each.end()));
                let hint =
                    format!("list seconds, or durations like \"5m\", from {least} to {most}");
                self.refuse(key, line, "lists what is no duration, or too long", &hint);
            }
            duration
        };
        let read: Vec<Duration> = elements.iter().filter_map(read).collect();
        (read.len() == elements.len()).then_some(read)
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
}
