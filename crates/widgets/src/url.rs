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

    /// All that decides what is read: also who reads it, and by which options. Without the password,
    /// which changes more often than that.
    ///
    /// To be compared or hashed, and shown to nobody: a url that is written wrongly may have a piece
    /// of its password where anything else belongs.
    pub fn identity(&self) -> String {
        let (scheme, rest) = self.text.split_once("://").unwrap_or_default();
        if self.kind == SourceKind::Sqlite {
            return self.text.clone();
        }
        // As the drivers look for the end of the password: that of PostgreSQL takes all that comes
        // before the first `@`.
        let from = match self.kind {
            SourceKind::Postgres => rest.find('@').unwrap_or(0),
            _ => 0,
        };
        let ends: &[char] =
            if self.kind == SourceKind::Postgres { &['?'] } else { &['/', '?', '#'] };
        let end = rest[from..].find(ends).map_or(rest.len(), |at| from + at);
        let (credentials, place) = match rest[..end].rfind('@') {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (place, options) = place.split_once('?').unwrap_or((place, ""));
        let is_password = |option: &str| option.split('=').next() == Some("password");
        let options: Vec<&str> = options.split('&').filter(|option| !is_password(option)).collect();
        let user = credentials.map(|both| both.split(':').next().unwrap_or_default());
        format!("{scheme}://{}@{place}?{}", user.unwrap_or_default(), options.join("&"))
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
    fn whatever_decides_what_is_read_is_in_the_identity_and_the_password_is_not() {
        let identity = |url: &str| url.parse::<SourceUrl>().expect("a source").identity();
        for (url, expected) in [
            ("postgres://me:secret@db:5432/shop", "postgres://me@db:5432/shop?"),
            ("postgres://me@db/shop", "postgres://me@db/shop?"),
            ("postgres://db:5432,other:5433/shop", "postgres://@db:5432,other:5433/shop?"),
            (
                "postgres://me:secret@db/shop?options=-csearch_path%3Da&password=secret",
                "postgres://me@db/shop?options=-csearch_path%3Da",
            ),
            (
                "postgres://me:secret@db/shop?password=secret&application_name=a@b:c",
                "postgres://me@db/shop?application_name=a@b:c",
            ),
            ("postgres://me:se?secret@db/shop?user=you", "postgres://me@db/shop?user=you"),
            ("postgres://me:secret@secret@db/shop", "postgres://me@db/shop?"),
            ("mysql://me:secret@db/shop?socket=/a@b:c", "mysql://me@db/shop?socket=/a@b:c"),
            ("mysql://db:3306/shop?socket=/a@b:c", "mysql://@db:3306/shop?socket=/a@b:c"),
            ("mariadb://me:sec@secret@db/shop", "mariadb://me@db/shop?"),
            ("sqlite:///var/lib/a?b@c.db", "sqlite:///var/lib/a?b@c.db"),
        ] {
            assert_eq!(identity(url), expected);
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
