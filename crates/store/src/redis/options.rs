//! What a connection to Redis is made from: where, as whom, and every limit.

use std::{fmt, time::Duration};

use super::{address::Address, url};

/// Where the masters are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server that stays the master.
    Single { address: Address },
    /// One master, named by those who watch it.
    Sentinel { sentinels: Vec<Address>, service: String },
    /// A master per range of slots; the seeds are asked for the others.
    Cluster { seeds: Vec<Address> },
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    pub user: Option<String>,
    pub password: Option<Secret>,
}

/// Everything that [`Redis`](super::Redis) is told. The limits have defaults that fit; the fields
/// are public so that the configuration can change any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub topology: Topology,
    /// For the servers that hold data.
    pub credentials: Credentials,
    /// For the sentinels, which are often left without a password.
    pub sentinel_credentials: Credentials,
    pub tls: bool,
    pub database: u16,
    /// Opens the names of the channels and of the heartbeat's key.
    pub prefix: String,
    /// Names this process to others, who can ask a master whether it listens there.
    pub node: u64,
    /// Time from one heartbeat to the next.
    pub beat_every: Duration,
    /// For how long after it was sent a heartbeat that came back keeps trust alive. Also how long
    /// a heartbeat is waited for: one that comes back later proves nothing any more.
    pub trust_bound: Duration,
    /// So many heartbeats in a row that fail or do not come back end the link.
    pub beats_missed_max: u32,
    /// For one link: both connections and the handshake.
    pub connect_timeout: Duration,
    /// For one pipeline, the wait for room on the link included.
    pub response_timeout: Duration,
    /// How long a caller waits for a link that is being made.
    pub link_wait: Duration,
    /// How often one pipeline may be sent again, for whatever reasons.
    pub retries: u32,
    /// Before a repeat that has to wait (`TRYAGAIN` and the like); doubles each time, half of it
    /// jitter.
    pub retry_pause: Duration,
    /// Before a new link after a failure: from `.0` doubling to `.1`, half of it jitter.
    pub backoff: (Duration, Duration),
    /// How often Sentinel or the Cluster is asked who the masters are.
    pub topology_every: Duration,
    /// Pipelines on their way over one link; later ones wait within their `response_timeout`.
    pub in_flight_max: usize,
    /// Masters connected to; a topology with more is refused.
    pub masters_max: usize,
    /// A longer bus message is not delivered: it ends the link, and so trust.
    pub message_bytes_max: usize,
}

impl Options {
    /// Defaults for a topology.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            credentials: Credentials::default(),
            sentinel_credentials: Credentials::default(),
            tls: false,
            database: 0,
            prefix: "samovar".to_owned(),
            node: 0,
            beat_every: Duration::from_millis(250),
            trust_bound: Duration::from_secs(1),
            beats_missed_max: 3,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            link_wait: Duration::from_secs(1),
            retries: 3,
            retry_pause: Duration::from_millis(50),
            backoff: (Duration::from_millis(50), Duration::from_secs(2)),
            topology_every: Duration::from_secs(1),
            in_flight_max: 1024,
            masters_max: 256,
            message_bytes_max: 1 << 20,
        }
    }

    /// Reads `redis://[user:password@]host[:port][/database]`,
    /// `redis+cluster://[user:password@]host[:port],...` or
    /// `redis+sentinel://[user:password@]host[:port],.../service[/database]`; with `rediss` for
    /// TLS. Sentinels that ask for a password get `?sentinel_user=` and `?sentinel_password=`.
    pub fn parse(url: &str) -> Result<Self, OptionsError> {
        url::parse(url)
    }

    /// Where messages for every node are published.
    pub fn bus_channel(&self) -> String {
        format!("{}:bus", self.prefix)
    }

    /// A channel of heartbeats: `{node}:{link}` of one link.
    pub(super) fn beat_channel(&self, link: &str) -> String {
        format!("{}:beat:{link}", self.prefix)
    }

    pub fn is_cluster(&self) -> bool {
        matches!(self.topology, Topology::Cluster { .. })
    }
}

/// Why a URL was refused. Never quotes the part that holds the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error(
        "the address has to begin with redis://, rediss://, redis+cluster:// or redis+sentinel://"
    )]
    Scheme,
    #[error("no host in the address")]
    NoHost,
    #[error("`{0}` is not a host and port")]
    Host(String),
    #[error(
        "`{0}` is one host too many: more than one needs redis+cluster:// or redis+sentinel://"
    )]
    ManyHosts(String),
    #[error("at most {max} hosts can be given, these are {given}")]
    TooManyHosts { given: usize, max: usize },
    #[error("`{0}` is not a database number")]
    Database(String),
    #[error("a cluster has only database 0")]
    ClusterDatabase,
    #[error("no service in the address: redis+sentinel://host,host/service")]
    NoService,
    #[error("`{0}` is more than the address can hold")]
    Path(String),
    #[error("after `?` only sentinel_user and sentinel_password can stand, with redis+sentinel://")]
    Query,
    #[error("the user or the password holds a `%` that does not begin an escaped byte")]
    Escape,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let options = Options::parse(
            "redis+sentinel://anna:s3cr3t@a,b/main?sentinel_user=eve&sentinel_password=hidd3n",
        )
        .expect("valid");
        assert_eq!(options.credentials.password, Some(Secret::new("s3cr3t")));
        let printed = format!("{options:?} {options:#?}");
        assert!(!printed.contains("s3cr3t") && !printed.contains("hidd3n"), "{printed}");
    }
}
