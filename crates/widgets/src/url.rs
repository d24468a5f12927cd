//! Where a source is found. It may hold a password, so nothing of that shows when it is printed.

use std::{fmt, path::PathBuf, str::FromStr};

/// `sqlite://shop.db`, `postgres://user:password@host/database` or `mysql://...`.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    kind: SourceKind,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Sqlite,
    Postgres,
    /// MariaDB as well.
    MySql,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{scheme}` names no database that can be a source")]
pub struct InvalidUrl {
    scheme: String,
}

const SCHEMES: [(&str, SourceKind); 5] = [
    ("sqlite", SourceKind::Sqlite),
    ("postgres", SourceKind::Postgres),
    ("postgresql", SourceKind::Postgres),
    ("mysql", SourceKind::MySql),
    ("mariadb", SourceKind::MySql),
];

impl SourceUrl {
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// With its password: for the driver, and for nobody else.
    pub(crate) fn exposed(&self) -> &str {
        &self.text
    }

    /// The file of a SQLite database, as written.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(self.rest())
    }

    /// What follows the scheme, without options.
    fn rest(&self) -> &str {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        match self.kind {
            SourceKind::Sqlite => rest,
            _ => rest.split_once(['?', '#']).map_or(rest, |(rest, _)| rest),
        }
    }
}

impl FromStr for SourceUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        // Without `://` all of it may be a secret.
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let known = SCHEMES.into_iter().find(|(name, _)| *name == scheme);
        let url = known.map(|(_, kind)| Self { kind, text: text.to_owned() });
        url.filter(|url| !url.rest().is_empty())
            .ok_or_else(|| InvalidUrl { scheme: scheme.to_owned() })
    }
}

/// Without the user, the password and the options.
impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, whole) = self.text.split_once("://").unwrap_or_default();
        let rest = self.rest();
        let place = match self.kind {
            SourceKind::Sqlite => rest,
            // The `?` may stand in a password that was pasted unescaped.
            _ if whole[rest.len()..].contains('@') => "...",
            _ => rest.rsplit_once('@').map_or(rest, |(_, place)| place),
        };
        write!(f, "{scheme}://{place}")
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_shown() {
        for (url, shown) in [
            ("postgres://me:se@cret@db:5432/shop?password=x", "postgres://db:5432/shop"),
            ("mysql://root:pw@localhost/shop", "mysql://localhost/shop"),
            ("postgresql://db/shop?user=me", "postgresql://db/shop"),
            ("postgres://me:se?cret@db/shop", "postgres://..."),
            ("sqlite:///var/lib/a?b@c.db", "sqlite:///var/lib/a?b@c.db"),
        ] {
            let url: SourceUrl = url.parse().expect("a source");
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("SourceUrl({shown})"));
        }
    }

    #[test]
    fn other_databases_are_refused_without_repeating_what_may_be_secret() {
        for (wrong, said) in [
            ("mssql://sa:pw@db/shop", "`mssql`"),
            ("pw", "``"),
            ("sqlite://", "`sqlite`"),
            ("", "``"),
        ] {
            let error = wrong.parse::<SourceUrl>().expect_err("refused").to_string();
            assert!(error.starts_with(said) && !error.contains("pw"), "{error}");
        }
    }
}
