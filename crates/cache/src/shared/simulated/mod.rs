//! A shared tier of the simulation: masters that forget, networks that cut, news that comes late.
//!
//! A node in a simulation runs the production types; this stands in for Redis and passes the same
//! conformance suite.

mod keyspace;
mod world;

use std::{fmt, sync::Arc, time::Duration};

use samovar_clock::{Clock, Spawner};

pub use self::world::{MASTERS, Reach, Timing, World};
use self::{
    keyspace::{Keyspace, Leased, millis},
    world::{Delivery, Executed, Link, News},
};
use super::{
    BackOff, Begin, Begun, CleanedUp, Commit, Committed, Invalidate, LeaseState, Look, LookUp,
    Message, Origin, Origins, Release, StoreError, StoreState, Won,
};
use crate::{
    key::EntryKey,
    version::{Ids, Version, VersionKey},
};

/// Called with each payload of the bus, in the order one master published them.
pub type Listener = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A law that a store keeps, for the simulation to break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreLaw {
    /// A write lands only while the lease holds the writer's own token.
    TokenAtCommit,
    /// Versions never return: they are no counters that could restart.
    UniqueVersions,
    /// The incarnation names the history of a master, not the process that serves it.
    IncarnationOfHistory,
}

const TENANTS: usize = 0;
const GLOBAL: usize = 1;

/// A node's lines to all masters.
#[derive(Clone)]
pub struct Connection {
    world: World,
    node: usize,
    clock: Clock,
    listener: Listener,
}

impl Connection {
    /// Connects a new node. `clock` and `spawner` are the node's own: what it runs stands still
    /// with it.
    pub fn open(world: &World, clock: Clock, spawner: &Spawner, listener: Listener) -> Self {
        let connection = Self { world: world.clone(), node: world.add_node(), clock, listener };
        for master in 0..MASTERS {
            world.open(connection.node, master);
            let beating = connection.clone();
            spawner.spawn(async move { beating.keep_beating(master).await });
            let listening = connection.clone();
            spawner.spawn(async move { listening.keep_listening(master).await });
        }
        connection
    }

    /// The number by which the world knows this node.
    pub fn node(&self) -> usize {
        self.node
    }

    async fn keep_beating(&self, master: usize) {
        let timing = self.world.timing();
        loop {
            match self.world.link(self.node, master) {
                None => self.world.open(self.node, master),
                Some(link) => {
                    let sent_at = self.clock.now();
                    self.travel().await;
                    if !self.world.beat(self.node, master, &link, sent_at) {
                        self.world.close(self.node, master, link.id);
                    }
                }
            }
            self.clock.sleep(timing.beat_every).await;
        }
    }

    async fn keep_listening(&self, master: usize) {
        loop {
            match self.world.deliver(self.node, master) {
                Delivery::Later(wait) => self.clock.sleep(wait).await,
                Delivery::Nothing(arrived) => arrived.notified().await,
                Delivery::News(News::Payload(payload)) => (self.listener)(&payload),
                Delivery::News(News::Beat { link: id, sent_at }) => {
                    if let Some(link) = self.world.link(self.node, master).filter(|l| l.id == id) {
                        link.trust.extend(sent_at, self.world.timing().trust_bound);
                    }
                }
            }
        }
    }

    async fn travel(&self) {
        let latency = self.world.up_to(self.world.timing().latency);
        self.clock.sleep(latency).await;
    }

    /// Sends an operation, which may be lost on its way, and waits for the reply, which may be too.
    async fn call<R>(
        &self,
        master: usize,
        operation: impl FnOnce(&mut Keyspace, u64, Option<StoreLaw>) -> (R, Vec<Vec<u8>>),
    ) -> Result<(R, u64, Link), StoreError> {
        let Some(link) = self.world.link(self.node, master) else {
            return Err(StoreError::Unavailable("not connected".to_owned()));
        };
        self.travel().await;
        let (result, now_ms) = match self.world.execute(self.node, master, &link, operation) {
            Executed::Done(result, now_ms) => (result, now_ms),
            Executed::Silence => {
                self.clock.sleep(self.world.timing().give_up).await;
                return Err(StoreError::Unavailable("nobody answers".to_owned()));
            }
            Executed::Refused => {
                self.world.close(self.node, master, link.id);
                return Err(StoreError::Unavailable("another master".to_owned()));
            }
        };
        self.travel().await;
        if self.world.reach(self.node, master) == Reach::Cut {
            self.clock.sleep(self.world.timing().give_up).await;
            return Err(StoreError::Unanswered("the reply is lost".to_owned()));
        }
        Ok((result, now_ms, link))
    }
}

fn origin(link: &Link) -> Origin {
    Origin { incarnation: link.incarnation, trust: link.trust.clone() }
}

fn of_master<T: Clone>(master: usize, keys: &[VersionKey], values: &[T]) -> Vec<(VersionKey, T)> {
    let here = |key: &VersionKey| key.is_global() == (master == GLOBAL);
    keys.iter()
        .zip(values)
        .filter(|(key, _)| here(key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Puts what two masters said back into the order of the question.
fn merge<T>(keys: &[VersionKey], own: Vec<T>, global: Vec<T>) -> Vec<T> {
    let (mut own, mut global) = (own.into_iter(), global.into_iter());
    let next = |key: &VersionKey| {
        let from = if key.is_global() { &mut global } else { &mut own };
        from.next().expect("an answer for each key")
    };
    keys.iter().map(next).collect()
}

impl Connection {
    pub(crate) fn origins(&self, _: &EntryKey) -> Option<Origins> {
        let origin = |master| Some(origin(&self.world.link(self.node, master)?));
        Some(Origins { tenant: origin(TENANTS)?, global: origin(GLOBAL)? })
    }

    pub(crate) async fn look(&self, at: &[LookUp]) -> Result<Vec<Look>, StoreError> {
        type Found = Vec<(Option<bytes::Bytes>, Vec<Option<Version>>)>;
        let ask = |master: usize| {
            self.call(master, move |data, now_ms, _| {
                let one = |look_up: &LookUp| {
                    let here = |key: &&VersionKey| key.is_global() == (master == GLOBAL);
                    let keys = look_up.versions.iter().filter(here);
                    let versions = keys.map(|key| data.version(key, now_ms)).collect();
                    (data.entry(look_up.entry.as_str(), now_ms), versions)
                };
                (at.iter().map(one).collect::<Found>(), Vec::new())
            })
        };
        if !at.iter().any(|look_up| look_up.versions.iter().any(VersionKey::is_global)) {
            let (own, now_ms, tenant) = ask(TENANTS).await?;
            let origins = Origins { tenant: origin(&tenant), global: origin(&tenant) };
            let look =
                |(entry, versions)| Look { entry, versions, origins: origins.clone(), now_ms };
            return Ok(own.into_iter().map(look).collect());
        }
        let (own, global) = futures_util::join!(ask(TENANTS), ask(GLOBAL));
        let ((own, now_ms, tenant), (global, _, shared)) = (own?, global?);
        let origins = Origins { tenant: origin(&tenant), global: origin(&shared) };
        let looks = at.iter().zip(own).zip(global).map(|((at, (entry, own)), (_, global))| Look {
            entry,
            versions: merge(&at.versions, own, global),
            origins: origins.clone(),
            now_ms,
        });
        Ok(looks.collect())
    }

    pub(crate) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let keys = begin.at.versions.clone();
        let own = of_master(TENANTS, &keys, &begin.fresh);
        let global = of_master(GLOBAL, &keys, &begin.fresh);
        let keep_ms = millis(begin.keep);
        fn borrow(list: &[(VersionKey, Ids)]) -> Vec<(&VersionKey, Ids)> {
            list.iter().map(|(key, ids)| (key, *ids)).collect()
        }
        let lease = self.call(TENANTS, |data, now_ms, law| {
            (data.lease_for(&begin, &borrow(&own), now_ms, law), Vec::new())
        });
        let ensure = self.call(GLOBAL, |data, now_ms, law| {
            (data.ensure(&borrow(&global), keep_ms, now_ms, law), Vec::new())
        });
        let (lease, ensured) = futures_util::join!(lease, ensure);
        let (leased, now_ms, tenant) = lease?;
        let own = match leased {
            Leased::Not(begun) => return Ok(begun),
            Leased::Won(own) => own,
        };
        let (global, _, shared) = match ensured {
            Ok(ensured) => ensured,
            Err(error) => {
                let entry = begin.at.entry.clone();
                let _ = self.release(Release { entry, token: begin.token, failure: None }).await;
                return Err(error);
            }
        };
        let origins = Origins { tenant: origin(&tenant), global: origin(&shared) };
        Ok(Begun::Won(Won { versions: merge(&keys, own, global), origins, now_ms }))
    }

    pub(crate) async fn renew(
        &self,
        entry: &EntryKey,
        token: u64,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let renew = |data: &mut Keyspace, now_ms, _| {
            (data.renew(entry.as_str(), token, lease, now_ms), Vec::new())
        };
        self.call(TENANTS, renew).await.map(|(held, ..)| held)
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let keys = commit.at.versions.clone();
        let keep_ms = millis(commit.keep);
        let of = |global: bool| keys.iter().filter(move |key| key.is_global() == global);
        let now = |data: &mut Keyspace, global: bool, now_ms: u64| -> Vec<Option<Version>> {
            data.lengthen(&of(global).collect::<Vec<_>>(), keep_ms, now_ms);
            of(global).map(|key| data.version(key, now_ms)).collect()
        };
        let land = self.call(TENANTS, |data, now_ms, law| {
            let Some(waited) = data.land(&commit, now_ms, law) else { return (None, Vec::new()) };
            let released = Message::Released(commit.at.entry.as_str().to_owned());
            let news = waited.then(|| released.encode()).into_iter().collect();
            (Some(now(data, false, now_ms)), news)
        });
        let global = self.call(GLOBAL, |data, now_ms, _| (now(data, true, now_ms), Vec::new()));
        let (landed, global) = futures_util::join!(land, global);
        let Some(own) = landed?.0 else { return Ok(Committed::Lost) };
        // The value landed, whatever became of the other question.
        let versions = global.ok().map(|(global, ..)| merge(&keys, own, global));
        Ok(Committed::Stored { versions })
    }

    pub(crate) async fn release(&self, release: Release) -> Result<(), StoreError> {
        let operation = |data: &mut Keyspace, now_ms, _| {
            let waited = data.release(&release, now_ms);
            let released = Message::Released(release.entry.as_str().to_owned());
            ((), waited.then(|| released.encode()).into_iter().collect())
        };
        self.call(TENANTS, operation).await.map(|_| ())
    }

    pub(crate) async fn invalidate(&self, invalidate: Invalidate) -> Result<(), StoreError> {
        let global = invalidate.changes.first().is_some_and(|new| new.key.is_global());
        let operation = |data: &mut Keyspace, now_ms, law| {
            let news = data.invalidate(&invalidate, now_ms, law);
            ((), vec![Message::Changed(news).encode()])
        };
        self.call(if global { GLOBAL } else { TENANTS }, operation).await.map(|_| ())
    }

    pub(crate) async fn drop_entry(&self, entry: &EntryKey) -> Result<(), StoreError> {
        let operation = |data: &mut Keyspace, _, _| {
            data.drop_entry(entry.as_str());
            ((), vec![Message::Dropped(entry.as_str().to_owned()).encode()])
        };
        self.call(TENANTS, operation).await.map(|_| ())
    }

    pub(crate) async fn evict(&self, entries: &[(EntryKey, u64)]) -> Result<(), StoreError> {
        let operation = |data: &mut Keyspace, _, _| {
            entries.iter().for_each(|(key, commit)| data.evict_seen(key.as_str(), *commit));
            ((), Vec::new())
        };
        self.call(TENANTS, operation).await.map(|_| ())
    }

    pub(crate) async fn lease_state(
        &self,
        entry: &EntryKey,
    ) -> Result<(Option<LeaseState>, Option<BackOff>), StoreError> {
        let operation = |data: &mut Keyspace, now_ms, _| {
            let key = entry.as_str();
            ((data.lease_state(key, now_ms), data.back_off(key, now_ms)), Vec::new())
        };
        self.call(TENANTS, operation).await.map(|(states, ..)| states)
    }

    /// A simulated world does not know which nodes live: every lease counts as dead.
    pub(crate) async fn clean_up(
        &self,
        expired: bool,
        leases: bool,
        dry_run: bool,
    ) -> Result<CleanedUp, StoreError> {
        let operation = |data: &mut Keyspace, now_ms, _| {
            let mut found = CleanedUp::default();
            data.clean_up((expired, leases, dry_run), &[], now_ms, &mut found);
            (found, Vec::new())
        };
        self.call(TENANTS, operation).await.map(|(found, ..)| found)
    }

    pub(crate) async fn state(&self) -> StoreState {
        let connected = (0..MASTERS).all(|master| self.world.link(self.node, master).is_some());
        let keys = Some(self.world.keys() as u64);
        StoreState { kind: "simulated", connected, keys, ..StoreState::default() }
    }

    pub(crate) async fn close(&self) {}
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection of node {}", self.node)
    }
}
