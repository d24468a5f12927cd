//! Tags of a widget, with placeholders for its parameters.

use samovar_cache::{Tag, TagError};
use samovar_widgets::{Located, Problem};

/// How a global tag begins.
const GLOBAL: &str = "global:";

/// A tag such as `campaign/{campaign}`.
#[derive(Clone, Debug)]
pub(crate) struct TagTemplate(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Param(String),
}

impl TagTemplate {
    /// # Errors
    /// A placeholder that is none of `params`, or a text that cannot become a tag.
    pub(crate) fn parse(tag: &Located<String>, params: &[&str]) -> Result<Self, Problem> {
        let Located { value: text, line } = tag;
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| {
                let problem = Problem::new(*line, format!("a {{ in the tag `{text}` has no }}"));
                problem.hint("write it like orders/{channel}")
            })?;
            if !params.contains(&name) {
                return Err(unknown(name, *line, params));
            }
            parts.extend([Part::Text(before.to_owned()), Part::Param(name.to_owned())]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self(parts);
        template
            .fill(|_| "x")
            .map_err(|error| Problem::new(*line, &error).hint(hint_for(&error)))?;
        Ok(template)
    }

    /// Its first segment, unless something is filled in there.
    pub(crate) fn root(&self) -> Option<&str> {
        let Some(Part::Text(text)) = self.0.first() else { return None };
        match text.split_once('/') {
            Some((root, _)) => Some(root),
            None if self.0.len() == 1 => Some(text),
            None => None,
        }
    }

    pub(crate) fn fill<'v>(&self, value: impl Fn(&str) -> &'v str) -> Result<Tag, TagError> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                // A value is a part of one segment: it moves the tag nowhere else.
                Part::Param(name) if value(name).contains('/') => {
                    let tag = value(name).to_owned();
                    return Err(TagError::Character { tag, bad: '/' });
                }
                Part::Param(name) => filled.push_str(value(name)),
            }
        }
        let is_global =
            matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with(GLOBAL));
        if is_global { filled.parse() } else { Tag::new(&filled) }
    }
}

fn unknown(name: &str, line: usize, params: &[&str]) -> Problem {
    let problem = Problem::new(line, format!("`{{{name}}}` is not a parameter of this widget"));
    if name == "tenant" {
        return problem
            .hint("leave it out: a tag is the tenant's own, unless it begins with global:");
    }
    problem.meant(name, params.iter().copied(), || {
        if params.is_empty() {
            return "a tag holds parameters, and the widget has none".to_owned();
        }
        let known: Vec<_> = params.iter().map(|name| format!("{{{name}}}")).collect();
        format!("a tag holds parameters: {}", known.join(", "))
    })
}

pub(crate) fn hint_for(error: &TagError) -> &'static str {
    match error {
        TagError::EmptySegment { .. } => "leave out the slash that has nothing beside it",
        TagError::TooLong { .. } | TagError::TooDeep { .. } => "name something broader",
        _ => "write it like orders, orders/{channel} or global:rates",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TagTemplate, Problem> {
        TagTemplate::parse(&Located { value: text.to_owned(), line: 1 }, &["id"])
    }

    #[test]
    fn placeholders_are_filled_with_values() {
        let template = parse("campaign/{id}/gifts").expect("valid");
        let tag = template.fill(|_| "7").expect("a tag");
        assert_eq!(tag.to_string(), "campaign/7/gifts");
        for wrong in ["a b", "a/b", "", "7/../8"] {
            assert!(template.fill(|_| wrong).is_err(), "{wrong}");
        }
        assert!(parse("{id}").expect("valid").fill(|_| "global:x").is_err());
        for (text, root) in [
            ("campaign/{id}/gifts", Some("campaign")),
            ("gifts", Some("gifts")),
            ("{id}/gifts", None),
            ("gifts-{id}", None),
        ] {
            assert_eq!(parse(text).expect("valid").root(), root);
        }
        let global = parse("global:rates/{id}").expect("valid").fill(|_| "usd").expect("a tag");
        assert!(global.is_global());
    }

    #[test]
    fn templates_that_can_never_be_a_tag_are_refused() {
        for wrong in ["campaign/{name}", "campaign/{id", "campaign//{id}", "{id} and more", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
