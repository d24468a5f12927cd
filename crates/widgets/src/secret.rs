//! What two systems sign with. Nothing of it shows when it is printed.

use std::{fmt, str::FromStr};

use crate::limits;

#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has fewer than {} or more than {} bytes", limits::SECRET_BYTES.start(), limits::SECRET_BYTES.end())]
pub struct InvalidSecret;

impl SigningSecret {
    /// For who signs with it, and for nobody else.
    pub fn exposed(&self) -> &str {
        &self.0
    }
}

impl FromStr for SigningSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let fits = limits::SECRET_BYTES.contains(&text.len());
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_of_some_length_and_shows_in_nothing() {
        let secret: SigningSecret = "s3cr3t-s3cr3t".parse().expect("long enough");
        assert_eq!(format!("{secret:?}"), "SigningSecret");
        for wrong in [String::new(), "s3cr3t".to_owned(), "s3cr3t".repeat(100)] {
            let error = wrong.parse::<SigningSecret>().expect_err("refused").to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}
