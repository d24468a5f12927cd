//! Single values: texts, numbers, durations, words.

use std::{
    fmt,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::{Expected, Section, Value};
use crate::{
    Located, Problem,
    units::{self, show_bytes, show_duration},
};

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

impl<'a> Section<'a> {
    /// A text in which something stands.
    pub fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        self.filled_text(key, "leave the key out, or say something")
    }

    pub fn required_text(
        &mut self,
        key: &'static str,
        example: &'static str,
    ) -> Option<Located<String>> {
        self.require(key, example);
        self.filled_text(key, &format!("write it like {example}"))
    }

    /// A text in which `${NAME}` is taken from the environment. It may hold a secret: nothing of it
    /// is repeated here, and `parse` may repeat only what never is one.
    pub fn required_url<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Located<T>> {
        self.require(key, example);
        self.url(key, example, parse)
    }

    /// The same, where it may be left out.
    pub fn url<T, E: fmt::Display>(
        &mut self,
        key: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Located<T>> {
        let Located { value, line } = self.filled_text(key, &format!("write it like {example}"))?;
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

    pub(crate) fn scalar(&mut self, key: &'static str) -> Option<Located<Scalar>> {
        let hint = format!("write it like {key} = \"...\"");
        self.read(key, &Expected { what: "a single value", hint }, scalar)
    }

    fn filled_text(&mut self, key: &'static str, hint: &str) -> Option<Located<String>> {
        let text =
            self.read(key, &text_expected(key), |value| value.as_str().map(str::to_owned))?;
        if text.value.trim().is_empty() {
            self.refuse(key, text.line, "is empty", hint);
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
}

fn text_expected(key: &str) -> Expected<'static> {
    Expected { what: "a text", hint: format!("put it between quotes: {key} = \"...\"") }
}

pub(super) fn scalar(value: &DeValue<'_>) -> Option<Scalar> {
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
