//! What is presented to be let in: drawn once, shown once, and kept as a hash only.

use std::fmt;

use samovar_clock::Random;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Whether a byte is one of them, by one look: it is asked of every byte of every request.
const IS_LETTER: [bool; 256] = {
    let mut is_letter = [false; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        is_letter[ALPHABET[at] as usize] = true;
        at += 1;
    }
    is_letter
};
const PREFIX_BYTES: usize = 4;
/// With its prefix; the 36 letters behind it are 180 bits.
const BYTES: usize = 40;
const CSRF_LETTERS: usize = 26;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    Token,
    Session,
    /// Of a link that signs somebody in, and lets nobody in by itself.
    Link,
}

/// A token, the session of somebody who signed in, or that of a link. Nothing of it shows when it is printed.
#[derive(Clone)]
pub struct Secret {
    kind: SecretKind,
    text: [u8; BYTES],
}

/// What is kept of a secret. It is drawn from 180 bits, so there is nothing to be guessed by trying.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl SecretKind {
    const fn prefix(self) -> &'static [u8; PREFIX_BYTES] {
        match self {
            SecretKind::Token => b"smv_",
            SecretKind::Session => b"sms_",
            SecretKind::Link => b"sml_",
        }
    }
}

impl Secret {
    /// From the system's randomness.
    pub fn draw(kind: SecretKind) -> Self {
        let mut text = [0; BYTES];
        Random::fill_secret(&mut text);
        for byte in &mut text {
            *byte = ALPHABET[usize::from(*byte % 32)];
        }
        text[..PREFIX_BYTES].copy_from_slice(kind.prefix());
        Self { kind, text }
    }

    /// Nothing where it has not the form of one, whatever else it may be.
    pub fn parse(kind: SecretKind, text: &[u8]) -> Option<Self> {
        let text: [u8; BYTES] = text.try_into().ok()?;
        let letters = text.strip_prefix(kind.prefix())?;
        let is_one = letters.iter().all(|byte| IS_LETTER[usize::from(*byte)]);
        is_one.then_some(Self { kind, text })
    }

    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// For the one to whom it is given, once.
    pub fn exposed(&self) -> &str {
        std::str::from_utf8(&self.text).expect("it is made of letters and digits")
    }

    #[inline]
    pub fn hash(&self) -> Hash {
        Hash(Sha256::digest(self.text).into())
    }

    /// What a page has to send along with each write of this session. It follows from the secret
    /// alone, which other sites can neither read nor guess.
    pub fn csrf(&self) -> String {
        let digest =
            Sha256::new().chain_update(b"samovar csrf ").chain_update(self.text).finalize();
        let letters = digest.iter().take(CSRF_LETTERS).map(|it| ALPHABET[usize::from(*it % 32)]);
        letters.map(char::from).collect()
    }

    /// Takes as long whatever is wrong with it.
    pub fn is_csrf(&self, given: &[u8]) -> bool {
        self.csrf().as_bytes().ct_eq(given).into()
    }
}

impl Hash {
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.kind)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_given_out_and_by_its_kind_alone() {
        let drawn = Secret::draw(SecretKind::Token);
        assert!(drawn.exposed().starts_with("smv_") && drawn.exposed().len() == BYTES);
        let read = Secret::parse(SecretKind::Token, drawn.exposed().as_bytes()).expect("a token");
        assert_eq!(read.hash(), drawn.hash());
        assert!(Secret::parse(SecretKind::Session, drawn.exposed().as_bytes()).is_none());
        assert_ne!(Secret::draw(SecretKind::Token).hash(), drawn.hash());
    }

    #[test]
    fn what_has_not_the_form_of_a_secret_is_none() {
        let text = Secret::draw(SecretKind::Token).exposed().to_owned();
        for wrong in [
            String::new(),
            "smv_".to_owned(),
            text[..39].to_owned(),
            format!("{text}a"),
            format!("{}\n", &text[..39]),
            format!("{}0", &text[..39]),
            text.to_uppercase(),
            format!("{}ä", &text[..38]),
            "x".repeat(100_000),
        ] {
            assert!(Secret::parse(SecretKind::Token, wrong.as_bytes()).is_none(), "{wrong:.60}");
        }
    }

    #[test]
    fn nothing_of_a_secret_shows_when_it_is_printed() {
        let secret = Secret::draw(SecretKind::Session);
        let printed = format!("{secret:?} {:?}", secret.hash());
        assert_eq!(printed, "Secret(Session) Hash");
    }

    #[test]
    fn a_csrf_token_belongs_to_its_session() {
        let (one, other) = (Secret::draw(SecretKind::Session), Secret::draw(SecretKind::Session));
        assert!(one.is_csrf(one.csrf().as_bytes()) && one.csrf().len() == CSRF_LETTERS);
        for wrong in [&other.csrf(), "", &one.csrf()[1..], &format!("{}a", one.csrf())] {
            assert!(!one.is_csrf(wrong.as_bytes()));
        }
    }
}
