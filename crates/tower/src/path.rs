//! Paths of rules, such as `/restaurants/{restaurant}/menu/{item}`, and the paths of requests.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::{limits, rules::Problem};

/// One part of a rule's path, between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Decoded.
    Text(String),
    Param(String),
    /// All that follows, one segment at least; always the last.
    Rest(String),
}

/// The path of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    pub(crate) segments: Vec<Segment>,
}

impl PathPattern {
    pub(crate) fn parse(path: &str) -> Result<Self, Problem> {
        if path.len() > limits::TEMPLATE_BYTES {
            return Err(Problem::TooLong { bytes: path.len() });
        }
        let Some(path) = path.strip_prefix('/') else { return Err(Problem::NoSlash) };
        // A slash at the end says nothing, neither here nor in a request.
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut pattern = Self { segments: Vec::new() };
        if path.is_empty() {
            return Ok(pattern);
        }
        for text in path.split('/') {
            if let Some(Segment::Rest(rest)) = pattern.segments.last() {
                return Err(Problem::RestNotLast { name: rest.clone() });
            }
            let segment = parse_segment(text)?;
            if let Segment::Param(name) | Segment::Rest(name) = &segment
                && pattern.position(name).is_some()
            {
                return Err(Problem::Twice { name: name.clone() });
            }
            pattern.segments.push(segment);
        }
        match pattern.segments.len() {
            count if count > limits::PATH_SEGMENTS => Err(Problem::TooManySegments { count }),
            _ => Ok(pattern),
        }
    }

    /// Where the parameter of this name stands.
    pub(crate) fn position(&self, wanted: &str) -> Option<usize> {
        self.segments.iter().position(|segment| match segment {
            Segment::Param(name) | Segment::Rest(name) => name == wanted,
            Segment::Text(_) => false,
        })
    }

    /// The names of all parameters, as they are written.
    pub(crate) fn params(&self) -> String {
        let names = self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) | Segment::Rest(name) => Some(format!("`{{{name}}}`")),
            Segment::Text(_) => None,
        });
        match names.collect::<Vec<_>>() {
            names if names.is_empty() => "none".to_owned(),
            names => names.join(", "),
        }
    }
}

fn parse_segment(text: &str) -> Result<Segment, Problem> {
    let wrong = |why| Problem::Segment { segment: text.to_owned(), why };
    if text.is_empty() {
        return Err(wrong("nothing stands between two slashes"));
    }
    if let Some(inside) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))
        && !inside.contains(['{', '}'])
    {
        let (name, is_rest) = inside.strip_prefix('*').map_or((inside, false), |it| (it, true));
        if !is_param_name(name) {
            return Err(wrong("a parameter is named by letters, digits and `_`"));
        }
        let name = name.to_owned();
        return Ok(if is_rest { Segment::Rest(name) } else { Segment::Param(name) });
    }
    if text.contains(['{', '}']) {
        return Err(wrong("a parameter is a whole segment"));
    }
    if text.starts_with([':', '*']) {
        return Err(wrong("a parameter is written `{name}`, all that follows `{*name}`"));
    }
    if text.contains(['?', '#']) {
        return Err(wrong("a path ends before its query"));
    }
    decode(text).map(|text| Segment::Text(text.into_owned())).ok_or(wrong("it is not UTF-8"))
}

pub(crate) fn is_param_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The text of a segment; nothing when it is no text.
pub(crate) fn decode(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

/// The next segment of a request's path and what follows it. Empty segments do not count, so that
/// a slash too many does not make a rule miss a write.
pub(crate) fn next_segment(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return None;
    }
    Some(path.split_once('/').unwrap_or((path, "")))
}

/// The segments of a request's path, as they came: split before they are decoded, so that `%2F` is
/// a part of its segment.
#[derive(Clone, Debug)]
pub(crate) struct Values<'a>(Vec<&'a str>);

impl<'a> Values<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        Self(path.split('/').filter(|segment| !segment.is_empty()).collect())
    }

    /// The value of the parameter at `position`; nothing when it is no text.
    pub(crate) fn one(&self, position: usize) -> Option<Cow<'a, str>> {
        self.0.get(position).and_then(|segment| decode(segment))
    }

    /// The values from `position` on.
    pub(crate) fn rest(&self, position: usize) -> impl Iterator<Item = Option<Cow<'a, str>>> {
        self.0.iter().skip(position).map(|segment| decode(segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text_parameters_and_a_rest() {
        let pattern = PathPattern::parse("/caf%C3%A9/{item}/{*more}/").expect("sound");
        assert_eq!(
            pattern.segments,
            [
                Segment::Text("café".to_owned()),
                Segment::Param("item".to_owned()),
                Segment::Rest("more".to_owned())
            ]
        );
        assert_eq!(pattern.position("more"), Some(2));
        assert_eq!(pattern.position("café"), None);
        assert_eq!(PathPattern::parse("/").expect("sound").segments, []);
    }

    #[test]
    fn every_mistake_has_its_message() {
        for (path, message) in [
            ("orders", "begins with a slash"),
            ("", "begins with a slash"),
            ("/a//b", "between two slashes"),
            ("/a/{}", "letters, digits"),
            ("/a/{b c}", "letters, digits"),
            ("/a/{b", "whole segment"),
            ("/a/x-{b}", "whole segment"),
            ("/a/{b}{c}", "whole segment"),
            ("/a/:b", "`{name}`"),
            ("/a/*", "`{*name}`"),
            ("/a?b=c", "before its query"),
            ("/a/%ff", "not UTF-8"),
            ("/{a}/{a}", "twice"),
            ("/{*a}/b", "last"),
        ] {
            let error = PathPattern::parse(path).expect_err(path).to_string();
            assert!(error.contains(message), "{path}: {error}");
        }
        let deep = "/a".repeat(limits::PATH_SEGMENTS + 1);
        assert!(matches!(PathPattern::parse(&deep), Err(Problem::TooManySegments { .. })));
        let long = format!("/{}", "a".repeat(limits::TEMPLATE_BYTES));
        assert!(matches!(PathPattern::parse(&long), Err(Problem::TooLong { .. })));
    }

    #[test]
    fn segments_are_split_before_they_are_decoded() {
        let values = Values::of("//a%2Fb/c%20d/%ff/");
        assert_eq!(values.one(0).as_deref(), Some("a/b"));
        assert_eq!(values.one(1).as_deref(), Some("c d"));
        assert_eq!(values.one(2), None);
        assert_eq!(values.rest(1).count(), 2);
    }
}
