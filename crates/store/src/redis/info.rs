//! Reading what servers tell about themselves.

use ::redis::Value;

/// One `name:value` of an `INFO` answer.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

pub(super) fn number(info: &str, name: &str) -> Option<u64> {
    field(info, name)?.parse().ok()
}

/// The text of an answer, whichever way the protocol version wraps it.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text),
        Value::Okay => Some("OK"),
        _ => None,
    }
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        other => text(other)?.parse().ok(),
    }
}

/// The value of a name in a flat list or a map of pairs.
pub(super) fn pair<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Map(pairs) => {
            pairs.iter().find(|(key, _)| text(key) == Some(name)).map(|(_, value)| value)
        }
        Value::Array(items) => items
            .as_chunks::<2>()
            .0
            .iter()
            .find(|[key, _]| text(key) == Some(name))
            .map(|[_, value]| value),
        _ => None,
    }
}

/// What `INFO replication` says about whom one speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) is_master: bool,
    pub(super) incarnation: u64,
}

pub(super) fn role(info: &str) -> Option<Role> {
    let replid = field(info, "master_replid").filter(|replid| !replid.is_empty())?;
    Some(Role { is_master: field(info, "role")? == "master", incarnation: incarnation(replid) })
}

/// FNV-1a: entries keep it, so it must be the same in every version of this program. Never 0.
fn incarnation(replid: &str) -> u64 {
    let hash = replid.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\
        master_replid:8ab1d4f0c3a1f0a0e1ad2b0c1a7e5c0a9d3f7b21\r\nmaster_replid2:0000\r\n";

    #[test]
    fn fields_are_found_by_their_whole_name() {
        assert_eq!(field(INFO, "role"), Some("master"));
        assert_eq!(field(INFO, "master_replid2"), Some("0000"));
        assert_eq!(field(INFO, "slaves"), None);
        assert_eq!(number(INFO, "connected_slaves"), Some(0));
    }

    #[test]
    fn an_incarnation_follows_from_the_replication_id_alone() {
        let first = role(INFO).expect("a role");
        assert!(first.is_master);
        let other = role(&INFO.replace("8ab1d4", "8ab1d5")).expect("a role");
        assert_ne!(first.incarnation, other.incarnation);
        assert_eq!(incarnation("a"), 0xAF63_DC4C_8601_EC8C, "the value stands in stored entries");
        assert_eq!(role("role:master\r\n"), None);
    }

    #[test]
    fn pairs_are_read_from_both_protocol_versions() {
        let (key, value) = (Value::BulkString(b"port".to_vec()), Value::BulkString(b"7".to_vec()));
        let flat = Value::Array(vec![key.clone(), value.clone()]);
        let map = Value::Map(vec![(key, value)]);
        assert_eq!(pair(&flat, "port").and_then(integer), Some(7));
        assert_eq!(pair(&map, "port").and_then(integer), Some(7));
        assert_eq!(pair(&map, "ip"), None);
    }
}
