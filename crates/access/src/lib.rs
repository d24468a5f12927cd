//! Who may do what: roles bound to tenants, tokens, users and their sessions, and the record of what
//! was changed.
//!
//! [`Access`] answers whose a [`Secret`] is: from memory where it was verified a moment ago, else
//! from the [`Store`], which all nodes share. What is presented on the wire, and which role a route
//! asks for, is somebody else's business.

mod access;
mod attempts;
mod audit;
mod known;
pub mod limits;
mod links;
mod name;
mod password;
mod principal;
mod role;
mod secret;
mod store;

pub use access::{Access, Denied, Settings, SignedIn};
pub use audit::{Entries, Entry, NewEntry, Outcome};
pub use name::{InvalidName, Label, TokenId, UserName};
pub use password::{InvalidPassword, Password};
pub use principal::{Principal, Scope, Who};
pub use role::{Role, UnknownRole};
pub use secret::{Hash, Secret, SecretKind};
pub use store::{
    EmbeddedStore, Found, NewToken, NewUser, OpenError, RedisOpenError, RedisStore, Refusal, Store,
    StoreError, TokenShown, UserShown,
};
