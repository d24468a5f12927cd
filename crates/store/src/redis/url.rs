//! The addresses people write into the configuration.

use super::{
    address::{Address, DEFAULT_PORT, DEFAULT_SENTINEL_PORT},
    options::{Credentials, Options, OptionsError, Secret, Topology},
};

/// Seeds or sentinels in one address.
const HOSTS_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Single,
    Sentinel,
    Cluster,
}

pub(super) fn parse(url: &str) -> Result<Options, OptionsError> {
    let (scheme, rest) = url.trim().split_once("://").ok_or(OptionsError::Scheme)?;
    let (tls, kind) = match scheme {
        "redis" => (false, Kind::Single),
        "rediss" => (true, Kind::Single),
        "redis+cluster" => (false, Kind::Cluster),
        "rediss+cluster" => (true, Kind::Cluster),
        "redis+sentinel" => (false, Kind::Sentinel),
        "rediss+sentinel" => (true, Kind::Sentinel),
        _ => return Err(OptionsError::Scheme),
    };
    let (rest, query) = match rest.find("?sentinel_") {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, ""),
    };
    // The last `@` ends the credentials: a password that was pasted unescaped may hold others,
    // and then must not be taken, and printed, for a host.
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((credentials, rest)) => (read_credentials(credentials)?, rest),
        None => (Credentials::default(), rest),
    };
    let (rest, unknown) = rest.split_once('?').unwrap_or((rest, ""));
    if !unknown.is_empty() {
        return Err(OptionsError::Query);
    }
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = read_hosts(hosts, kind)?;
    let (topology, database) = read_path(kind, hosts, path)?;
    let mut options = Options::new(topology);
    options.tls = tls;
    options.database = database;
    options.credentials = credentials;
    if !query.is_empty() {
        options.sentinel_credentials = read_query(kind, query)?;
    }
    Ok(options)
}

fn read_hosts(text: &str, kind: Kind) -> Result<Vec<Address>, OptionsError> {
    let port = if kind == Kind::Sentinel { DEFAULT_SENTINEL_PORT } else { DEFAULT_PORT };
    let given = text.split(',').count();
    if given > HOSTS_MAX {
        return Err(OptionsError::TooManyHosts { given, max: HOSTS_MAX });
    }
    if text.is_empty() {
        return Err(OptionsError::NoHost);
    }
    text.split(',')
        .map(|host| Address::parse(host, port).ok_or_else(|| OptionsError::Host(host.to_owned())))
        .collect()
}

fn read_path(
    kind: Kind,
    mut hosts: Vec<Address>,
    path: &str,
) -> Result<(Topology, u16), OptionsError> {
    match kind {
        Kind::Single => {
            if let Some(second) = hosts.get(1) {
                return Err(OptionsError::ManyHosts(second.to_string()));
            }
            Ok((Topology::Single { address: hosts.remove(0) }, read_database(path)?))
        }
        Kind::Cluster if read_database(path)? != 0 => Err(OptionsError::ClusterDatabase),
        Kind::Cluster => Ok((Topology::Cluster { seeds: hosts }, 0)),
        Kind::Sentinel => {
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            if service.is_empty() {
                return Err(OptionsError::NoService);
            }
            let service = unescape(service)?;
            Ok((Topology::Sentinel { sentinels: hosts, service }, read_database(database)?))
        }
    }
}

fn read_database(text: &str) -> Result<u16, OptionsError> {
    match text {
        "" => Ok(0),
        _ if text.contains('/') => Err(OptionsError::Path(text.to_owned())),
        _ => text.parse().map_err(|_| OptionsError::Database(text.to_owned())),
    }
}

fn read_credentials(text: &str) -> Result<Credentials, OptionsError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    Ok(Credentials {
        user: Some(unescape(user)?).filter(|user| !user.is_empty()),
        password: password.map(unescape).transpose()?.map(Secret::new),
    })
}

fn read_query(kind: Kind, query: &str) -> Result<Credentials, OptionsError> {
    let mut credentials = Credentials::default();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sentinel_user" if kind == Kind::Sentinel => credentials.user = Some(unescape(value)?),
            "sentinel_password" if kind == Kind::Sentinel => {
                credentials.password = Some(Secret::new(unescape(value)?));
            }
            _ => return Err(OptionsError::Query),
        }
    }
    Ok(credentials)
}

fn unescape(text: &str) -> Result<String, OptionsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(OptionsError::Escape),
        }
    }
    String::from_utf8(bytes).map_err(|_| OptionsError::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server() {
        let options = parse("redis://localhost").expect("valid");
        assert_eq!(options.topology, Topology::Single { address: Address::new("localhost", 6379) });
        let options = parse("rediss://anna:p%40ss@db.example:6380/3").expect("valid");
        assert!(options.tls);
        assert_eq!(options.database, 3);
        assert_eq!(options.credentials.user.as_deref(), Some("anna"));
        assert_eq!(options.credentials.password, Some(Secret::new("p@ss")));
        assert_eq!(parse("redis://:pw@h").expect("valid").credentials.user, None);
    }

    #[test]
    fn sentinels_and_their_service() {
        let options = parse("redis+sentinel://a,b:7,[::1]:8/main/2").expect("valid");
        let sentinels =
            vec![Address::new("a", 26379), Address::new("b", 7), Address::new("::1", 8)];
        assert_eq!(options.topology, Topology::Sentinel { sentinels, service: "main".to_owned() });
        assert_eq!(options.database, 2);
    }

    #[test]
    fn a_cluster() {
        let options = parse("redis+cluster://a:1,b").expect("valid");
        let seeds = vec![Address::new("a", 1), Address::new("b", 6379)];
        assert_eq!(options.topology, Topology::Cluster { seeds });
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |url: &str| parse(url).expect_err("refused");
        assert_eq!(refused("localhost:6379"), OptionsError::Scheme);
        assert_eq!(refused("http://a"), OptionsError::Scheme);
        assert_eq!(refused("redis://"), OptionsError::NoHost);
        assert_eq!(refused("redis://a:x"), OptionsError::Host("a:x".to_owned()));
        assert_eq!(refused("redis://a,b"), OptionsError::ManyHosts("b:6379".to_owned()));
        assert_eq!(refused("redis://a/x"), OptionsError::Database("x".to_owned()));
        assert_eq!(refused("redis://a/1/2"), OptionsError::Path("1/2".to_owned()));
        assert_eq!(refused("redis://a?x=1"), OptionsError::Query);
        assert_eq!(refused("redis+cluster://a/1"), OptionsError::ClusterDatabase);
        assert_eq!(refused("redis+sentinel://a"), OptionsError::NoService);
        assert_eq!(refused("redis://:%4@a"), OptionsError::Escape);
        let many = format!("redis+cluster://{}", vec!["a"; 65].join(","));
        assert_eq!(refused(&many), OptionsError::TooManyHosts { given: 65, max: 64 });
    }

    #[test]
    fn no_error_quotes_a_password() {
        for url in [
            "redis://u:s3cret@",
            "redis://u:s3@cret@a:x",
            "redis://u:s3cret/1@a/x",
            "redis+sentinel://u:s3cret@a",
            "redis+sentinel://u:p@a/m?sentinel_password=%s3cret",
            "redis+sentinel://u:p@a/?sentinel_password=s3@cret",
            "redis+sentinel://u:p@a/m?sentinel_password=a&s3cret",
            "redis+cluster://u:s3cret%@a",
        ] {
            let error = parse(url).expect_err("refused");
            let printed = format!("{error} {error:?}");
            assert!(!printed.contains("s3") && !printed.contains("cret"), "{url}: {printed}");
        }
    }
}
