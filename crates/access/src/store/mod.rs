//! Where tokens, users, sessions and the audit log are kept: in a file, or on Redis.
//!
//! What is asked of it is the same on both, and one suite of tests says what that is. Times are the
//! store's: what is left of a life is told as a duration.

mod embedded;
mod redis;

use std::{sync::Arc, time::Duration};

use samovar_clock::Random;
use serde::{Deserialize, Serialize};

pub use self::{
    embedded::{EmbeddedStore, OpenError},
    redis::{RedisOpenError, RedisStore},
};
use crate::{
    Entries, Hash, Label, NewEntry, Principal, Role, Scope, SecretKind, TokenId, UserName, Who,
    limits,
};

#[derive(Debug)]
pub enum Store {
    Embedded(EmbeddedStore),
    Redis(RedisStore),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing is known about what was asked for; repeating is safe.
    #[error("the store of access is not available: {0}")]
    Unavailable(String),
    #[error("the store of access is damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What was asked for is not done, and never will be like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{limit} tokens are kept already: revoke those that nobody uses")]
    TooManyTokens { limit: usize },
    #[error("{limit} users are kept already: remove those that are no more")]
    TooManyUsers { limit: usize },
    #[error("there is a user of this name already")]
    UserExists,
    #[error("an admin is bound to no tenant: leave the tenants out, or choose another role")]
    BoundAdmin,
    #[error(
        "{} tenants at most are named, each in {} bytes at most",
        limits::TENANTS,
        limits::TENANT_BYTES
    )]
    Tenants,
    #[error("a token lives for a minute at least and for ten years at most, or for ever")]
    Lifetime,
}

/// Of which only the hash of the secret is kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub label: Label,
    pub role: Role,
    pub scope: Scope,
    /// Nothing: until it is revoked.
    pub lifetime: Option<Duration>,
    /// Who made it.
    pub by: String,
}

#[derive(Debug, Clone)]
pub struct NewUser {
    pub name: UserName,
    pub role: Role,
    pub scope: Scope,
}

/// A token as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenShown {
    pub id: TokenId,
    #[serde(rename = "name")]
    pub label: Label,
    pub role: Role,
    /// Null: it is bound to none.
    pub tenants: Scope,
    pub by: String,
    pub created_ms: u64,
    /// Null: it does not expire.
    pub expires_ms: Option<u64>,
    pub is_expired: bool,
    /// Null: never. To the minute.
    pub used_ms: Option<u64>,
}

/// A user as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserShown {
    pub name: UserName,
    pub role: Role,
    /// Null: bound to none.
    pub tenants: Scope,
    pub created_ms: u64,
    /// When the password was set last.
    pub password_ms: u64,
}

/// Whose a secret is, and for how long still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub principal: Principal,
    /// Nothing: until it is revoked.
    pub left: Option<Duration>,
    /// When it was used last is to be noted again.
    pub use_is_old: bool,
}

/// A token as it is stored; what is not known any more in a later release is left alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct TokenRecord {
    id: TokenId,
    label: Label,
    role: Role,
    tenants: Scope,
    by: String,
}

/// A user as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct UserRecord {
    role: Role,
    tenants: Scope,
}

macro_rules! on {
    ($self:ident, $store:ident => $answer:expr) => {
        match $self {
            Store::Embedded($store) => $answer.await,
            Store::Redis($store) => $answer.await,
        }
    };
}

/// Tokens.
impl Store {
    pub async fn create_token(
        &self,
        token: NewToken,
        hash: Hash,
        random: &Random,
    ) -> Result<TokenId, StoreError> {
        let NewToken { label, role, scope, lifetime, by } = token;
        check(role, &scope)?;
        if lifetime.is_some_and(|lifetime| !limits::LIFETIME.contains(&lifetime)) {
            return Err(Refusal::Lifetime.into());
        }
        let id = TokenId::draw(random);
        let record = TokenRecord { id, label, role, tenants: scope, by };
        on!(self, store => store.put_token(record, hash, lifetime))?;
        Ok(id)
    }

    /// All of them, the newest first.
    pub async fn tokens(&self) -> Result<Vec<TokenShown>, StoreError> {
        let mut tokens = on!(self, store => store.tokens())?;
        tokens.sort_unstable_by_key(|it| (std::cmp::Reverse(it.created_ms), it.id));
        Ok(tokens)
    }

    /// Whether there was such a one.
    pub async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError> {
        on!(self, store => store.drop_token(id))
    }

    /// Writes down that it was used just now.
    pub async fn note_use(&self, hash: Hash) -> Result<(), StoreError> {
        on!(self, store => store.note_use(hash))
    }

    /// Nothing: it is no token and no session, or not any more.
    pub async fn find(&self, kind: SecretKind, hash: Hash) -> Result<Option<Found>, StoreError> {
        match kind {
            SecretKind::Token => on!(self, store => store.find_token(hash)),
            SecretKind::Session => on!(self, store => store.find_session(hash)),
            SecretKind::Link => Ok(None),
        }
    }
}

/// Users, and their sessions.
impl Store {
    /// `password` is its hash.
    pub async fn create_user(&self, user: NewUser, password: String) -> Result<(), StoreError> {
        let NewUser { name, role, scope } = user;
        check(role, &scope)?;
        let record = UserRecord { role, tenants: scope };
        on!(self, store => store.put_user(name, record, password))
    }

    /// All of them, by name.
    pub async fn users(&self) -> Result<Vec<UserShown>, StoreError> {
        let mut users = on!(self, store => store.users())?;
        users.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(users)
    }

    /// The hash of a user's password. Nothing: there is no such user.
    pub async fn password(&self, name: UserName) -> Result<Option<String>, StoreError> {
        on!(self, store => store.password(name))
    }

    /// Whether there was such a one. Its sessions end.
    pub async fn remove_user(&self, name: UserName) -> Result<bool, StoreError> {
        on!(self, store => store.drop_user(name))
    }

    /// Whether there is such a one. Its sessions end.
    pub async fn set_password(&self, name: UserName, password: String) -> Result<bool, StoreError> {
        on!(self, store => store.set_password(name, password))
    }

    /// Nothing is begun, and false, where the hash of the user's password is another one by now.
    pub async fn start_session(
        &self,
        hash: Hash,
        name: UserName,
        password: String,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        on!(self, store => store.put_session(hash, name, password, lifetime))
    }

    /// Whether there was such a one.
    pub async fn end_session(&self, hash: Hash) -> Result<bool, StoreError> {
        on!(self, store => store.drop_session(hash))
    }
}

/// The audit log.
impl Store {
    /// `repeats`: where the same was written down within the last minute, that is counted instead.
    pub async fn record(&self, entry: NewEntry, repeats: bool) -> Result<(), StoreError> {
        on!(self, store => store.record(entry.bounded(), repeats))
    }

    /// The newest first, from the one before this on.
    pub async fn entries(&self, before: Option<u64>, rows: usize) -> Result<Entries, StoreError> {
        let rows = rows.clamp(1, limits::PAGE);
        let entries = on!(self, store => store.entries(before, rows))?;
        let before = if entries.len() < rows { None } else { entries.last().map(|it| it.id) };
        Ok(Entries { entries, before })
    }

    pub async fn close(&self) {
        on!(self, store => store.close());
    }
}

fn check(role: Role, scope: &Scope) -> Result<(), Refusal> {
    if role == Role::Admin && *scope != Scope::All {
        return Err(Refusal::BoundAdmin);
    }
    if scope.is_sound() { Ok(()) } else { Err(Refusal::Tenants) }
}

impl TokenRecord {
    fn shown(self, now_ms: u64, times: Times) -> TokenShown {
        let Times { created_ms, expires_ms, used_ms } = times;
        let Self { id, label, role, tenants, by } = self;
        let is_expired = expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
        TokenShown { id, label, role, tenants, by, created_ms, expires_ms, is_expired, used_ms }
    }

    /// Nothing where it has expired.
    fn found(self, now_ms: u64, times: Times) -> Option<Found> {
        let left = match times.expires_ms {
            None => None,
            Some(expires_ms) => Some(left(now_ms, expires_ms)?),
        };
        let Self { id, label, role, tenants, .. } = self;
        let principal = Principal { who: Who::Token { id, label }, role, scope: tenants };
        let noted_ms = u64::try_from(limits::USE_NOTED.as_millis()).unwrap_or(u64::MAX);
        let use_is_old = times.used_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= noted_ms);
        Some(Found { principal, left, use_is_old })
    }
}

impl UserRecord {
    fn shown(self, name: UserName, created_ms: u64, password_ms: u64) -> UserShown {
        let Self { role, tenants } = self;
        UserShown { name, role, tenants, created_ms, password_ms }
    }

    fn found(self, name: UserName, left: Duration) -> Found {
        let principal = Principal { who: Who::User(name), role: self.role, scope: self.tenants };
        Found { principal, left: Some(left), use_is_old: false }
    }
}

/// By the store's clock.
#[derive(Debug, Clone, Copy)]
struct Times {
    created_ms: u64,
    expires_ms: Option<u64>,
    used_ms: Option<u64>,
}

fn left(now_ms: u64, expires_ms: u64) -> Option<Duration> {
    let left_ms = expires_ms.saturating_sub(now_ms);
    (left_ms > 0).then(|| Duration::from_millis(left_ms))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn write<T: Serialize>(record: &T) -> String {
    serde_json::to_string(record).expect("names and texts always become JSON")
}

fn read<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(format!("{what}: {error}")))
}

/// Cheap to hand to an operation that may be tried again.
type Shared<T> = Arc<T>;
