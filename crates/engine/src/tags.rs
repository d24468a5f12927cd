//! Tags of a widget, with placeholders for its parameters.

use samovar_cache::{Tag, TagError};

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
    pub(crate) fn parse(text: &str, params: &[&str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a { has no }")?;
            if !params.contains(&name) {
                return Err(format!("`{{{name}}}` is not a parameter of this widget"));
            }
            parts.extend([Part::Text(before.to_owned()), Part::Param(name.to_owned())]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self(parts);
        template.fill(|_| "x").map_err(|error| error.to_string())?;
        Ok(template)
    }

    pub(crate) fn fill<'v>(&self, value: impl Fn(&str) -> &'v str) -> Result<Tag, TagError> {
        let mut filled = String::new();
        for part in &self.0 {
            filled.push_str(match part {
                Part::Text(text) => text,
                Part::Param(name) => value(name),
            });
        }
        filled.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_with_values() {
        let template = TagTemplate::parse("campaign/{id}/gifts", &["id"]).expect("valid");
        let tag = template.fill(|_| "7").expect("a tag");
        assert_eq!(tag.to_string(), "campaign/7/gifts");
        assert!(template.fill(|_| "a b").is_err());
    }

    #[test]
    fn templates_that_can_never_be_a_tag_are_refused() {
        for wrong in ["campaign/{name}", "campaign/{id", "campaign//{id}", "{id} and more", ""] {
            assert!(TagTemplate::parse(wrong, &["id"]).is_err(), "{wrong}");
        }
    }
}
