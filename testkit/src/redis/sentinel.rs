//! A master and a replica that three sentinels watch.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};

use super::{
    in_parallel,
    resp::{Connection, Reply},
    server::{RedisBuilder, RedisServer},
};
use crate::wait;

const SERVICE: &str = "samovar";
const QUORUM: usize = 2;
/// One per sentinel. If all three noticed at the same time, each would vote for itself, and they
/// would have to begin again seconds later.
const DOWN_AFTER_MS: [u64; 3] = [700, 900, 1500];
const FAILOVER_TIMEOUT_MS: u64 = 1500;
/// Periods in milliseconds, see `SENTINEL DEBUG`. A replica may be promoted when it answered INFO
/// within three INFO periods or five PING periods, and during a failover it is asked once a second:
/// shorter periods than these find no good replica.
const HURRY: [[&str; 2]; 4] = [
    ["INFO-PERIOD", "500"],
    ["PING-PERIOD", "400"],
    ["ASK-PERIOD", "100"],
    ["PUBLISH-PERIOD", "200"],
];
/// After this an ordered failover is taken for given up.
const FAILOVER_LIMIT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

/// One master, one replica, three sentinels; all killed when dropped.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts all five and waits until the sentinels agree and the replica is in step.
    ///
    /// # Errors
    /// When a server does not start, or they do not find each other in a minute.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same, with lines added to the configuration of master and replica.
    ///
    /// # Errors
    /// As [`RedisSentinel::start`].
    pub fn start_with(config: &[&str]) -> Result<Self> {
        let config: Vec<_> = config.iter().map(|&line| line.to_owned()).collect();
        Self::start_as(&RedisServer::builder().configs(&config))
    }

    /// The same, with master and replica built like that.
    ///
    /// # Errors
    /// As [`RedisSentinel::start`].
    pub fn start_as(server: &RedisBuilder) -> Result<Self> {
        let servers = in_parallel(vec![(); 2], |()| server.clone().start())?;
        let master = servers[0].address();
        servers[1].command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()])?;
        wait::until(LIMIT, "a replica in step", || servers[0].has_replica_in_step().then_some(()))?;
        // Sentinels ask the master for its replicas once when they start and then every ten
        // seconds: they start when there is one.
        let sentinels =
            in_parallel(DOWN_AFTER_MS.into(), |down_after| start_sentinel(master, down_after))?;
        let all = Self { servers, sentinels };
        all.wait_until_settled()?;
        Ok(all)
    }

    /// The name under which sentinels know the master.
    pub fn service_name(&self) -> &'static str {
        SERVICE
    }

    pub fn sentinel_addresses(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(RedisServer::address).collect()
    }

    pub fn sentinel_urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Master and replica, in the order of their start and not of their present roles.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The server that a majority of the running sentinels calls the master.
    ///
    /// # Errors
    /// When they do not agree.
    pub fn master(&self) -> Result<&RedisServer> {
        let running: Vec<_> = self.sentinels.iter().filter(|one| one.is_running()).collect();
        let named = |server: &RedisServer| {
            let name = server.address();
            let votes = running.iter().filter(|one| master_seen_by(one).ok() == Some(name));
            votes.count() >= QUORUM
        };
        self.servers.iter().find(|server| named(server)).context("sentinels disagree")
    }

    /// The server that is not the master.
    ///
    /// # Errors
    /// When the sentinels do not agree on the master.
    pub fn replica(&self) -> Result<&RedisServer> {
        let master = self.master()?.address();
        self.servers.iter().find(|server| server.address() != master).context("there is no replica")
    }

    /// Orders a failover and waits until the other server is the master for every sentinel, and
    /// the old master its replica. Returns the new master.
    ///
    /// # Errors
    /// When that does not happen in a minute.
    pub fn failover(&self) -> Result<&RedisServer> {
        let old = self.master()?.address();
        wait::until(LIMIT, "a failover", || {
            // Refused while an earlier one is being finished, or the replica looks unwell.
            self.sentinels[0].command(&["SENTINEL", "FAILOVER", SERVICE]).ok()?;
            self.wait_for_other_master(old, FAILOVER_LIMIT).ok()
        })?;
        self.wait_until_settled()?;
        self.master()
    }

    /// Kills the master and returns its address; the sentinels are left to notice.
    ///
    /// # Errors
    /// When the sentinels do not agree on the master.
    pub fn kill_master(&self) -> Result<SocketAddr> {
        let master = self.master()?;
        master.kill();
        Ok(master.address())
    }

    /// Waits until the sentinels call another server the master, and it takes writes.
    ///
    /// # Errors
    /// When that does not happen in a minute.
    pub fn wait_for_master_other_than(&self, old: SocketAddr) -> Result<&RedisServer> {
        self.wait_for_other_master(old, LIMIT)
    }

    fn wait_for_other_master(&self, old: SocketAddr, limit: Duration) -> Result<&RedisServer> {
        wait::until(limit, "another master", || {
            let master = self.master().ok()?;
            (master.address() != old && is_master(master)).then_some(master)
        })
        .with_context(|| self.logs())
    }

    /// The server with that address, master, replica or sentinel.
    ///
    /// # Errors
    /// When there is none.
    pub fn server(&self, address: SocketAddr) -> Result<&RedisServer> {
        let mut all = self.servers.iter().chain(&self.sentinels);
        all.find(|server| server.address() == address)
            .with_context(|| format!("no server at {address}"))
    }

    /// Waits until all servers run in their roles and every sentinel sees all of that.
    ///
    /// # Errors
    /// When that does not happen in a minute.
    pub fn wait_until_settled(&self) -> Result<()> {
        wait::until(LIMIT, "sentinels to agree", || {
            let master = self.master().ok()?;
            let replica = self.replica().ok()?;
            let in_roles = is_master(master)
                && master.has_replica_in_step()
                && replica.info("master_port").ok()? == master.port().to_string();
            let seen = || {
                self.sentinels.iter().all(|one| sees_all(one, master.address()).unwrap_or(false))
            };
            (in_roles && seen()).then_some(())
        })
        .with_context(|| self.logs())
    }

    fn logs(&self) -> String {
        let all = self.servers.iter().chain(&self.sentinels);
        all.map(|one| format!("--- {}\n{}\n", one.address(), one.log_tail())).collect()
    }
}

fn start_sentinel(master: SocketAddr, down_after_ms: u64) -> Result<RedisServer> {
    let sentinel = RedisBuilder::sentinel()
        .config(format!("sentinel monitor {SERVICE} 127.0.0.1 {} {QUORUM}", master.port()))
        .config(format!("sentinel down-after-milliseconds {SERVICE} {down_after_ms}"))
        .config(format!("sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}"))
        .config(format!("sentinel parallel-syncs {SERVICE} 1"))
        .start()?;
    hurry(&sentinel)?;
    Ok(sentinel)
}

/// Looks around more often than once in ten seconds. The periods are forgotten in a restart.
fn hurry(sentinel: &RedisServer) -> Result<()> {
    let mut command = vec!["SENTINEL", "DEBUG"];
    command.extend(HURRY.iter().flatten());
    sentinel.command(&command)?;
    Ok(())
}

fn is_master(server: &RedisServer) -> bool {
    server
        .command(&["ROLE"])
        .is_ok_and(|role| role.items().first().map(Reply::text).as_deref() == Some("master"))
}

fn master_seen_by(sentinel: &RedisServer) -> Result<SocketAddr> {
    let mut connection = Connection::open(sentinel.address())?;
    let reply = connection.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE])?;
    let [host, port] = reply.items() else { bail!("no master by that name") };
    Ok(format!("{}:{}", host.text(), port.text()).parse()?)
}

/// Whether a sentinel knows the others and the replica, and holds them and `master` for healthy.
fn sees_all(sentinel: &RedisServer, master: SocketAddr) -> Result<bool> {
    let mut connection = Connection::open(sentinel.address())?;
    let seen = connection.command(&["SENTINEL", "MASTER", SERVICE])?;
    let is = |name: &str, value: &str| seen.field(name).is_some_and(|it| it.text() == value);
    if !(is("flags", "master")
        && is("port", &master.port().to_string())
        && is("num-slaves", "1")
        && is("num-other-sentinels", "2"))
    {
        return Ok(false);
    }
    let replicas = connection.command(&["SENTINEL", "REPLICAS", SERVICE])?;
    let others = connection.command(&["SENTINEL", "SENTINELS", SERVICE])?;
    let flags = |reply: &Reply| reply.field("flags").map(Reply::text).unwrap_or_default();
    let linked =
        |reply: &Reply| reply.field("master-link-status").is_some_and(|it| it.text() == "ok");
    Ok(replicas.items().iter().all(|one| flags(one) == "slave" && linked(one))
        && others.items().iter().all(|one| flags(one) == "sentinel"))
}
