//! A host and a port.

use std::fmt;

pub(super) const DEFAULT_PORT: u16 = 6379;
pub(super) const DEFAULT_SENTINEL_PORT: u16 = 26379;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host`, `host:port` or `[v6]:port`.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                match after {
                    "" => (host, None),
                    _ => (host, Some(after.strip_prefix(':')?)),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None => default_port,
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@[]".contains(c);
        (!host.is_empty() && !host.contains(odd)).then(|| Self::new(host, port))
    }

    /// Reads what a server names another by: `host:port` with a bare v6 host, or `:port` for
    /// "the host you are talking to".
    pub(super) fn parse_redirect(text: &str, asked: &Address) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = if host.is_empty() || host == "?" { asked.host.as_str() } else { host };
        Some(Self::new(host, port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        let parse = |text| Address::parse(text, 6379);
        assert_eq!(parse("db"), Some(Address::new("db", 6379)));
        assert_eq!(parse("10.0.0.1:7000"), Some(Address::new("10.0.0.1", 7000)));
        assert_eq!(parse("[::1]:7000"), Some(Address::new("::1", 7000)));
        assert_eq!(parse("[::1]"), Some(Address::new("::1", 6379)));
        for wrong in ["", ":1", "db:", "db:0", "db:x", "db:70000", "::1", "[::1", "a b", "[::1]x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(Address::new("::1", 7000).to_string(), "[::1]:7000");
    }

    #[test]
    fn a_server_may_leave_out_the_host_it_is_asked_at() {
        let asked = Address::new("10.0.0.1", 7000);
        let redirect = |text| Address::parse_redirect(text, &asked);
        assert_eq!(redirect("10.0.0.2:7001"), Some(Address::new("10.0.0.2", 7001)));
        assert_eq!(redirect(":7001"), Some(Address::new("10.0.0.1", 7001)));
        assert_eq!(redirect("fd00::2:7001"), Some(Address::new("fd00::2", 7001)));
        assert_eq!(redirect("nonsense"), None);
    }
}
