//! Lua scripts: sent by their checksum, with their text only to a server that does not know them.

use ::redis::{Cmd, ToRedisArgs, cmd};

/// A script and its name. Make each once, in a `LazyLock`.
#[derive(Debug, Clone)]
pub struct Script {
    name: &'static str,
    source: &'static str,
    sha1: String,
}

impl Script {
    /// `source` is meant to come from `include_str!`.
    pub fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, sha1: ::redis::Script::new(source).get_hash().to_owned() }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A call with these keys, which in a Cluster lie in one slot. Arguments are added by
    /// [`Call::arg`].
    pub fn call<K: AsRef<[u8]>>(&self, keys: &[K]) -> Call<'_> {
        let mut command = cmd("EVALSHA");
        command.arg(&self.sha1).arg(keys.len());
        for key in keys {
            command.arg(key.as_ref());
        }
        let key = keys.first().map(|key| key.as_ref().to_vec()).unwrap_or_default();
        Call { script: self, key, command }
    }

    /// The command that makes a server know this script.
    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(self.source);
        command
    }
}

/// One call of a script, ready to be sent.
#[derive(Clone)]
pub struct Call<'a> {
    pub(super) script: &'a Script,
    /// The key that decides which master is asked: the first one.
    pub(super) key: Vec<u8>,
    pub(super) command: Cmd,
}

impl Call<'_> {
    /// That decides which master is asked.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn arg<T: ToRedisArgs>(mut self, argument: T) -> Self {
        self.command.arg(argument);
        self
    }
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({})", self.script.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_binary_safe_and_counts_its_keys() {
        let script = Script::new("echo", "return ARGV[1]");
        let call = script.call(&[b"a\r\n\x00".as_slice(), b"b"]).arg(b"\xff".as_slice()).arg(7);
        let packed = call.command.get_packed_command();
        let expected = format!(
            "*7\r\n$7\r\nEVALSHA\r\n$40\r\n{}\r\n$1\r\n2\r\n$4\r\na\r\n\0\r\n$1\r\nb\r\n",
            script.sha1
        );
        let rest = packed.strip_prefix(expected.as_bytes()).expect("the keys come first");
        assert_eq!(rest, b"$1\r\n\xff\r\n$1\r\n7\r\n");
        assert_eq!(call.key, b"a\r\n\x00");
    }
}
