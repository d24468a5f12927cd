//! Versions of tags and of everything else an entry depends on.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{Tag, Tenant, limits};

/// The name of a version as it is stored: `{tenant}:v:<kind>:<name>`, with `{*}` for what all
/// tenants share. The braces make it a hash tag, so that one tenant's keys share one slot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey(Arc<str>);

/// Where a key lives.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Scope {
    Tenant(Tenant),
    Global,
}

/// What a version speaks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind<'a> {
    /// Everything of the scope: of one tenant, or of all.
    All,
    Widget(&'a str),
    Class(&'a str),
    /// A tag was named itself.
    TagSelf(&'a str),
    /// A tag or anything below it was named.
    TagBelow(&'a str),
}

impl Scope {
    /// The hash tag with its braces. A tenant's id is escaped so that it can neither close the
    /// braces nor be mistaken for the global scope.
    pub(crate) fn hash_tag(&self, out: &mut String) {
        match self {
            Scope::Tenant(tenant) => hash_tag_of(tenant.as_str(), out),
            Scope::Global => out.push_str("{*}"),
        }
    }
}

pub(crate) fn hash_tag_of(tenant: &str, out: &mut String) {
    out.push('{');
    escape(tenant, out);
    out.push('}');
}

impl Kind<'_> {
    /// What stands behind the hash tag.
    fn write(self, out: &mut String) {
        let (mark, name) = match self {
            Kind::All => (":v:a:", ""),
            Kind::Widget(name) => (":v:w:", name),
            Kind::Class(name) => (":v:c:", name),
            Kind::TagSelf(path) => (":v:s:", path),
            Kind::TagBelow(path) => (":v:b:", path),
        };
        out.push_str(mark);
        out.push_str(name);
    }
}

/// Percent-encodes what could be taken for syntax in a key: control characters, spaces, and
/// `% { } * ? & = #`.
pub(crate) fn escape(text: &str, out: &mut String) {
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'@' | b',' | b'+')
    };
    if text.as_bytes().iter().all(plain) {
        out.push_str(text);
        return;
    }
    for byte in text.bytes() {
        if plain(&byte) {
            out.push(char::from(byte));
        } else {
            const HEX: [u8; 16] = *b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

impl VersionKey {
    pub(crate) fn new(scope: &Scope, kind: Kind<'_>) -> Self {
        let mut text = String::with_capacity(64);
        scope.hash_tag(&mut text);
        kind.write(&mut text);
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_global(&self) -> bool {
        self.0.starts_with("{*}")
    }

    pub(crate) fn from_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// For people: `tag orders (or below)`, `widget revenue`, `everything`.
    pub fn describe(&self) -> Cow<'static, str> {
        let whose = if self.is_global() { "all tenants: " } else { "" };
        let rest = self.0.split_once(":v:").map_or("", |(_, rest)| rest);
        let text = match rest.split_once(':') {
            Some(("a", _)) if self.is_global() => return Cow::Borrowed("everything"),
            Some(("a", _)) => return Cow::Borrowed("the tenant"),
            Some(("w", name)) => format!("{whose}widget {name}"),
            Some(("c", name)) => format!("{whose}class {name}"),
            Some(("s", path)) => format!("{whose}tag {path} itself"),
            Some(("b", path)) => format!("{whose}tag {path} or below"),
            _ => self.0.to_string(),
        };
        Cow::Owned(text)
    }
}

impl std::borrow::Borrow<str> for VersionKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the versions a reading depends on: the built-in ones, and for each tag what was named at
/// or below it and what was named above it. A range that several tags lie in is named for each.
pub(crate) fn dependencies(
    tenant: &Tenant,
    widget: &str,
    class: &str,
    tags: &[Tag],
    mut name: impl FnMut(&str),
) {
    let mut text = String::with_capacity(96);
    for global in [false, true] {
        text.clear();
        match global {
            false => hash_tag_of(tenant.as_str(), &mut text),
            true => Scope::Global.hash_tag(&mut text),
        }
        let scope = text.len();
        let mut version = |kind: Kind<'_>| {
            text.truncate(scope);
            kind.write(&mut text);
            name(&text);
        };
        for kind in [Kind::All, Kind::Widget(widget), Kind::Class(class)] {
            version(kind);
        }
        for tag in tags.iter().filter(|tag| tag.is_global() == global) {
            version(Kind::TagBelow(tag.path()));
            tag.ancestors().for_each(|path| version(Kind::TagSelf(path)));
        }
    }
}

/// The versions that change when a tag is named: both of its own, and `below` of all above it.
/// `None` for a tenant's tag without a tenant.
pub(crate) fn changed_by(tag: &Tag, tenant: Option<&Tenant>) -> Option<Vec<VersionKey>> {
    let scope = match tenant {
        _ if tag.is_global() => Scope::Global,
        Some(tenant) => Scope::Tenant(tenant.clone()),
        None => return None,
    };
    let mut keys = vec![
        VersionKey::new(&scope, Kind::TagSelf(tag.path())),
        VersionKey::new(&scope, Kind::TagBelow(tag.path())),
    ];
    keys.extend(tag.ancestors().map(|path| VersionKey::new(&scope, Kind::TagBelow(path))));
    Some(keys)
}

/// The two unique ids of a version. Never a counter, never a clock: random, so that one that was
/// lost can never come back by chance or by restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    /// Replaced by every invalidation.
    pub(crate) change: u64,
    /// Replaced by `clear` only; a value may be served stale only while it is the same.
    pub(crate) clear: u64,
}

/// The current state of one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    pub(crate) ids: Ids,
    /// What happened last, if anything has since the version was made.
    pub(crate) last: Option<Change>,
}

/// The last change of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// The change id it replaced: entries with this one may wait for their turn.
    pub(crate) replaced: u64,
    /// By the store's clock.
    pub(crate) at_ms: u64,
    /// Over how long the recomputation is spread; 0: at once.
    pub(crate) spread_ms: u64,
    pub(crate) cause: String,
}

impl Version {
    pub(crate) fn new(ids: Ids) -> Self {
        Self { ids, last: None }
    }

    /// 16 bytes of ids, then `replaced` and `at:spread:cause` as text once something happened.
    /// The scripts read and write the same form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.extend(self.ids.change.to_be_bytes());
        out.extend(self.ids.clear.to_be_bytes());
        if let Some(last) = &self.last {
            out.extend(last.replaced.to_be_bytes());
            out.extend(format!("{}:{}:{}", last.at_ms, last.spread_ms, last.cause).as_bytes());
        }
        out
    }

    /// `None` for anything that `encode` or a script did not write: it counts as missing.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (change, rest) = bytes.split_first_chunk()?;
        let (clear, rest) = rest.split_first_chunk()?;
        let ids = Ids { change: u64::from_be_bytes(*change), clear: u64::from_be_bytes(*clear) };
        if rest.is_empty() {
            return Some(Self { ids, last: None });
        }
        let (replaced, text) = rest.split_first_chunk()?;
        let mut parts = std::str::from_utf8(text).ok()?.splitn(3, ':');
        let last = Change {
            replaced: u64::from_be_bytes(*replaced),
            at_ms: parts.next()?.parse().ok()?,
            spread_ms: parts.next()?.parse().ok()?,
            cause: parts.next()?.to_owned(),
        };
        Some(Self { ids, last: Some(last) })
    }
}

/// Cuts a text for people to what a version or a back-off keeps.
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::CAUSE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant::new("acme").expect("valid")
    }

    fn depends_on(tags: &[Tag]) -> Vec<String> {
        let mut names = Vec::new();
        dependencies(&tenant(), "revenue", "short", tags, |name| names.push(name.to_owned()));
        names
    }

    #[test]
    fn a_reading_depends_on_below_of_its_tag_and_self_of_those_above() {
        let tags = [Tag::new("orders/2026").expect("valid"), Tag::global("rates").expect("valid")];
        assert_eq!(
            depends_on(&tags),
            [
                "{acme}:v:a:",
                "{acme}:v:w:revenue",
                "{acme}:v:c:short",
                "{acme}:v:b:orders/2026",
                "{acme}:v:s:orders",
                "{*}:v:a:",
                "{*}:v:w:revenue",
                "{*}:v:c:short",
                "{*}:v:b:rates",
            ]
        );
    }

    /// Whoever depends on D notices a change of T exactly when one is the other or above it.
    #[test]
    fn a_change_reaches_what_lies_below_and_the_ranges_above_and_nothing_else() {
        let paths = ["o", "o/1", "o/1/2", "o/1/3", "o/4", "o1", "p"];
        for dependency in paths {
            for changed in paths {
                let own = depends_on(&[Tag::new(dependency).expect("valid")]);
                let changed_tag = Tag::new(changed).expect("valid");
                let moved = changed_by(&changed_tag, Some(&tenant())).expect("has a tenant");
                let above = |a: &str, b: &str| a == b || b.starts_with(&format!("{a}/"));
                assert_eq!(
                    moved.iter().any(|key| own.iter().any(|own| own == key.as_str())),
                    above(dependency, changed) || above(changed, dependency),
                    "{dependency} depends, {changed} changes"
                );
            }
        }
    }

    #[test]
    fn no_tenant_can_name_the_global_scope_or_leave_its_braces() {
        for (id, tag) in
            [("*", "{%2A}"), ("a}b", "{a%7Db}"), ("a%7Db", "{a%257Db}"), ("Ä", "{%C3%84}")]
        {
            let mut text = String::new();
            Scope::Tenant(Tenant::new(id).expect("valid")).hash_tag(&mut text);
            assert_eq!(text, tag);
        }
    }

    #[test]
    fn a_version_survives_its_encoding() {
        let mut version = Version::new(Ids { change: 7, clear: u64::MAX });
        assert_eq!(Version::decode(&version.encode()), Some(version.clone()));
        version.last =
            Some(Change { replaced: 3, at_ms: 17, spread_ms: 600_000, cause: "a: b".to_owned() });
        assert_eq!(Version::decode(&version.encode()), Some(version.clone()));
        assert_eq!(Version::decode(&version.encode()[..20]), None);
        assert_eq!(Version::decode(b"short"), None);
    }

    #[test]
    fn a_cause_is_cut_between_characters() {
        assert_eq!(cut("ok"), "ok");
        let long = "é".repeat(limits::CAUSE_BYTES);
        assert!(cut(&long).len() <= limits::CAUSE_BYTES);
    }
}
