//! A store of each kind, and the means to let its time pass.

use std::{sync::Arc, time::Duration};

use samovar_access::{
    EmbeddedStore, Hash, Label, NewEntry, NewToken, NewUser, Outcome, RedisStore, Role, Scope,
    Secret, SecretKind, Store, TokenId, UserName,
};
use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_store::embedded::Folder;
use samovar_testkit::{RedisCluster, RedisSentinel, RedisServer};
use tempfile::TempDir;

pub(crate) struct Harness {
    pub(crate) store: Store,
    home: Home,
}

enum Home {
    Embedded { clock: Arc<ManualClock>, folder: TempDir },
    Single(RedisServer),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

impl Harness {
    pub(crate) async fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
        let store = open(&folder, Clock::Manual(clock.clone())).await;
        Self { store, home: Home::Embedded { clock, folder } }
    }

    pub(crate) async fn redis() -> Self {
        let server = RedisServer::builder().config("appendonly yes").start().expect("starts");
        Self::on(&server.url(), false, Home::Single(server)).await
    }

    /// With each write confirmed by the replica.
    pub(crate) async fn sentinel() -> Self {
        let all = RedisSentinel::start_with(&["appendonly yes"]).expect("starts");
        let sentinels = addresses(&all.sentinel_addresses());
        let url = format!("redis+sentinel://{sentinels}/{}", all.service_name());
        Self::on(&url, true, Home::Sentinel(all)).await
    }

    pub(crate) async fn cluster() -> Self {
        let all = RedisCluster::start().expect("starts");
        let url = format!("redis+cluster://{}", addresses(&all.addresses()));
        Self::on(&url, false, Home::Cluster(all)).await
    }

    async fn on(url: &str, replicated: bool, home: Home) -> Self {
        let store = RedisStore::connect(url, replicated, Clock::System, Random::System).await;
        Self { store: Store::Redis(store.expect("connects")), home }
    }

    /// What there is, opened anew after an end in good order.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        let Home::Embedded { clock, folder } = self.home else { panic!("has a folder") };
        let store = open(&folder, Clock::Manual(clock.clone())).await;
        Self { store, home: Home::Embedded { clock, folder } }
    }

    /// Whether its time is ours to move.
    pub(crate) fn moves_time(&self) -> bool {
        matches!(self.home, Home::Embedded { .. })
    }

    pub(crate) fn pass(&self, duration: Duration) {
        let Home::Embedded { clock, .. } = &self.home else { panic!("has a clock") };
        clock.advance(duration);
    }

    /// Makes a token and gives what is kept of it.
    pub(crate) async fn token(&self, role: Role, scope: Scope) -> (TokenId, Hash) {
        self.token_for(role, scope, None).await
    }

    pub(crate) async fn token_for(
        &self,
        role: Role,
        scope: Scope,
        lifetime: Option<Duration>,
    ) -> (TokenId, Hash) {
        let hash = Secret::draw(SecretKind::Token).hash();
        let token = new_token(role, scope, lifetime);
        let made = self.store.create_token(token, hash, &Random::System).await;
        (made.expect("made"), hash)
    }

    pub(crate) async fn user(&self, name: &UserName) {
        self.store.create_user(new_user(name), "hash".to_owned()).await.expect("made");
    }

    pub(crate) async fn session(&self, name: &UserName, lifetime: Duration) -> Hash {
        let hash = Secret::draw(SecretKind::Session).hash();
        let (name, password) = (name.clone(), "hash".to_owned());
        let begun = self.store.start_session(hash, name, password, lifetime).await;
        assert_eq!(begun, Ok(true));
        hash
    }

    pub(crate) async fn is_known(&self, kind: SecretKind, hash: Hash) -> bool {
        self.store.find(kind, hash).await.expect("answers").is_some()
    }

    /// After all cases: no durable key ends by itself, all of it is in one slot, and no secret is
    /// there to be read.
    pub(crate) fn check_what_is_left(&self) {
        for server in self.home.masters() {
            let mut connection = server.connect().expect("connects");
            for key in connection.command(&["KEYS", "*"]).expect("lists").items() {
                let name = String::from_utf8_lossy(key.bytes()).into_owned();
                if name.starts_with("samovar:beat") {
                    continue;
                }
                let of_access = name.strip_prefix("samovar:{access}:");
                let rest = of_access.unwrap_or_else(|| panic!("{name:?} is out of place"));
                let ends = rest.starts_with("session:") || rest.starts_with("of:");
                let left = connection.command(&[&b"PTTL"[..], key.bytes()]).expect("tells");
                assert_eq!(left.integer() == Some(-1), !ends, "{name:?}: {left:?}");
            }
        }
    }
}

impl Home {
    fn masters(&self) -> Vec<&RedisServer> {
        match self {
            Home::Embedded { .. } => Vec::new(),
            Home::Single(server) => vec![server],
            Home::Sentinel(all) => vec![all.master().expect("a master")],
            Home::Cluster(all) => all.nodes()[..3].iter().map(|node| node.server()).collect(),
        }
    }
}

async fn open(folder: &TempDir, clock: Clock) -> Store {
    let folder = Folder::own(folder.path()).expect("owned");
    Store::Embedded(EmbeddedStore::open(folder, clock, Random::System).await.expect("opens"))
}

fn addresses(addresses: &[std::net::SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(",")
}

pub(crate) fn new_token(role: Role, scope: Scope, lifetime: Option<Duration>) -> NewToken {
    let label = Label::new("the till").expect("a name");
    NewToken { label, role, scope, lifetime, by: "owner of the store".to_owned() }
}

pub(crate) fn new_user(name: &UserName) -> NewUser {
    NewUser { name: name.clone(), role: Role::Manager, scope: of(&["north"]) }
}

pub(crate) fn name(text: &str) -> UserName {
    UserName::new(text).expect("a name")
}

pub(crate) fn of(tenants: &[&str]) -> Scope {
    Scope::of(tenants.iter().map(|it| (*it).to_owned()).collect())
}

pub(crate) fn entry(who: &str, what: &str) -> NewEntry {
    NewEntry {
        who: who.to_owned(),
        role: Some("owner".to_owned()),
        from: "192.0.2.1".to_owned(),
        what: what.to_owned(),
        tenants: vec!["north".to_owned()],
        detail: Some("tag orders".to_owned()),
        outcome: Outcome::Done,
        code: "200".to_owned(),
    }
}
