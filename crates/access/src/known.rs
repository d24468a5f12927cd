//! What was verified a moment ago, so that a request costs no question at the store.
//!
//! A table from the hash of a secret to whose it is. Within [`limits::RECHECK`] it is simply
//! believed, then it is asked again behind the request, and after [`limits::BELIEVED`] before it. Only
//! while the store does not answer it is believed for longer, up to [`limits::OUTAGE`].

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::Instant;

use crate::{Hash, Principal, limits};

const SHARDS: usize = 16;

#[derive(Debug)]
pub(crate) struct Known {
    shards: [RwLock<Shard>; SHARDS],
    /// Steps with everything that is revoked here: what was asked before is not noted any more.
    revoked: AtomicU64,
}

type Shard = HashMap<Hash, Held, BuildHasherDefault<FirstBytes>>;

#[derive(Debug)]
struct Held {
    principal: Arc<Principal>,
    /// When the question was sent that found it to be good.
    verified: Instant,
    /// Its own end.
    ends: Instant,
    /// When somebody took a question upon himself last, in nanoseconds since boot.
    asked: AtomicU64,
    /// When the store did not answer one last, likewise; zero: it always has.
    unanswered: AtomicU64,
}

/// What is known about a secret, as a caller finds it.
#[derive(Debug)]
pub(crate) enum Worth {
    Good(Arc<Principal>),
    /// And whoever was told so asks the store, behind his request.
    Recheck(Arc<Principal>),
    Unknown,
    /// It was good, and the caller asks the store before anything else. If that does not answer, it
    /// still is.
    Ask(Arc<Principal>),
}

/// A moment before a question, to be shown with its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) sent: Instant,
    revoked: u64,
}

impl Known {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), revoked: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn look(&self, hash: &Hash, now: Instant) -> Worth {
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(hash).map_or(Worth::Unknown, |held| held.worth(now))
    }

    /// Steps with everything that is revoked here, and with what the store did not know any more.
    pub(crate) fn revocations(&self) -> u64 {
        self.revoked.load(Ordering::Acquire)
    }

    pub(crate) fn moment(&self, now: Instant) -> Moment {
        Moment { sent: now, revoked: self.revoked.load(Ordering::Acquire) }
    }

    /// What the store answered. Not kept where something was revoked since it was asked.
    pub(crate) fn verified(
        &self,
        hash: &Hash,
        principal: Arc<Principal>,
        left: Option<Duration>,
        moment: Moment,
    ) {
        let ends = left.map_or(Instant::FAR_FUTURE, |left| moment.sent + left);
        let asked = AtomicU64::new(moment.sent.as_nanos());
        let unanswered = AtomicU64::new(0);
        let held = Held { principal, verified: moment.sent, ends, asked, unanswered };
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        if self.revoked.load(Ordering::Acquire) != moment.revoked {
            return;
        }
        if shard.len() >= limits::KNOWN / SHARDS && !shard.contains_key(hash) {
            make_room(&mut shard);
        }
        shard.insert(*hash, held);
    }

    /// The store did not answer a question about it.
    pub(crate) fn unanswered(&self, hash: &Hash, now: Instant) {
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = shard.get(hash) {
            held.unanswered.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    pub(crate) fn forget(&self, hash: &Hash) {
        self.forget_where(|it, _| it == hash);
    }

    /// From now on none of them is believed, and no answer that is still on its way either.
    pub(crate) fn forget_where(&self, is_meant: impl Fn(&Hash, &Principal) -> bool) {
        self.revoked.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|hash, held| !is_meant(hash, &held.principal));
        }
    }

    #[inline]
    fn shard(&self, hash: &Hash) -> &RwLock<Shard> {
        &self.shards[usize::from(hash.as_bytes()[31]) % SHARDS]
    }
}

impl Held {
    fn worth(&self, now: Instant) -> Worth {
        let age = now.since(self.verified);
        let principal = self.principal.clone();
        if now >= self.ends || age >= limits::OUTAGE {
            return Worth::Unknown;
        }
        let unanswered = Instant::from_nanos(self.unanswered.load(Ordering::Relaxed));
        let is_away = now.since(unanswered) < limits::BELIEVED;
        let every = match age {
            age if age < limits::RECHECK => return Worth::Good(principal),
            age if age < limits::BELIEVED => limits::RECHECK,
            _ if is_away => limits::ASK_AGAIN,
            _ => return Worth::Ask(principal),
        };
        if self.takes_turn(now, every) { Worth::Recheck(principal) } else { Worth::Good(principal) }
    }

    /// Whether this caller is the one to ask, because nobody has for so long.
    fn takes_turn(&self, now: Instant, every: Duration) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        let is_due = now.since(Instant::from_nanos(asked)) >= every;
        let (order, to) = (Ordering::Relaxed, now.as_nanos());
        is_due && self.asked.compare_exchange(asked, to, order, order).is_ok()
    }
}

/// An eighth goes, those that were verified longest ago.
fn make_room(shard: &mut Shard) {
    let mut verified: Vec<Instant> = shard.values().map(|held| held.verified).collect();
    let at = verified.len() / 8;
    let (_, oldest, _) = verified.select_nth_unstable(at);
    let oldest = *oldest;
    let mut left = at + 1;
    shard.retain(|_, held| {
        let goes = left > 0 && held.verified <= oldest;
        left -= usize::from(goes);
        !goes
    });
}

/// A hash by a cryptographic function is evenly spread as it is.
#[derive(Debug, Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of what follows, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, SecretKind, Who};

    const BEGIN: Instant = Instant::from_nanos(1_000_000_000_000);

    fn at(ms: u64) -> Instant {
        BEGIN + Duration::from_millis(ms)
    }

    fn hash() -> Hash {
        Secret::draw(SecretKind::Token).hash()
    }

    fn somebody() -> Arc<Principal> {
        Arc::new(Principal::unbound_admin(Who::Owner))
    }

    fn verify(known: &Known, hash: &Hash, left: Option<Duration>, at: Instant) {
        known.verified(hash, somebody(), left, known.moment(at));
    }

    #[track_caller]
    fn assert_worth(known: &Known, hash: &Hash, at: Instant, expected: &str) {
        let found = match known.look(hash, at) {
            Worth::Good(_) => "good",
            Worth::Recheck(_) => "recheck",
            Worth::Unknown => "unknown",
            Worth::Ask(_) => "ask",
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_held_is_believed_rechecked_and_asked_for_as_it_gets_older() {
        let (known, hash) = (Known::new(), hash());
        assert_worth(&known, &hash, at(0), "unknown");
        verify(&known, &hash, None, at(0));
        assert_worth(&known, &hash, at(1999), "good");
        assert_worth(&known, &hash, at(2000), "recheck");
        assert_worth(&known, &hash, at(2001), "good");
        assert_worth(&known, &hash, at(4000), "recheck");
        assert_worth(&known, &hash, at(4999), "good");
        assert_worth(&known, &hash, at(5000), "ask");
        verify(&known, &hash, None, at(5000));
        assert_worth(&known, &hash, at(5001), "good");
    }

    #[test]
    fn nothing_is_believed_beyond_its_own_end() {
        let (known, hash) = (Known::new(), hash());
        verify(&known, &hash, Some(Duration::from_millis(1500)), at(0));
        assert_worth(&known, &hash, at(1499), "good");
        assert_worth(&known, &hash, at(1500), "unknown");
    }

    #[test]
    fn while_the_store_does_not_answer_it_is_believed_up_to_a_bound() {
        let (known, hash) = (Known::new(), hash());
        verify(&known, &hash, None, at(0));
        assert_worth(&known, &hash, at(6000), "ask");
        known.unanswered(&hash, at(6000));
        assert_worth(&known, &hash, at(6001), "recheck");
        assert_worth(&known, &hash, at(6002), "good");
        assert_worth(&known, &hash, at(7001), "recheck");
        // Nobody has asked for so long that nobody knows whether the store is still away.
        assert_worth(&known, &hash, at(11_000), "ask");
        known.unanswered(&hash, at(599_000));
        assert_worth(&known, &hash, at(599_999), "recheck");
        assert_worth(&known, &hash, at(600_000), "unknown");
    }

    #[test]
    fn an_answer_that_a_revocation_overtook_is_not_kept() {
        let (known, hash) = (Known::new(), hash());
        let asked = known.moment(at(0));
        known.forget(&hash);
        known.verified(&hash, somebody(), None, asked);
        assert_worth(&known, &hash, at(1), "unknown");
        verify(&known, &hash, None, at(1));
        assert_worth(&known, &hash, at(2), "good");
        known.forget_where(|_, principal| principal.who == Who::Owner);
        assert_worth(&known, &hash, at(3), "unknown");
    }

    #[test]
    fn the_table_is_bounded_and_lets_go_of_what_was_verified_longest_ago() {
        let known = Known::new();
        let hashes: Vec<Hash> = (0..limits::KNOWN * 2).map(|_| hash()).collect();
        for (number, hash) in hashes.iter().enumerate() {
            verify(&known, hash, None, at(number as u64 / 100));
        }
        let held = |shard: &RwLock<Shard>| shard.read().expect("no panic").len();
        let sizes: Vec<usize> = known.shards.iter().map(held).collect();
        assert!(sizes.iter().all(|size| *size <= limits::KNOWN / SHARDS), "{sizes:?}");
        assert!(sizes.iter().sum::<usize>() > limits::KNOWN / 2);
        let last = hashes.last().expect("many");
        assert_worth(&known, last, at(200), "good");
        assert_worth(&known, &hashes[0], at(200), "unknown");
    }
}
