//! Patterns over keys, resolved against the templates that make them: there is no index of keys.

use crate::{
    key::{KeyError, KeyTemplate, Part},
    limits,
};

/// A pattern over keys as shown: `*` is any text, `?` one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// What a pattern means for the keys of one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// No key of the template can match.
    Nothing,
    /// One reading, of the tenant that stands in the key.
    Exact {
        tenant: String,
    },
    /// Possibly many, all of one tenant.
    OfTenant {
        tenant: String,
    },
    OfAll,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, KeyError> {
        match text.len() {
            0 => Err(KeyError::EmptyPattern),
            bytes if bytes > limits::KEY_BYTES => Err(KeyError::TooLong { bytes }),
            _ => Ok(Self(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn resolve(&self, template: &KeyTemplate, widget: &str) -> Resolved {
        if !self.may_match(template, widget) {
            return Resolved::Nothing;
        }
        match self.tenant(template, widget) {
            None => Resolved::OfAll,
            // The version of the definition ends every key, so only a whole key has a `#`.
            Some(tenant) if self.0.contains('#') && !self.0.contains(['*', '?']) => {
                Resolved::Exact { tenant }
            }
            Some(tenant) => Resolved::OfTenant { tenant },
        }
    }

    /// Whether some key of the template matches: the intersection of two globs, the template's
    /// being its literals with anything at the placeholders and at the end.
    fn may_match(&self, template: &KeyTemplate, widget: &str) -> bool {
        let mut keys = Vec::new();
        for part in template.parts.iter() {
            match part {
                Part::Literal(text) => keys.extend(text.chars().map(Some)),
                Part::Widget => keys.extend(widget.chars().map(Some)),
                Part::Tenant | Part::Bucket | Part::Param(_) => keys.push(None),
            }
        }
        keys.push(None);
        let pattern: Vec<char> = self.0.chars().collect();
        // `reach[j]`: the pattern so far and the first `j` symbols of the keys can name one text.
        let mut reach = vec![false; keys.len() + 1];
        reach[0] = true;
        let anything = |reach: &mut [bool]| {
            for j in 0..keys.len() {
                if keys[j].is_none() && reach[j] {
                    reach[j + 1] = true;
                }
            }
        };
        anything(&mut reach);
        for symbol in pattern {
            let mut next = vec![false; keys.len() + 1];
            for j in 0..=keys.len() {
                if !reach[j] {
                    continue;
                }
                if symbol == '*' {
                    next[j..].fill(true);
                    break;
                }
                match keys.get(j) {
                    Some(Some(c)) if symbol == '?' || *c == symbol => next[j + 1] = true,
                    Some(None) => next[j] = true,
                    _ => {}
                }
                // A placeholder that ended at `j` may also take this symbol.
                if j > 0 && keys[j - 1].is_none() {
                    next[j] = true;
                }
            }
            anything(&mut next);
            reach = next;
        }
        reach[keys.len()]
    }

    /// The tenant, when the pattern spells it out up to the next literal.
    fn tenant(&self, template: &KeyTemplate, widget: &str) -> Option<String> {
        let mut rest = self.0.as_str();
        let mut parts = template.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(text) => rest = rest.strip_prefix(&**text)?,
                Part::Widget => rest = rest.strip_prefix(widget)?,
                Part::Tenant | Part::Bucket | Part::Param(_) => {
                    let end = match parts.peek() {
                        Some(Part::Literal(text)) => rest.find(text.chars().next()?)?,
                        Some(_) => return None,
                        None => rest.find(['@', '?', '#'])?,
                    };
                    let (value, after) = rest.split_at(end);
                    if value.is_empty() || value.contains(['*', '?']) {
                        return None;
                    }
                    if *part == Part::Tenant {
                        return unescape(value);
                    }
                    rest = after;
                }
            }
        }
        None
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (hex, after) = rest.split_first_chunk::<2>()?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_resolve_to_the_narrowest_thing_that_covers_them() {
        let template = KeyTemplate::parse("widget:{widget}:{tenant}:{bucket}").expect("valid");
        let resolve = |text: &str| Pattern::new(text).expect("valid").resolve(&template, "stats");
        let tenant = || "12".to_owned();
        assert_eq!(resolve("*"), Resolved::OfAll);
        assert_eq!(resolve("widget:st?ts:*"), Resolved::OfAll);
        assert_eq!(resolve("widget:stats:12:*"), Resolved::OfTenant { tenant: tenant() });
        assert_eq!(resolve("widget:stats:1*"), Resolved::OfAll);
        assert_eq!(resolve("widget:stats:12:2025-08-06#1"), Resolved::Exact { tenant: tenant() });
        assert_eq!(resolve("widget:live:*"), Resolved::Nothing);
        assert_eq!(resolve("menu:*"), Resolved::Nothing);
        assert_eq!(resolve("widget:stats"), Resolved::Nothing);
    }

    #[test]
    fn a_pattern_that_matches_a_key_never_resolves_to_nothing() {
        let template = KeyTemplate::parse("a:{x}:b{tenant}").expect("valid");
        for pattern in ["a:*", "*:b*", "a:?:b1#v", "*b1*", "a:q:b1#v", "?*", "*#v", "a*b1#v"] {
            let resolved = Pattern::new(pattern).expect("valid").resolve(&template, "w");
            assert_ne!(resolved, Resolved::Nothing, "{pattern} matches a:q:b1#v");
        }
    }
}
