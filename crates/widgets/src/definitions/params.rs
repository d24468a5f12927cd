//! Parameters of widgets: of which type they are, and which values they take.

use std::fmt;

use super::check_field_name;
use crate::{
    Located, Problem, Section, limits, range,
    section::{Scalar, ScalarKind},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamDefinition {
    pub name: Located<String>,
    pub kind: ParamType,
    /// Without one the reader has to give the value. In the one form that its type has.
    pub default: Option<String>,
    /// All that there are, where they are known; else any is taken.
    pub values: Option<Values>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// In the one form that their type has.
    List(Vec<String>),
    /// The first column of its rows, for the tenant that asks.
    Query(Located<String>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParamType {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    Date,
}

const TYPES: [(&str, ParamType); 5] = [
    ("text", ParamType::Text),
    ("integer", ParamType::Integer),
    ("number", ParamType::Number),
    ("boolean", ParamType::Boolean),
    ("date", ParamType::Date),
];

impl ParamType {
    /// The one form that a value of this type has, so that `7` and `07` are one reading; `None` for
    /// what is none.
    pub fn canonical(self, text: &str) -> Option<String> {
        match self {
            ParamType::Text => Some(text.to_owned()),
            ParamType::Integer => text.parse::<i64>().ok().map(|number| number.to_string()),
            ParamType::Number => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
                // Zero has two signs.
                Some((number + 0.0).to_string())
            }
            ParamType::Boolean => text.parse::<bool>().ok().map(|flag| flag.to_string()),
            ParamType::Date => range::date(text).map(|date| date.to_string()),
        }
    }

    /// How a value of it is written.
    pub fn example(self) -> &'static str {
        match self {
            ParamType::Text => "\"web\"",
            ParamType::Integer => "42",
            ParamType::Number => "1.5",
            ParamType::Boolean => "true",
            ParamType::Date => "\"2026-11-21\"",
        }
    }

    fn accept(self, scalar: &Scalar) -> Option<String> {
        let fits = match scalar.kind {
            ScalarKind::Text => true,
            ScalarKind::Integer => matches!(self, ParamType::Integer | ParamType::Number),
            ScalarKind::Float => self == ParamType::Number,
            ScalarKind::Boolean => self == ParamType::Boolean,
            ScalarKind::Date => self == ParamType::Date,
        };
        let canonical = self.canonical(&scalar.text).filter(|_| fits);
        canonical.filter(|value| value.len() <= limits::VALUE_BYTES)
    }
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = TYPES.iter().find(|(_, kind)| kind == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// What a query or a key calls these things already.
const TAKEN: [&str; 10] =
    ["tenant", "widget", "bucket", "range", "zone", "from", "to", "first_day", "last_day", "ids"];

pub(super) fn read(widget: &mut Section<'_>) -> Vec<ParamDefinition> {
    let sections = widget.sections("params");
    if sections.len() > limits::PARAMS_PER_WIDGET {
        let what = format!("has {} parameters", sections.len());
        let hint = format!("at most {} are allowed", limits::PARAMS_PER_WIDGET);
        let reason = format!("{} {what}", widget.title());
        widget.note(Problem::new(widget.line_of("params"), reason).hint(hint));
    }
    let mut params = Vec::new();
    for (name, mut section) in sections {
        check_field_name(&name, &section);
        if TAKEN.contains(&name.value.as_str()) {
            let reason = format!("a parameter cannot be called `{}`", name.value);
            let hint = format!("rename it: `{}` means something already", name.value);
            section.note(Problem::new(name.line, reason).hint(hint));
        }
        params.push(read_param(name, &mut section));
        section.finish();
    }
    params
}

fn read_param(name: Located<String>, section: &mut Section<'_>) -> ParamDefinition {
    let kind = section.choice("type", &TYPES).map_or(ParamType::default(), |kind| kind.value);
    let values = read_values(section, kind);
    let default = section.scalar("default");
    let default = default.and_then(|default| {
        let value = accept(section, kind, &default, "default")?;
        if let Some(Values::List(values)) = &values
            && !values.contains(&value)
        {
            let reason = format!("the default `{value}` is none of the values");
            let problem = Problem::new(default.line, reason);
            let known = values.iter().map(String::as_str);
            section.note(problem.meant(&value, known, || "list it, or choose another".to_owned()));
        }
        Some(value)
    });
    ParamDefinition { name, kind, default, values }
}

fn read_values(section: &mut Section<'_>, kind: ParamType) -> Option<Values> {
    if section.is_text("values") {
        return section.text("values").map(Values::Query);
    }
    let listed = section.scalars("values", 1..=limits::VALUES_PER_PARAM)?;
    let mut values: Vec<String> = Vec::new();
    for scalar in listed {
        let Some(value) = accept(section, kind, &scalar, "value") else { continue };
        if values.contains(&value) {
            let problem = Problem::new(scalar.line, format!("the value `{value}` is listed twice"));
            section.note(problem.hint("remove one of them"));
        } else {
            values.push(value);
        }
    }
    Some(Values::List(values))
}

fn accept(
    section: &Section<'_>,
    kind: ParamType,
    scalar: &Located<Scalar>,
    what: &str,
) -> Option<String> {
    let Located { value: Scalar { kind: written, text }, line } = scalar;
    let accepted = kind.accept(&scalar.value);
    if accepted.is_none() && text.len() > limits::VALUE_BYTES {
        let reason = format!("a {what} has {} bytes", text.len());
        let hint = format!("at most {} are allowed", limits::VALUE_BYTES);
        section.note(Problem::new(*line, reason).hint(hint));
    } else if accepted.is_none() {
        let problem = Problem::new(*line, format!("the {what} `{text}` is not of type {kind}"));
        let other = match written {
            ScalarKind::Text => None,
            ScalarKind::Integer => Some(ParamType::Integer),
            ScalarKind::Float => Some(ParamType::Number),
            ScalarKind::Boolean => Some(ParamType::Boolean),
            ScalarKind::Date => Some(ParamType::Date),
        };
        let other = other.filter(|_| kind == ParamType::Text);
        section.note(problem.hint(match other {
            Some(other) => format!("write \"{text}\" in quotes, or say type = \"{other}\""),
            None => format!("write it like {}", kind.example()),
        }));
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_form() {
        for (kind, written, expected) in [
            (ParamType::Text, " 07 ", Some(" 07 ")),
            (ParamType::Integer, "-07", Some("-7")),
            (ParamType::Integer, "1.0", None),
            (ParamType::Integer, "9223372036854775808", None),
            (ParamType::Number, "1e3", Some("1000")),
            (ParamType::Number, "-0.0", Some("0")),
            (ParamType::Number, "inf", None),
            (ParamType::Number, "NaN", None),
            (ParamType::Boolean, "true", Some("true")),
            (ParamType::Boolean, "yes", None),
            (ParamType::Date, "2026-11-01", Some("2026-11-01")),
            (ParamType::Date, "2026-11-31", None),
            (ParamType::Date, "20261101", None),
        ] {
            assert_eq!(kind.canonical(written).as_deref(), expected, "{kind} {written}");
        }
    }
}
