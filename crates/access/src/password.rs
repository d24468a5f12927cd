//! Passwords: hashed by Argon2id, off the async threads, few at a time.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2, PasswordVerifier,
    password_hash::{PasswordHasher, phc::PasswordHash},
};
use samovar_clock::Random;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::limits;

/// What somebody chose. Nothing of it shows when it is printed.
#[derive(Clone)]
pub struct Password(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("a password has at least {} bytes", limits::PASSWORD_BYTES.start())]
    TooShort,
    #[error("a password has at most {} bytes", limits::PASSWORD_BYTES.end())]
    TooLong,
}

impl Password {
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidPassword> {
        let text = text.into();
        match text.len() {
            bytes if bytes < *limits::PASSWORD_BYTES.start() => Err(InvalidPassword::TooShort),
            bytes if bytes > *limits::PASSWORD_BYTES.end() => Err(InvalidPassword::TooLong),
            _ => Ok(Self(text)),
        }
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// Hashes and compares passwords, each of which takes memory and tens of milliseconds of a core.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Of a password that nobody has: what is compared where there is no such user, so that it takes
    /// as long.
    nobodys: Arc<OnceLock<String>>,
}

/// Too many wait for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

struct Waiting<'w>(&'w AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let turns = Arc::new(Semaphore::new(limits::HASHING));
        Self { turns, waiting: AtomicUsize::new(0), nobodys: Arc::default() }
    }

    /// As it is kept: the parameters and the salt are part of it.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, Busy> {
        let password = password.clone();
        self.in_turn(move || hash(&password.0)).await
    }

    /// Whether `given` is the password of which `kept` is the hash. Without a hash it takes as long,
    /// and is not.
    pub(crate) async fn is(&self, given: &str, kept: Option<&str>) -> Result<bool, Busy> {
        let (given, kept) = (given.to_owned(), kept.map(str::to_owned));
        let nobodys = self.nobodys.clone();
        self.in_turn(move || {
            // Made by whoever comes first, whether there is such a user or not.
            let nobodys = nobodys.get_or_init(|| hash(&nobodys_password()));
            let is_same = is(&given, kept.as_deref().unwrap_or(nobodys));
            is_same && kept.is_some()
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let ahead = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if ahead >= limits::HASHING + limits::HASHING_WAITING {
            return Err(Busy);
        }
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Busy)?;
        // The turn goes with the work, which goes on when nobody waits for it any more.
        let done = spawn_blocking(move || (work(), turn)).await;
        done.map(|(done, _)| done).map_err(|_| Busy)
    }
}

/// Argon2id with 19 MiB, 2 passes and one lane: what OWASP asks for at least.
fn hash(password: &str) -> String {
    let mut salt = [0; 16];
    Random::fill_secret(&mut salt);
    let hashed = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hashed.expect("the parameters are sound").to_string()
}

fn is(given: &str, kept: &str) -> bool {
    let Ok(kept) = PasswordHash::new(kept) else { return false };
    Argon2::default().verify_password(given.as_bytes(), &kept).is_ok()
}

fn nobodys_password() -> String {
    let mut bytes = [0; 32];
    Random::fill_secret(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_shows_nowhere() {
        let passwords = Passwords::new();
        let password = Password::new("correct horse").expect("long enough");
        let (kept, again) = (passwords.hash(&password).await, passwords.hash(&password).await);
        let (kept, again) = (kept.expect("hashed"), again.expect("hashed"));
        assert_ne!(kept, again, "each with a salt of its own");
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_eq!(passwords.is("correct horse", Some(&kept)).await, Ok(true));
        for wrong in ["correct horsf", "", "correct horse "] {
            assert_eq!(passwords.is(wrong, Some(&kept)).await, Ok(false));
        }
        assert_eq!(passwords.is("correct horse", Some("no hash")).await, Ok(false));
        assert_eq!(passwords.is("correct horse", None).await, Ok(false));
        assert_eq!(format!("{password:?}"), "Password");
        assert_eq!(Password::new("short").unwrap_err(), InvalidPassword::TooShort);
        assert_eq!(Password::new("x".repeat(257)).unwrap_err(), InvalidPassword::TooLong);
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_told_so() {
        let passwords = Passwords::new();
        let most = limits::HASHING + limits::HASHING_WAITING;
        passwords.waiting.store(most, Ordering::Release);
        assert_eq!(passwords.is("any", None).await, Err(Busy));
        passwords.waiting.store(most - 1, Ordering::Release);
        assert_eq!(passwords.is("any", None).await, Ok(false));
        assert_eq!(passwords.waiting.load(Ordering::Acquire), most - 1, "each leaves again");
    }
}
