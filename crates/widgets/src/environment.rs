//! Secrets that a file names and does not hold: `${NAME}` is what the environment has under that
//! name.

use std::fmt;

/// Where `${NAME}` is looked up. Handed in, so that only a composition root knows the process's.
pub(crate) struct Environment<'e>(Box<LookUp<'e>>);

type LookUp<'e> = dyn Fn(&str) -> Option<String> + 'e;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfilled {
    #[error("the environment has no {0}")]
    Missing(String),
    #[error("a ${{ has no }}")]
    Unclosed,
    #[error("a ${{...}} does not hold the name of a variable")]
    Name,
}

impl Unfilled {
    pub(crate) fn hint(&self) -> String {
        match self {
            Unfilled::Missing(name) => {
                format!("set {name} for the process, or write $${{ for a literal ${{")
            }
            Unfilled::Unclosed | Unfilled::Name => {
                "write it like ${DB_PASSWORD}, and $${ for a literal ${".to_owned()
            }
        }
    }
}

impl<'e> Environment<'e> {
    pub(crate) fn new(look_up: impl Fn(&str) -> Option<String> + 'e) -> Self {
        Self(Box::new(look_up))
    }

    /// `text` with every `${NAME}` replaced. What is put in is not looked at again.
    pub(crate) fn fill(&self, text: &str) -> Result<String, Unfilled> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, after) = (&rest[..at], &rest[at + 2..]);
            if let Some(before) = before.strip_suffix('$') {
                filled.extend([before, "${"]);
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}').ok_or(Unfilled::Unclosed)?;
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !is_name {
                return Err(Unfilled::Name);
            }
            let value = (self.0)(name).ok_or_else(|| Unfilled::Missing(name.to_owned()))?;
            filled.extend([before, &value]);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_once_and_a_doubled_dollar_is_literal() {
        let known = |name: &str| (name != "NONE").then(|| format!("<{name}${{X}}>"));
        let fill = |text| Environment::new(known).fill(text);
        assert_eq!(fill("a://${U_1}:${P}@h").as_deref(), Ok("a://<U_1${X}>:<P${X}>@h"));
        assert_eq!(fill("$${P} $5 $ ${P}$").as_deref(), Ok("${P} $5 $ <P${X}>$"));
        assert_eq!(fill("${NONE}"), Err(Unfilled::Missing("NONE".to_owned())));
        assert_eq!(fill("${P"), Err(Unfilled::Unclosed));
        for wrong in ["${}", "${a b}", "${1}", "${ü}"] {
            assert_eq!(fill(wrong), Err(Unfilled::Name), "{wrong}");
        }
    }
}
