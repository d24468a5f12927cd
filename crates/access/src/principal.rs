//! Who asks, as what, and for which tenants.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Label, Role, TokenId, UserName, limits};

/// Whoever asks, once it is known who that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub who: Who,
    pub role: Role,
    pub scope: Scope,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Whoever asks where no access control was asked for.
    Anyone,
    /// The user of this machine to whom the store belongs.
    Owner,
    Token {
        id: TokenId,
        label: Label,
    },
    User(UserName),
}

/// The tenants that somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub enum Scope {
    All,
    Of(Arc<[String]>),
}

impl Principal {
    /// With everything allowed: where nobody is asked who he is, or where the system has asked.
    pub fn unbound_admin(who: Who) -> Self {
        Self { who, role: Role::Admin, scope: Scope::All }
    }

    pub fn is_at_least(&self, role: Role) -> bool {
        self.role >= role
    }

    pub fn may_see(&self, tenant: &str) -> bool {
        self.scope.holds(tenant)
    }

    /// Those it is bound to; nothing where it is bound to none.
    pub fn tenants(&self) -> Option<&[String]> {
        match &self.scope {
            Scope::All => None,
            Scope::Of(tenants) => Some(tenants),
        }
    }

    /// Not bound to tenants: may ask for all of them at once.
    pub fn is_unbound(&self) -> bool {
        self.scope == Scope::All
    }
}

impl Scope {
    /// No tenant named: all of them.
    pub fn of(tenants: Vec<String>) -> Self {
        if tenants.is_empty() { Scope::All } else { Scope::Of(tenants.into()) }
    }

    pub fn holds(&self, tenant: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Of(tenants) => tenants.iter().any(|it| it == tenant),
        }
    }

    /// Nothing where it is bound to none.
    pub fn tenants(&self) -> Option<&[String]> {
        match self {
            Scope::All => None,
            Scope::Of(tenants) => Some(tenants),
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        let Scope::Of(tenants) = self else { return true };
        let fits = |it: &String| (1..=limits::TENANT_BYTES).contains(&it.len());
        (1..=limits::TENANTS).contains(&tenants.len()) && tenants.iter().all(fits)
    }
}

/// An empty list binds to nobody's tenants, which is not the same as to none.
impl From<Option<Vec<String>>> for Scope {
    fn from(tenants: Option<Vec<String>>) -> Self {
        tenants.map_or(Scope::All, |tenants| Scope::Of(tenants.into()))
    }
}

impl From<Scope> for Option<Vec<String>> {
    fn from(scope: Scope) -> Self {
        scope.tenants().map(<[String]>::to_vec)
    }
}

/// For the audit log and for people.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anyone => f.write_str("anyone"),
            Who::Owner => f.write_str("owner of the store"),
            Who::Token { id, label } => write!(f, "token {id} {label}"),
            Who::User(name) => write!(f, "user {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_what_it_names_and_nothing_like_it() {
        let north = Scope::of(vec!["north".to_owned()]);
        assert!(north.holds("north") && Scope::All.holds("north"));
        for other in ["", "North", "north ", "northern", "nort"] {
            assert!(!north.holds(other), "{other:?}");
        }
        let nobody: Scope = serde_json::from_str("[]").expect("a list");
        assert!(!nobody.holds("north") && !nobody.is_sound(), "empty is not all");
        let all: Scope = serde_json::from_str("null").expect("nothing");
        assert_eq!(all, Scope::All);
    }
}
