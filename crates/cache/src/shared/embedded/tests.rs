//! What only this tier does: limits of a file, leases in memory, versions that are lengthened as
//! rarely as possible. What every store does is in the conformance suite.

use std::path::Path;

use bytes::Bytes;
use futures_util::poll;
use samovar_clock::{ManualClock, Random, WallTime};
use samovar_store::embedded::Folder;

use super::*;
use crate::{
    shared::NewIds,
    version::{Ids, VersionKey},
};

const KEEP: Duration = Duration::from_secs(1000);
const LEASE: Duration = Duration::from_secs(30);
const ROOMY: u64 = 64 << 20;

struct Opened {
    manual: Arc<ManualClock>,
    random: Random,
    tier: EmbeddedTier,
}

async fn open(home: &Path, limit_bytes: u64) -> Opened {
    let manual = Arc::new(ManualClock::new(WallTime::from_millis(1_754_497_865_000)));
    let (clock, random) = (Clock::Manual(manual.clone()), Random::seeded(1));
    let tier = EmbeddedTier::open(own(home), limit_bytes, clock, random.clone()).await;
    let tier = tier.expect("opens");
    Opened { manual, random, tier }
}

fn own(home: &Path) -> Folder {
    Folder::own(home).expect("owned")
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn at(name: &str) -> LookUp {
    let versions = ["{acme}:v:a:", "{acme}:v:b:orders"].map(VersionKey::from_stored);
    LookUp { entry: EntryKey::from_shown("acme", name), versions: Arc::new(versions) }
}

fn begin(name: &str, token: u64, random: &Random) -> Begin {
    let fresh = || Ids { change: random.id(), clear: random.id() };
    Begin {
        at: at(name),
        token,
        node: 1,
        lease: LEASE,
        seen: None,
        fresh: vec![fresh(), fresh()],
        keep: KEEP,
        force: true,
    }
}

/// With the token where an entry has its commit.
fn value(token: u64, bytes: usize) -> Bytes {
    [&[0; 8], &token.to_be_bytes()[..], &vec![b'v'; bytes - 16]].concat().into()
}

impl Opened {
    async fn win(&self, name: &str, token: u64) -> Won {
        match self.tier.begin(begin(name, token, &self.random)).await.expect("the store is up") {
            Begun::Won(won) => won,
            other => panic!("not won: {other:?}"),
        }
    }

    async fn land(
        &self,
        name: &str,
        token: u64,
        value: Bytes,
        life: Duration,
    ) -> Result<Committed, StoreError> {
        self.tier.commit(Commit { at: at(name), token, value, life, keep: KEEP }).await
    }

    async fn put(&self, name: &str, bytes: usize, life: Duration) -> Result<Committed, StoreError> {
        let token = self.random.id();
        self.win(name, token).await;
        self.land(name, token, value(token, bytes), life).await
    }

    async fn look(&self, name: &str) -> Look {
        let looks = self.tier.look(&[at(name)]).await.expect("reads go on");
        looks.into_iter().next().expect("one for one")
    }

    async fn holds(&self, name: &str) -> bool {
        self.look(name).await.entry.is_some()
    }

    fn writes(&self) -> u64 {
        self.tier.database.health().operations
    }
}

#[tokio::test]
async fn versions_are_lengthened_only_when_they_would_end_too_early() {
    let home = home();
    let open = open(home.path(), ROOMY).await;
    let made = open.win("a", 1).await.versions;
    let writes = open.writes();
    open.manual.advance(KEEP / 4);
    assert_eq!(open.win("b", 2).await.versions, made);
    assert_eq!(open.writes(), writes, "what a quarter more than asked for is good for");

    open.manual.advance(Duration::from_millis(1));
    assert_eq!(open.win("c", 3).await.versions, made);
    assert_eq!(open.writes(), writes + 1);

    open.manual.advance(KEEP);
    assert_eq!(open.look("c").await.versions, made.into_iter().map(Some).collect::<Vec<_>>());
    open.manual.advance(KEEP / 4);
    assert_eq!(open.look("c").await.versions, [None, None]);
}

#[tokio::test]
async fn a_version_that_expired_never_comes_back_with_its_old_ids() {
    let home = home();
    let open = open(home.path(), ROOMY).await;
    let old = open.win("a", 1).await.versions;
    open.manual.advance(KEEP * 2);
    let changes = vec![NewIds { key: at("a").versions[0].clone(), change: 7, clear: None }];
    let invalidate = Invalidate { changes, spread: Duration::ZERO, cause: String::new() };
    open.tier.invalidate(invalidate).await.expect("written");
    assert_eq!(open.look("a").await.versions, [None, None], "there is nothing to replace");
    let new = open.win("a", 2).await.versions;
    assert!(old.iter().zip(&new).all(|(old, new)| old.ids.change != new.ids.change));
}

#[tokio::test]
async fn a_commit_lengthens_the_versions_that_its_entry_carries() {
    let home = home();
    let open = open(home.path(), ROOMY).await;
    open.win("a", 1).await;
    for _ in 0..50 {
        open.manual.advance(LEASE - Duration::from_secs(1));
        assert_eq!(open.tier.renew(&at("a").entry, 1, LEASE).await, Ok(true));
    }
    // The last moment at which the versions of the begin live.
    let since_begin = (LEASE - Duration::from_secs(1)) * 50;
    assert!(since_begin > KEEP && since_begin < KEEP * 3 / 2);
    let landed = open.land("a", 1, value(1, 100), KEEP / 2).await.expect("the store is up");
    let Committed::Stored { versions: Some(versions) } = landed else {
        panic!("the lease was renewed")
    };
    assert_eq!(versions, [None, None], "longer than any compute that was announced");

    open.win("b", 2).await;
    open.manual.advance(LEASE / 2);
    open.tier.renew(&at("b").entry, 2, KEEP * 2).await.expect("renewed");
    open.manual.advance(KEEP);
    open.land("b", 2, value(2, 100), KEEP / 2).await.expect("stored");
    open.manual.advance(KEEP / 2 - Duration::from_millis(1));
    let look = open.look("b").await;
    assert!(look.entry.is_some() && look.versions.iter().all(Option::is_some));
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_begin_leaves_no_lease_behind() {
    let home = home();
    let open = open(home.path(), ROOMY).await;
    // A reader's thread may be so quick that there is nothing to wait for: then once more.
    for token in 1.. {
        let mut abandoned = Box::pin(open.tier.begin(begin("a", token, &open.random)));
        let pending = poll!(abandoned.as_mut()).is_pending();
        assert!(open.tier.leases.show(&at("a").entry).0.is_some());
        drop(abandoned);
        if pending {
            break;
        }
        let release = Release { entry: at("a").entry, token, failure: None };
        open.tier.release(release).await.expect("released");
    }
    assert_eq!(open.tier.leases.show(&at("a").entry).0, None);
}

#[tokio::test]
async fn what_nobody_asks_for_makes_room_and_the_file_stays_within_its_limit() {
    const LIMIT: u64 = 2 << 20;
    let home = home();
    let open = open(home.path(), LIMIT).await;
    let life = |name: usize| Duration::from_secs(100 + (name as u64 * 37) % 500);
    open.put("over", 20_000, Duration::from_secs(1)).await.expect("stored");
    open.put("hot", 20_000, Duration::from_secs(300)).await.expect("stored");
    open.put("cold", 20_000, Duration::from_secs(900)).await.expect("stored");
    open.manual.advance(Duration::from_secs(1));
    for name in 0..2000 {
        // Sizes from one cell to many pages, and each name written twice.
        let bytes = 100 + (name * 7919) % 30_000;
        open.put(&(name % 1000).to_string(), bytes, life(name)).await.expect("stored");
        assert!(open.holds(&(name % 1000).to_string()).await);
        assert!(name % 20 > 0 || open.holds("hot").await, "after {name}");
    }
    // It would have lived the longest.
    assert!(!open.holds("cold").await);
    let state = open.tier.state().await;
    assert_eq!(state.expired, Some(1));
    assert!(state.evicted > Some(500), "{state:?}");
    assert!(state.memory_bytes <= Some(LIMIT) && state.memory_bytes > Some(LIMIT * 9 / 10));
    open.tier.database.checkpoint().await.expect("copied");
    let size = open.tier.database.size().await.expect("known");
    assert!(size.file_bytes <= LIMIT, "{size:?}");
}

/// Each day of each tenant has a version of its own, which outlives its entry. They filled the file, and
/// nothing found room any more.
#[tokio::test]
async fn versions_make_room_when_nothing_else_is_left() {
    const LIMIT: u64 = 1 << 20;
    let home = home();
    let open = open(home.path(), LIMIT).await;
    for name in 0..6000 {
        let version = VersionKey::from_stored(&format!("{{acme}}:v:b:orders/2026/{name:050}"));
        let name = name.to_string();
        let begin = Begin {
            at: LookUp { versions: Arc::new([version]), ..at(&name) },
            fresh: vec![Ids { change: 1, clear: 1 }],
            ..begin(&name, 1, &open.random)
        };
        let (at, keep) = (begin.at.clone(), begin.keep);
        assert!(matches!(open.tier.begin(begin).await, Ok(Begun::Won(_))));
        let commit = Commit { at: at.clone(), token: 1, value: value(1, 300), life: KEEP, keep };
        open.tier.commit(commit).await.expect("finds room");
        let look = open.tier.look(&[at]).await.expect("reads go on").remove(0);
        assert!(look.entry.is_some() && look.versions[0].is_some(), "after {name}");
        open.manual.advance(Duration::from_millis(1));
    }
    let state = open.tier.state().await;
    assert!(state.memory_bytes <= Some(LIMIT), "{state:?}");
}

/// However much of it there is.
#[tokio::test]
async fn what_everybody_asks_for_makes_room_as_well() {
    const LIMIT: u64 = 2 << 20;
    let home = home();
    let open = open(home.path(), LIMIT).await;
    let names: Vec<String> = (0..1500).map(|name| name.to_string()).collect();
    for name in &names {
        open.put(name, 1_000, KEEP).await.expect("stored");
        open.holds(name).await;
    }
    let all: Vec<LookUp> = names.iter().map(|name| at(name)).collect();
    open.tier.look(&all).await.expect("reads go on");
    open.put("large", LIMIT as usize - 200_000, KEEP).await.expect("finds room");
    assert!(open.holds("large").await);
}

#[tokio::test]
async fn a_value_beyond_the_limit_is_refused_and_evicts_nothing() {
    const LIMIT: u64 = 1 << 20;
    let home = home();
    let open = open(home.path(), LIMIT).await;
    open.put("a", 500_000, KEEP).await.expect("stored");
    for bytes in [LIMIT as usize, LIMIT as usize - 40_000] {
        let refused = open.put("b", bytes, KEEP).await.expect_err("too large");
        assert!(matches!(&refused, StoreError::Refused(why) if why.contains("`[cache] disk`")));
        assert!(open.holds("a").await);
    }
    assert_eq!(open.tier.leases.show(&at("b").entry).0, None, "nobody has to wait for it");
    open.put("a", 600_000, KEEP).await.expect("its own old value makes room");
    open.put("b", 600_000, KEEP).await.expect("the other value makes room");
    assert!(!open.holds("a").await);
}

#[tokio::test]
async fn a_limit_that_was_lowered_holds_as_soon_as_the_file_is_open() {
    let home = home();
    let before = open(home.path(), ROOMY).await;
    for name in 0..1500 {
        let life = Duration::from_secs(500 + name);
        before.put(&name.to_string(), 3_000, life).await.expect("stored");
    }
    before.tier.close().await;
    let after = open(home.path(), 1 << 20).await;
    let state = after.tier.state().await;
    assert!(state.memory_bytes <= Some(1 << 20), "{state:?}");
    assert!(!after.holds("0").await && after.holds("1499").await);
}

#[tokio::test]
async fn when_the_disk_is_full_nothing_is_half_done_and_reads_go_on() {
    let home = home();
    let mut open = open(home.path(), ROOMY).await;
    open.put("a", 3_000, KEEP).await.expect("stored");
    let versions = open.look("a").await.versions;
    let used = open.tier.state().await.memory_bytes.expect("known");
    open.tier.close().await;
    // SQLite refuses to go beyond this, as it does when the disk has nothing left.
    open.tier = EmbeddedTier::open_within(
        own(home.path()),
        ROOMY,
        used + (64 << 10),
        Clock::Manual(open.manual.clone()),
        open.random.clone(),
    )
    .await
    .expect("opens");

    let refused = open.put("b", 100_000, KEEP).await.expect_err("full");
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
    assert!(open.tier.state().await.last_error.is_some_and(|error| error.contains("full")));
    assert!(open.holds("a").await && !open.holds("b").await);
    assert_eq!(open.look("a").await.versions, versions);
    open.put("b", 3_000, KEEP).await.expect("fits");
    open.tier.drop_entry(&at("a").entry).await.expect("dropped");
}

#[tokio::test]
async fn what_has_expired_is_swept_with_the_writes() {
    let home = home();
    let open = open(home.path(), ROOMY).await;
    for name in 0..500 {
        open.put(&name.to_string(), 500, Duration::from_secs(1)).await.expect("stored");
    }
    open.manual.advance(KEEP * 2);
    assert_eq!(open.tier.state().await.keys, Some(502));
    for round in 0..limits::SWEEP_EVERY * 3 {
        open.put("again", 500 + round as usize, Duration::from_secs(1)).await.expect("stored");
    }
    assert_eq!(open.tier.state().await.keys, Some(3));
    assert_eq!(open.tier.state().await.expired, Some(500));
}

#[tokio::test]
async fn a_clean_up_names_some_and_counts_the_rest() {
    let home = home();
    let open = open(home.path(), ROOMY).await;
    let listed = crate::limits::LISTED_KEYS;
    for name in 0..listed + 300 {
        open.put(&format!("{name:04}"), 100, Duration::from_secs(1)).await.expect("stored");
    }
    open.put("lives", 100, KEEP).await.expect("stored");
    open.win("dies", 1).await;
    open.manual.advance(LEASE);
    open.win("computes", 2).await;

    let found = open.tier.clean_up(true, true, true).await.expect("listed");
    assert_eq!((found.expired.len(), found.unlisted), (listed, 300));
    assert_eq!(found.expired[7], "{acme}:e:0007");
    assert_eq!(found.expired_bytes, (listed as u64 + 300) * 100);
    assert_eq!(found.dead_leases, ["{acme}:e:dies"]);
    assert_eq!(open.tier.clean_up(true, true, false).await, Ok(found));
    assert_eq!(open.tier.clean_up(true, true, true).await, Ok(Default::default()));
    assert!(open.holds("lives").await);
    assert_eq!(open.tier.state().await.keys, Some(3));
}
