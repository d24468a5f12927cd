//! What has changed, as a target is told it.

use samovar_cache::{Tag, Tenant};

/// Something that readings depend on. Events are to join these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    Tag(Tag),
    /// All readings of a widget.
    Widget(String),
    /// All readings of a freshness class.
    Class(String),
}

/// What has changed for one tenant, or for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Change {
    /// Whose readings; all tenants' where it is missing, and only global tags are named then.
    pub tenant: Option<Tenant>,
    pub what: Vec<What>,
    /// The rule that said so; of several the first. Shown by `why`.
    pub cause: String,
}

impl Change {
    pub fn new(tenant: Option<Tenant>, what: Vec<What>, cause: impl Into<String>) -> Self {
        Self { tenant, what, cause: cause.into() }
    }

    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.what.iter().filter_map(|what| match what {
            What::Tag(tag) => Some(tag),
            _ => None,
        })
    }

    pub fn widgets(&self) -> impl Iterator<Item = &str> {
        self.what.iter().filter_map(|what| match what {
            What::Widget(name) => Some(name.as_str()),
            _ => None,
        })
    }

    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.what.iter().filter_map(|what| match what {
            What::Class(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Nothing is named twice: several rules may say the same.
    pub(crate) fn add(&mut self, what: impl IntoIterator<Item = What>) {
        for what in what {
            if !self.what.contains(&what) {
                self.what.push(what);
            }
        }
    }
}
