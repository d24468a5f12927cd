//! Names of data that readings depend on, as paths: `orders`, `orders/2026/11/19`.

use std::{fmt, sync::Arc};

use crate::limits;

/// A path of data, inside the tenant that uses it unless it was made [`Tag::global`].
///
/// Who depends on `orders` notices a change of `orders/2026/11/19`, and who depends on the day
/// notices a change of `orders`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    path: Arc<str>,
    global: bool,
}

/// How a global tag is written.
const GLOBAL_PREFIX: &str = "global:";

impl Tag {
    /// Up to six segments between slashes; letters, digits and `-_.:@+` in each.
    pub fn new(path: &str) -> Result<Self, TagError> {
        if path.starts_with(GLOBAL_PREFIX) {
            return Err(TagError::Prefix { tag: path.to_owned() });
        }
        check(path)?;
        Ok(Self { path: Arc::from(path), global: false })
    }

    /// A tag that all tenants share, such as exchange rates.
    pub fn global(path: &str) -> Result<Self, TagError> {
        check(path)?;
        Ok(Self { path: Arc::from(path), global: true })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn is_global(&self) -> bool {
        self.global
    }

    /// The paths above this one, the nearest last: `a`, `a/b` for `a/b/c`.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.path.match_indices('/').map(|(end, _)| &self.path[..end])
    }
}

impl std::str::FromStr for Tag {
    type Err = TagError;

    /// `orders/2026`, or `global:rates/usd`.
    fn from_str(text: &str) -> Result<Self, TagError> {
        match text.strip_prefix(GLOBAL_PREFIX) {
            Some(path) => Tag::global(path),
            None => Tag::new(text),
        }
    }
}

fn check(path: &str) -> Result<(), TagError> {
    if path.len() > limits::TAG_BYTES {
        return Err(TagError::TooLong { bytes: path.len() });
    }
    let mut depth = 0;
    for segment in path.split('/') {
        depth += 1;
        if segment.is_empty() {
            return Err(TagError::EmptySegment { tag: path.to_owned() });
        }
        if let Some(bad) = segment.chars().find(|c| !allowed(*c)) {
            return Err(TagError::Character { tag: path.to_owned(), bad });
        }
    }
    if depth > limits::TAG_DEPTH {
        return Err(TagError::TooDeep { tag: path.to_owned(), depth });
    }
    Ok(())
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '+')
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.global {
            f.write_str(GLOBAL_PREFIX)?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("tag `{tag}` is a global one: make it with Tag::global, without the prefix")]
    Prefix { tag: String },
    #[error("a tag has {bytes} bytes, at most {} are allowed", limits::TAG_BYTES)]
    TooLong { bytes: usize },
    #[error("tag `{tag}` has an empty segment: write it like `orders/2026`")]
    EmptySegment { tag: String },
    #[error("tag `{tag}` contains {bad:?}: letters, digits and -_.:@+ are allowed")]
    Character { tag: String, bad: char },
    #[error("tag `{tag}` is {depth} deep, at most {} levels are allowed", limits::TAG_DEPTH)]
    TooDeep { tag: String, depth: usize },
    #[error("a reading has {count} tags, at most {limit} are allowed")]
    TooMany { count: usize, limit: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_the_paths_above() {
        let tag = Tag::new("orders/2026/11/19").expect("valid");
        assert_eq!(
            tag.ancestors().collect::<Vec<_>>(),
            ["orders", "orders/2026", "orders/2026/11"]
        );
        assert_eq!(Tag::new("orders").expect("valid").ancestors().count(), 0);
    }

    #[test]
    fn every_mistake_has_its_message() {
        let message = |text: &str| text.parse::<Tag>().expect_err(text).to_string();
        assert!(message("").contains("empty segment"));
        assert!(message("a//b").contains("empty segment"));
        assert!(message("orders/{day}").contains("'{'"));
        assert!(message("a/b/c/d/e/f/g").contains("7 deep"));
        assert!(message(&"a".repeat(300)).contains("300 bytes"));
        assert!(matches!(Tag::new("global:a"), Err(TagError::Prefix { .. })));
    }

    #[test]
    fn what_is_shown_parses_back() {
        for text in ["orders", "campaign/123", "global:rates/usd"] {
            assert_eq!(text.parse::<Tag>().expect("valid").to_string(), text);
        }
    }
}
