//! What users and tokens are called. A name that exists is a checked one.

use std::fmt;

use samovar_clock::Random;
use serde::{Deserialize, Serialize};

use crate::limits;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("{what} is empty or longer than {limit} bytes: choose a shorter one")]
    Length { what: &'static str, limit: usize },
    #[error("{what} may hold letters, digits and `-_.@` only: leave {found:?} out")]
    Character { what: &'static str, found: char },
    #[error("{what} may not hold {found:?}: leave it out")]
    Control { what: &'static str, found: char },
}

/// Of somebody who signs in. Capitals make it another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        const WHAT: &str = "the name of a user";
        let name = within(WHAT, name.into(), limits::USER_BYTES)?;
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_.@".contains(*c);
        match name.chars().find(|c| !allowed(c)) {
            Some(found) => Err(InvalidName::Character { what: WHAT, found }),
            None => Ok(Self(name)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token is for, in the words of who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    pub fn new(label: impl Into<String>) -> Result<Self, InvalidName> {
        const WHAT: &str = "the name of a token";
        let label = within(WHAT, label.into(), limits::LABEL_BYTES)?;
        match label.chars().find(|c| c.is_control()) {
            Some(found) => Err(InvalidName::Control { what: WHAT, found }),
            None => Ok(Self(label)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn within(what: &'static str, name: String, limit: usize) -> Result<String, InvalidName> {
    let fits = (1..=limit).contains(&name.len());
    if fits { Ok(name) } else { Err(InvalidName::Length { what, limit }) }
}

macro_rules! texts {
    ($($type:ident),+) => {$(
        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

texts!(UserName, Label);

/// Names a token to people: it is no secret, and follows from none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(u64);

impl TokenId {
    pub fn draw(random: &Random) -> Self {
        Self(random.id())
    }

    pub(crate) const fn as_u64(self) -> u64 {
        self.0
    }

    /// From what it is displayed as.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl TryFrom<String> for TokenId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).ok_or("no id of a token")
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> String {
        id.to_string()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_what_is_safe_to_show_and_to_store() {
        assert!(UserName::new("anna.k-1@example.org").is_ok());
        for wrong in ["", "anna k", "änna", "anna\n", "a{b}", &"a".repeat(65)] {
            assert!(UserName::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Label::new("the till in the harbour").is_ok());
        for wrong in ["", "a\nb", "a\u{1b}[31m", &"a".repeat(101)] {
            assert!(Label::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_id_is_read_as_it_is_shown() {
        let id = TokenId::draw(&Random::seeded(1));
        assert_eq!(TokenId::parse(&id.to_string()), Some(id));
        for wrong in ["", "1", "+00000000000000a", "00000000000000zz"] {
            assert_eq!(TokenId::parse(wrong), None);
        }
    }
}
