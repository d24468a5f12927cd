//! Mistakes in a file, told so that they can be corrected.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(line: usize, reason: impl fmt::Display) -> Self {
        Self { line, reason: reason.to_string(), hint: None }
    }

    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
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
