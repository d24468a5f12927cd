//! The stores, the nodes on them, and what the cases ask with.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use samovar_clock::{Clock, ManualClock, Random, Spawner, WallTime};
use samovar_store::{
    embedded::Folder,
    redis::{OnMessage, Options},
};
use samovar_testkit::{RedisCluster, RedisSentinel, RedisServer, wait};
use tempfile::TempDir;

use crate::{
    entry::{Coding, Provenance, StoredEntry},
    freshness::Lifetimes,
    key::EntryKey,
    shared::{
        Begin, Begun, Commit, Committed, EmbeddedTier, Failure, Look, LookUp, Message, RedisTier,
        Release, Shared, Won,
    },
    version::{Ids, VersionKey},
};

/// Longer than any case takes.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// For what has to be waited for.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// One store, and the nodes that share it.
pub(super) struct Harness {
    /// Of the nodes; on embedded also of the store.
    pub(super) clock: Clock,
    store: Store,
    nodes: [Arc<Peer>; 2],
    serial: AtomicU64,
}

enum Store {
    Embedded {
        clock: Arc<ManualClock>,
        _folder: TempDir,
    },
    Redis(Servers),
    #[cfg(feature = "simulation")]
    Simulated,
}

enum Servers {
    Single(RedisServer),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

/// A process on the store, as far as a store can tell.
pub(super) struct Peer {
    pub(super) shared: Shared,
    pub(super) id: u64,
    heard: Arc<Heard>,
}

/// What a node heard over the bus, each message where it came first: a Cluster repeats them.
#[derive(Default)]
struct Heard(Mutex<Vec<Message>>);

impl Harness {
    pub(super) async fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
        let clock = Clock::Manual(manual.clone());
        let owned = Folder::own(folder.path()).expect("owned");
        let tier = EmbeddedTier::open(owned, 64 << 20, clock.clone(), Random::System);
        let shared = Shared::Embedded(tier.await.expect("opens"));
        let node = Arc::new(Peer { shared, id: 1, heard: Arc::default() });
        let store = Store::Embedded { clock: manual, _folder: folder };
        Self { clock, store, nodes: [node.clone(), node], serial: AtomicU64::new(0) }
    }

    pub(super) async fn redis() -> Self {
        Self::on(Servers::Single(RedisServer::start().expect("starts"))).await
    }

    pub(super) async fn sentinel() -> Self {
        let servers = RedisSentinel::start_with(&["min-replicas-to-write 1"]);
        Self::on(Servers::Sentinel(servers.expect("starts"))).await
    }

    pub(super) async fn cluster() -> Self {
        Self::on(Servers::Cluster(RedisCluster::start().expect("starts"))).await
    }

    async fn on(servers: Servers) -> Self {
        let url = servers.url();
        let nodes = [Peer::on_redis(&url, 1).await, Peer::on_redis(&url, 2).await].map(Arc::new);
        let (clock, store) = (Clock::System, Store::Redis(servers));
        Self { clock, store, nodes, serial: AtomicU64::new(0) }
    }

    #[cfg(feature = "simulation")]
    pub(super) fn simulated() -> Self {
        use crate::simulated::{Connection, Timing, World};
        let clock = Clock::System;
        let short = Duration::from_micros(100);
        let timing = Timing { latency: short, bus_delay: short, ..Timing::default() };
        let world = World::new(clock.clone(), Random::seeded(1), timing, None);
        let peer = |id| {
            let heard = Arc::<Heard>::default();
            let (clock, listener) = (clock.clone(), heard.clone().listener());
            let connection = Connection::open(&world, clock, &Spawner::current(), listener);
            Arc::new(Peer { shared: Shared::Simulated(connection), id, heard })
        };
        let nodes = [peer(1), peer(2)];
        Self { clock, store: Store::Simulated, nodes, serial: AtomicU64::new(0) }
    }

    /// A node.
    pub(super) fn node(&self) -> &Peer {
        &self.nodes[0]
    }

    /// Another node, where the store may have more than one.
    pub(super) fn other(&self) -> &Peer {
        &self.nodes[1]
    }

    pub(super) fn has_one_process(&self) -> bool {
        matches!(self.store, Store::Embedded { .. })
    }

    /// Whether the store can tell a dead process from a living one.
    pub(super) fn knows_the_living(&self) -> bool {
        matches!(self.store, Store::Redis(_))
    }

    pub(super) fn number(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A reading of a new tenant, with two versions of the tenant's and two that all share, of
    /// which one is new.
    pub(super) fn reading(&self) -> LookUp {
        let number = self.number();
        reading_of(&format!("t{number}"), "x", &format!("g{number}"))
    }

    /// Lets so much of the store's time pass.
    pub(super) async fn pass(&self, duration: Duration) {
        match &self.store {
            Store::Embedded { clock, .. } => clock.advance(duration),
            _ => {
                let until = self.now_ms().await + duration.as_millis() as u64 + 1;
                let reached = || async { (self.now_ms().await >= until).then_some(()) };
                wait::until_async(LIMIT, "time", reached).await.expect("time passes");
            }
        }
    }

    pub(super) async fn now_ms(&self) -> u64 {
        self.node().look(&reading_of("time", "x", "g")).await.now_ms
    }

    /// After all cases: nothing stays for ever in a cache, and nothing is where it does not belong.
    pub(super) fn check_what_is_left(&self) {
        let Store::Redis(servers) = &self.store else { return };
        for server in servers.masters() {
            let mut connection = server.connect().expect("connects");
            let keys = connection.command(&["KEYS", "*"]).expect("lists");
            for key in keys.items() {
                let name = key.text();
                let left = connection.command(&["PTTL", &name]).expect("tells").integer();
                assert!(left.is_some_and(|left| left != -1), "{name} has no TTL");
                assert!(name.starts_with("samovar:{"), "{name} is out of place");
            }
        }
    }
}

impl Servers {
    fn url(&self) -> String {
        let list = |addresses: &[std::net::SocketAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        match self {
            Servers::Single(server) => server.url(),
            Servers::Sentinel(all) => {
                let sentinels = list(&all.sentinel_addresses());
                format!("redis+sentinel://{sentinels}/{}", all.service_name())
            }
            Servers::Cluster(all) => format!("redis+cluster://{}", list(&all.addresses())),
        }
    }

    fn masters(&self) -> Vec<&RedisServer> {
        match self {
            Servers::Single(server) => vec![server],
            Servers::Sentinel(all) => vec![all.master().expect("a master")],
            Servers::Cluster(all) => all.nodes()[..3].iter().map(|node| node.server()).collect(),
        }
    }
}

impl Peer {
    async fn on_redis(url: &str, id: u64) -> Self {
        let options = Options { node: id, ..Options::parse(url).expect("valid") };
        let heard = Arc::<Heard>::default();
        let listener: OnMessage = heard.clone().listener();
        let (random, spawner) = (Random::System, Spawner::current());
        let tier = RedisTier::listening(options, listener, Clock::System, random, spawner);
        tier.connected().await.expect("connects");
        Self { shared: Shared::Redis(tier), id, heard }
    }

    pub(super) async fn look(&self, at: &LookUp) -> Look {
        let mut looks = self.shared.look(std::slice::from_ref(at)).await.expect("answers");
        assert_eq!(looks.len(), 1);
        looks.pop().expect("one")
    }

    /// A begin as the cache makes it, upon no entry.
    pub(super) fn asks(&self, at: &LookUp, token: u64) -> Begin {
        let ids = |index: usize| Ids { change: token << 8 | index as u64, clear: !token };
        Begin {
            at: at.clone(),
            token,
            node: self.id,
            lease: LONG,
            seen: None,
            fresh: (0..at.versions.len()).map(ids).collect(),
            keep: LONG,
            force: false,
        }
    }

    pub(super) async fn begin(&self, begin: Begin) -> Begun {
        self.shared.begin(begin).await.expect("answers")
    }

    pub(super) async fn win(&self, begin: Begin) -> Won {
        match self.begin(begin).await {
            Begun::Won(won) => won,
            other => panic!("not won: {other:?}"),
        }
    }

    pub(super) async fn commit(&self, at: &LookUp, token: u64, value: Bytes) -> Committed {
        let commit = Commit { at: at.clone(), token, value, life: LONG, keep: LONG };
        self.shared.commit(commit).await.expect("answers")
    }

    pub(super) async fn release(&self, at: &LookUp, token: u64, failure: Option<Failure>) {
        let release = Release { entry: at.entry.clone(), token, failure };
        self.shared.release(release).await.expect("answers");
    }

    /// Begins and commits: the entry is there afterwards.
    pub(super) async fn store(&self, at: &LookUp, token: u64) -> Bytes {
        self.win(self.asks(at, token)).await;
        let value = stored(token, b"value");
        let committed = self.commit(at, token, value.clone()).await;
        assert!(matches!(committed, Committed::Stored { .. }), "{committed:?}");
        value
    }

    /// All messages that were heard, up to the first that `last` knows.
    pub(super) async fn heard(&self, last: impl Fn(&Message) -> bool) -> Vec<Message> {
        let heard = || async {
            let messages = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
            let end = messages.iter().position(&last)?;
            Some(messages[..=end].to_vec())
        };
        wait::until_async(LIMIT, "news", heard).await.expect("the news comes")
    }
}

impl Heard {
    fn listener(self: Arc<Self>) -> samovar_store::redis::OnMessage {
        Arc::new(move |payload| {
            let message = Message::decode(payload).expect("readable");
            let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !messages.contains(&message) {
                messages.push(message);
            }
        })
    }
}

pub(super) fn reading_of(tenant: &str, name: &str, shared_tag: &str) -> LookUp {
    let versions = [
        "{*}:v:a:".to_owned(),
        format!("{{*}}:v:b:{shared_tag}"),
        format!("{{{tenant}}}:v:a:"),
        format!("{{{tenant}}}:v:b:orders"),
    ];
    LookUp {
        entry: EntryKey::from_stored(&format!("{{{tenant}}}:e:{name}#1")),
        versions: versions.iter().map(|key| VersionKey::from_stored(key)).collect(),
    }
}

/// An entry as the cache stores it, whose commit is `token`.
pub(super) fn stored(token: u64, value: &[u8]) -> Bytes {
    let lifetimes = Lifetimes { ttl: LONG, grace: LONG, lead: Duration::ZERO };
    let entry = StoredEntry {
        commit: token,
        coding: Coding::Identity,
        absent: false,
        as_of_ms: 4_000_000_000_000,
        lifetimes,
        compute: Duration::ZERO,
        provenance: Provenance::default(),
        raw_len: value.len() as u64,
        content_hash: 0,
        stamps: Vec::new(),
        value: Bytes::copy_from_slice(value),
    };
    entry.encode().into()
}
