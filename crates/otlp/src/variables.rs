//! Variables of the environment, one by one. What is wrong with one is told without its value, which may be
//! a secret.

use std::{ops::RangeInclusive, time::Duration};

use percent_encoding::percent_decode_str;

use crate::limits;

/// A variable that could not be taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub variable: String,
    pub reason: String,
    /// What to do about it, and what is done meanwhile.
    pub hint: String,
}

pub(crate) struct Variables<'v> {
    find: &'v dyn Fn(&str) -> Option<String>,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'v> Variables<'v> {
    pub(crate) fn new(find: &'v dyn Fn(&str) -> Option<String>) -> Self {
        Self { find, mistakes: Vec::new() }
    }

    /// Told once, also where it is met for spans and for metrics.
    pub(crate) fn mistake(&mut self, variable: &str, reason: &str, hint: &str) {
        let (variable, reason, hint) = (variable.to_owned(), reason.to_owned(), hint.to_owned());
        let mistake = Mistake { variable, reason, hint };
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// An empty one is as good as none.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = (self.find)(name)?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Of one kind of messages, or of all of them: its name, and its value.
    pub(crate) fn of_signal(&self, signal: &str, rest: &str) -> Option<(String, String)> {
        let names =
            [format!("OTEL_EXPORTER_OTLP_{signal}_{rest}"), format!("OTEL_EXPORTER_OTLP_{rest}")];
        names.into_iter().find_map(|name| self.text(&name).map(|value| (name, value)))
    }

    pub(crate) fn number(&mut self, name: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(text) = self.text(name) else { return default };
        match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let reason =
                    format!("it is no whole number from {} to {}", range.start(), range.end());
                self.mistake(name, &reason, &format!("{default} is taken"));
                default
            }
        }
    }

    pub(crate) fn time(&mut self, name: &str, default_ms: u64) -> Duration {
        Duration::from_millis(self.number(name, default_ms, limits::TIMES_MS))
    }
}

/// `name=value,name=value`, the values percent-encoded where they have to be.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut pairs = Vec::new();
    for (index, part) in parts.enumerate() {
        let place = index + 1;
        let (name, value) =
            part.split_once('=').ok_or_else(|| format!("pair {place} has no `=`"))?;
        let (name, value) = (name.trim(), percent_decode_str(value.trim()).decode_utf8());
        let value = value.map_err(|_| format!("the value of pair {place} is no UTF-8"))?;
        if name.is_empty() {
            return Err(format!("pair {place} has no name"));
        }
        pairs.push((name.to_owned(), value.into_owned()));
    }
    match pairs.len() {
        0..=limits::PAIRS => Ok(pairs),
        _ => Err(format!("there are more than {} pairs", limits::PAIRS)),
    }
}
