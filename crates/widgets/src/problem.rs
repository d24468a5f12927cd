//! Mistakes in a file, told so that they can be corrected.

use std::fmt;

/// One mistake, or something that is probably one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// That sets the key, where it does not stand in the file.
    pub variable: Option<String>,
    pub reason: String,
    /// What to do about it. Everything that a check tells has one.
    pub hint: Option<String>,
    pub severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    /// It is told, and nothing fails because of it.
    Warning,
}

impl Problem {
    pub fn new(line: usize, reason: impl fmt::Display) -> Self {
        let (variable, hint) = (None, None);
        Self { line, variable, reason: reason.to_string(), hint, severity: Severity::Error }
    }

    pub fn warning(line: usize, reason: impl fmt::Display) -> Self {
        Self { severity: Severity::Warning, ..Self::new(line, reason) }
    }

    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The hint of a problem whose finder knew none.
    pub fn or_hint(self, hint: impl FnOnce() -> String) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint()) }
    }

    /// The nearest of what there is, or else what to do.
    pub fn meant<'a>(
        self,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
        otherwise: impl FnOnce() -> String,
    ) -> Self {
        match nearest(name, candidates) {
            Some(meant) => self.hint(format!("did you mean `{meant}`?")),
            None => self.hint(otherwise()),
        }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A value and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub line: usize,
}

/// The candidate that somebody who wrote `name` probably meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.8;
    let likeness = |candidate| (strsim::jaro_winkler(name, candidate), candidate);
    let rated = candidates.into_iter().map(likeness).filter(|(rate, _)| *rate > ALIKE);
    rated.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["freshness", "source", "query", "tags"];
        assert_eq!(nearest("fresness", known), Some("freshness"));
        assert_eq!(nearest("tag", known), Some("tags"));
        assert_eq!(nearest("colour", known), None);
    }
}
