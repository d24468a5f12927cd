//! Entries of the audit log: who asked for what change, of which tenants, and what became of it.

use serde::{Deserialize, Serialize};

use crate::limits;

/// What is written down. No secret is part of it: no token, no password, no payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEntry {
    pub who: String,
    /// Of whoever that is; nothing where it is not known.
    pub role: Option<String>,
    /// Where the request came from: an address, or the socket.
    pub from: String,
    /// The request: its method and path.
    pub what: String,
    /// That it named; nothing where it concerned none, or all.
    pub tenants: Vec<String>,
    /// What else it asked for.
    pub detail: Option<String>,
    pub outcome: Outcome,
    /// The code of the error, or the status.
    pub code: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    /// Whoever asked may not, or asked for what cannot be.
    Refused,
    /// It may have been done in part.
    Failed,
}

/// As it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Later ones have larger ones.
    pub id: u64,
    /// In milliseconds since the epoch, by the store's clock.
    pub at_ms: u64,
    /// When the same was asked last, where it was asked again within a minute.
    pub last_ms: u64,
    /// How often it was asked until then.
    pub times: u64,
    #[serde(flatten)]
    pub entry: NewEntry,
}

/// A page, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entries {
    pub entries: Vec<Entry>,
    /// What to ask for the next page with; nothing after the last one.
    pub before: Option<u64>,
}

impl NewEntry {
    /// Texts that somebody else wrote are brought within their limits.
    pub(crate) fn bounded(mut self) -> Self {
        for text in [&mut self.who, &mut self.what] {
            cut(text);
        }
        self.detail.as_mut().map(cut);
        self.tenants.truncate(limits::TENANTS);
        self.tenants.iter_mut().for_each(cut);
        self
    }

    /// What makes two of them the same.
    pub(crate) fn key(&self) -> String {
        let Self { who, what, tenants, outcome, code, .. } = self;
        format!("{who}\n{what}\n{}\n{outcome:?}\n{code}", tenants.join("\n"))
    }
}

fn cut(text: &mut String) {
    if text.len() > limits::DETAIL_BYTES {
        let end = (0..=limits::DETAIL_BYTES - 3).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        for mut text in ["ä".repeat(1000), "x".repeat(501), "ab€".repeat(300)] {
            cut(&mut text);
            assert!(text.len() <= limits::DETAIL_BYTES && text.ends_with('…'), "{}", text.len());
        }
        let mut short = "x".repeat(limits::DETAIL_BYTES);
        cut(&mut short);
        assert_eq!(short.len(), limits::DETAIL_BYTES);
    }
}
