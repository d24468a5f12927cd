//! Templates with placeholders: `menu/{item}` for a tag, `{restaurant}` for a tenant.

use std::borrow::Cow;

use samovar_cache::Tag;

use crate::{
    limits,
    path::{PathPattern, Segment, Values, is_param_name},
    rules::Problem,
};

/// How a global tag is written.
const GLOBAL_PREFIX: &str = "global:";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The parameter at this position of the path.
    Param(usize),
    /// All segments from this position on.
    Rest(usize),
}

impl Part {
    fn text(&self) -> Option<&str> {
        match self {
            Part::Text(text) => Some(text),
            Part::Param(_) | Part::Rest(_) => None,
        }
    }
}

fn parse(template: &str, path: &PathPattern) -> Result<Vec<Part>, Problem> {
    let wrong = |why| Problem::Template { template: template.to_owned(), why };
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        if text.contains('}') {
            return Err(wrong("a brace is closed that nobody has opened"));
        }
        let (name, after) = after.split_once('}').ok_or(wrong("a brace is not closed"))?;
        if !is_param_name(name) {
            return Err(wrong("a placeholder is written `{name}`"));
        }
        let position = path.position(name).ok_or_else(|| Problem::Unknown {
            template: template.to_owned(),
            name: name.to_owned(),
            known: path.params(),
        })?;
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.push(match path.segments[position] {
            Segment::Rest(_) => Part::Rest(position),
            _ => Part::Param(position),
        });
        rest = after;
    }
    if rest.contains('}') {
        return Err(wrong("a brace is closed that nobody has opened"));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn check_length(template: &str) -> Result<(), Problem> {
    match template.len() {
        bytes if bytes > limits::TEMPLATE_BYTES => Err(Problem::TooLong { bytes }),
        _ => Ok(()),
    }
}

/// A tag with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagTemplate {
    /// The parts of each segment of the tag; the first segment is plain text.
    segments: Vec<Vec<Part>>,
    global: bool,
}

impl TagTemplate {
    /// The first segment must be plain text: it is the broadest tag to fall back on, and no client
    /// may choose it.
    pub(crate) fn parse(template: &str, path: &PathPattern) -> Result<Self, Problem> {
        check_length(template)?;
        let (global, text) =
            template.strip_prefix(GLOBAL_PREFIX).map_or((false, template), |text| (true, text));
        let segments: Vec<Vec<Part>> =
            text.split('/').map(|segment| parse(segment, path)).collect::<Result<_, _>>()?;
        if !matches!(segments[0][..], [] | [Part::Text(_)]) {
            return Err(Problem::FirstSegment { template: template.to_owned() });
        }
        let template_of = Self { segments, global };
        // Whatever the parameters are, they have one character at least.
        let shortest: Vec<String> = template_of.segments.iter().map(|it| shortest(it)).collect();
        template_of.tag(&shortest).map_err(|error| Problem::NeverTag {
            template: template.to_owned(),
            why: error.to_string(),
        })?;
        Ok(template_of)
    }

    pub(crate) fn is_global(&self) -> bool {
        self.global
    }

    /// The tag for these values. A value that cannot be a part of a tag cuts the tag in front of
    /// its segment: the broader tag reaches what is meant, and more.
    pub(crate) fn bind(&self, values: &Values<'_>) -> Option<Tag> {
        let mut bound = Vec::new();
        for segment in &self.segments {
            let is_whole = bind_segment(segment, values, &mut bound);
            if !is_whole {
                break;
            }
        }
        // What is left may still be too deep or too long.
        while !bound.is_empty() {
            match self.tag(&bound) {
                Ok(tag) => return Some(tag),
                Err(_) => drop(bound.pop()),
            }
        }
        None
    }

    fn tag(&self, segments: &[String]) -> Result<Tag, samovar_cache::TagError> {
        let path = segments.join("/");
        if self.global { Tag::global(&path) } else { Tag::new(&path) }
    }
}

fn shortest(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text().unwrap_or("x")).collect()
}

/// Adds the segments that the parts come to; false when one cannot be added.
fn bind_segment(parts: &[Part], values: &Values<'_>, bound: &mut Vec<String>) -> bool {
    let mut segment = String::new();
    for part in parts {
        match part {
            Part::Text(text) => segment.push_str(text),
            Part::Param(position) => match values.one(*position) {
                Some(value) => segment.push_str(&value),
                None => return false,
            },
            Part::Rest(position) => {
                for (index, value) in values.rest(*position).enumerate() {
                    if index > 0 && !add(std::mem::take(&mut segment), bound) {
                        return false;
                    }
                    let Some(value) = value else { return false };
                    segment.push_str(&value);
                }
            }
        }
    }
    add(segment, bound)
}

fn add(segment: String, bound: &mut Vec<String>) -> bool {
    // A slash that came as `%2F` is no border of segments.
    let is_sound = !segment.contains('/') && Tag::global(&segment).is_ok();
    if is_sound {
        bound.push(segment);
    }
    is_sound
}

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextTemplate(Vec<Part>);

impl TextTemplate {
    pub(crate) fn parse(template: &str, path: &PathPattern) -> Result<Self, Problem> {
        check_length(template)?;
        parse(template, path).map(Self)
    }

    /// The text where it needs no parameter.
    pub(crate) fn fixed(&self) -> Option<String> {
        self.0.iter().map(Part::text).collect()
    }

    /// Nothing when a value is no text.
    pub(crate) fn bind(&self, values: &Values<'_>) -> Option<String> {
        let mut bound = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => bound.push_str(text),
                Part::Param(position) => bound.push_str(&values.one(*position)?),
                Part::Rest(position) => {
                    let values: Option<Vec<Cow<'_, str>>> = values.rest(*position).collect();
                    bound.push_str(&values?.join("/"));
                }
            }
        }
        Some(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &str, template: &str, request: &str) -> String {
        let path = PathPattern::parse(path).expect("sound");
        let template = TagTemplate::parse(template, &path).expect("sound");
        template.bind(&Values::of(request)).expect("there is a broader tag").to_string()
    }

    #[test]
    fn parameters_become_parts_of_a_tag() {
        let path = "/menu/{item}/{size}";
        assert_eq!(bind(path, "menu/{item}", "/menu/12/xl"), "menu/12");
        assert_eq!(bind(path, "menu/{size}/item-{item}", "/menu/12/xl"), "menu/xl/item-12");
        assert_eq!(bind(path, "global:sizes/{size}", "/menu/12/xl"), "global:sizes/xl");
        assert_eq!(bind(path, "menu", "/menu/12/xl"), "menu");
        assert_eq!(bind(path, "menu/{item}", "/menu/a%40b.c/xl"), "menu/a@b.c");
        assert_eq!(bind("/files/{*rest}", "files/{rest}", "/files/a/b/c"), "files/a/b/c");
        assert_eq!(bind("/files/{*rest}", "files/v-{rest}/x", "/files/a/b"), "files/v-a/b/x");
    }

    #[test]
    fn a_value_that_cannot_be_in_a_tag_leaves_the_broader_one() {
        let path = "/menu/{item}/{size}";
        for item in ["caff%C3%A8", "two%20words", "a%2Fb", "%ff", "a,b", "%00"] {
            let request = format!("/menu/{item}/xl");
            assert_eq!(bind(path, "menu/{item}/{size}", &request), "menu", "{item}");
            assert_eq!(bind(path, "menu/{size}/{item}", &request), "menu/xl", "{item}");
            assert_eq!(bind(path, "menu/no-{item}/x", &request), "menu", "{item}");
        }
        let long = format!("/menu/{}/xl", "a".repeat(300));
        assert_eq!(bind(path, "menu/{size}/{item}", &long), "menu/xl");
        assert_eq!(bind("/files/{*rest}", "files/{rest}", "/files/a/b c/d"), "files/a");
        let deep = "/files/a/b/c/d/e/f/g";
        assert_eq!(bind("/files/{*rest}", "files/{rest}", deep), "files/a/b/c/d/e");
    }

    #[test]
    fn every_mistake_has_its_message() {
        let path = PathPattern::parse("/menu/{item}").expect("sound");
        for (template, message) in [
            ("menu/{id}", "`{id}`"),
            ("menu/{id}", "`{item}`"),
            ("{item}", "begins with"),
            ("global:{item}", "begins with"),
            ("x{item}/menu", "begins with"),
            ("", "empty segment"),
            ("menu//x", "empty segment"),
            ("menu/two words", "' '"),
            ("menu/{item", "not closed"),
            ("menu/item}", "nobody has opened"),
            ("menu/{*item}", "`{name}`"),
            ("a/b/c/d/e/f/{item}", "7 deep"),
        ] {
            let error = TagTemplate::parse(template, &path).expect_err(template).to_string();
            assert!(error.contains(message), "{template}: {error}");
        }
        let path = PathPattern::parse("/menu").expect("sound");
        let error = TagTemplate::parse("menu/{id}", &path).expect_err("unknown").to_string();
        assert!(error.contains("none"), "{error}");
    }

    #[test]
    fn a_tenant_is_text_with_parameters() {
        let path = PathPattern::parse("/t/{one}/{*more}").expect("sound");
        let template = TextTemplate::parse("{one}:{more}", &path).expect("sound");
        assert_eq!(template.bind(&Values::of("/t/a%20b/c/d")).as_deref(), Some("a b:c/d"));
        assert_eq!(template.bind(&Values::of("/t/%ff/c")), None);
        assert_eq!(template.fixed(), None);
        let fixed = TextTemplate::parse("main", &path).expect("sound");
        assert_eq!(fixed.fixed().as_deref(), Some("main"));
    }
}
