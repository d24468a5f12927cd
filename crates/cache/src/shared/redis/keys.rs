//! How the core's key texts become keys of Redis: behind a namespace, in the slot of their tenant.

use std::io::Write;

use redis::{RedisWrite, ToRedisArgs};

use crate::{key::EntryKey, version::VersionKey};

/// Stands for whatever all tenants share when a master is looked for.
pub(super) const GLOBAL: &str = "{*}";

/// What stands before every key. Without braces: the first ones of a key are its hash tag, so that
/// a key text names a slot with and without its namespace.
#[derive(Debug)]
pub(super) struct Namespace(String);

impl Namespace {
    pub(super) fn new(prefix: &str) -> Self {
        debug_assert!(!prefix.contains(['{', '}']));
        Self(format!("{prefix}:"))
    }

    /// As an argument of a command, which is written without being put together first.
    pub(super) fn key<'a>(&'a self, text: &'a str) -> Key<'a> {
        Key { namespace: &self.0, text }
    }

    pub(super) fn full(&self, text: &str) -> String {
        [&self.0, text].concat()
    }

    /// Lease, entry and back-off of a reading, in the order in which the scripts name them.
    pub(super) fn reading(&self, entry: &EntryKey) -> [String; 3] {
        [self.full(&entry.lease()), self.full(entry.as_str()), self.full(&entry.backoff())]
    }

    /// The text of a key that was found by its name.
    pub(super) fn text<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.0)
    }

    /// A glob for keys whose text has `mark` behind its hash tag. It may match a few others too.
    pub(super) fn glob(&self, mark: &str) -> String {
        let mut glob = String::new();
        for c in self.0.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                glob.push('\\');
            }
            glob.push(c);
        }
        glob.push_str("{*}");
        glob.push_str(mark);
        glob.push('*');
        glob
    }
}

#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    namespace: &'a str,
    text: &'a str,
}

impl Key<'_> {
    pub(super) fn len(self) -> usize {
        self.namespace.len() + self.text.len()
    }
}

impl ToRedisArgs for Key<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut argument = out.writer_for_next_arg();
        for part in [self.namespace, self.text] {
            argument.write_all(part.as_bytes()).expect("memory takes it");
        }
    }
}

/// Which versions are the tenant's, and which all tenants share: they may be at two masters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scopes<'a>(pub(super) &'a [VersionKey]);

impl<'a> Scopes<'a> {
    pub(super) fn of(self, global: bool) -> impl Iterator<Item = (usize, &'a VersionKey)> {
        self.0.iter().enumerate().filter(move |(_, key)| key.is_global() == global)
    }

    /// Puts what two masters said back into the order of the keys.
    pub(super) fn merge<T>(self, own: Vec<T>, global: Vec<T>) -> Vec<T> {
        let (mut own, mut global) = (own.into_iter(), global.into_iter());
        let next = |key: &VersionKey| {
            let from = if key.is_global() { &mut global } else { &mut own };
            from.next().expect("one for each key")
        };
        self.0.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_behind_its_namespace() {
        let namespace = Namespace::new("samovar");
        let mut command = redis::cmd("GET");
        command.arg(namespace.key("{acme}:e:widget:x"));
        assert_eq!(
            command.get_packed_command(),
            b"*2\r\n$3\r\nGET\r\n$25\r\nsamovar:{acme}:e:widget:x\r\n"
        );
        assert_eq!(namespace.full("{*}:v:a:"), "samovar:{*}:v:a:");
        assert_eq!(namespace.text("samovar:{acme}:e:x"), Some("{acme}:e:x"));
        assert_eq!(namespace.text("other:{acme}:e:x"), None);
    }

    #[test]
    fn a_namespace_is_taken_literally_in_a_glob() {
        assert_eq!(Namespace::new("a*[b]").glob(":l:"), "a\\*\\[b\\]:{*}:l:*");
    }

    #[test]
    fn the_order_of_the_question_comes_back() {
        let keys = ["{*}:v:a:", "{t}:v:a:", "{*}:v:b:r", "{t}:v:b:o"].map(VersionKey::from_stored);
        let scopes = Scopes(&keys);
        let number = |global| scopes.of(global).map(|(index, _)| index).collect::<Vec<_>>();
        assert_eq!(number(true), [0, 2]);
        assert_eq!(scopes.merge(number(false), number(true)), [0, 1, 2, 3]);
    }
}
