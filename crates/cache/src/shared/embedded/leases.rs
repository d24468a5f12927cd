//! Leases and back-offs, in memory: the process that owns the store is the only one that computes,
//! so they need to outlive nothing. A new owner voids all leases by not knowing them; whatever a
//! killed one was computing cannot land any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Instant};

use super::limits;
use crate::{
    key::EntryKey,
    shared::{BackOff, Begin, Begun, Failure, LeaseState},
};

/// All leases and back-offs of the process. Its lock is held for a few map operations, never
/// across a wait.
#[derive(Debug)]
pub(super) struct Leases {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    leases: HashMap<EntryKey, Lease>,
    failed: HashMap<EntryKey, Failed>,
}

#[derive(Debug)]
struct Lease {
    token: u64,
    node: u64,
    until: Instant,
    /// Its value is written but not yet committed: nobody may take the lease before he can see
    /// the value, also when its time is over meanwhile.
    landing: bool,
}

#[derive(Debug)]
struct Failed {
    failures: u32,
    until: Instant,
    forget_at: Instant,
    error: String,
}

/// Why there is no lease.
#[derive(Debug)]
pub(super) enum NotTaken {
    Begun(Begun),
    /// There are too many.
    Full,
}

impl Leases {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default() })
    }

    /// Takes the lease, to be given back when the result is dropped.
    pub(super) fn take(self: &Arc<Self>, begin: &Begin) -> Result<Held, NotTaken> {
        let now = self.clock.now();
        let key = &begin.at.entry;
        let mut state = self.state();
        if let Some(lease) = state.leases.get(key).filter(|lease| lease.lives(now)) {
            return Err(NotTaken::Begun(Begun::Busy { left: lease.until.since(now) }));
        }
        if !begin.force
            && let Some(back_off) = state.back_off(key, now)
        {
            return Err(NotTaken::Begun(Begun::BackOff(back_off)));
        }
        if state.leases.len() >= limits::LEASES {
            state.leases.retain(|_, lease| lease.lives(now));
            if state.leases.len() >= limits::LEASES {
                return Err(NotTaken::Full);
            }
        }
        let (token, until) = (begin.token, now + begin.lease);
        let lease = Lease { token, node: begin.node, until, landing: false };
        state.leases.insert(key.clone(), lease);
        Ok(self.held(key.clone(), token))
    }

    /// Ends the lease when it is dropped, if it is this token's then.
    pub(super) fn held(self: &Arc<Self>, key: EntryKey, token: u64) -> Held {
        Held { leases: self.clone(), key, token, armed: true }
    }

    pub(super) fn renew(&self, key: &EntryKey, token: u64, lasts: Duration) -> bool {
        let now = self.clock.now();
        match self.state().of(key, token, now) {
            Some(lease) => {
                lease.until = now + lasts;
                true
            }
            None => false,
        }
    }

    /// Does nothing when the lease is another's: a failure is reported by who was to compute.
    pub(super) fn release(&self, key: &EntryKey, token: u64, failure: Option<&Failure>) {
        let now = self.clock.now();
        let mut state = self.state();
        if state.of(key, token, now).is_none() {
            return;
        }
        state.leases.remove(key);
        if let Some(failure) = failure {
            state.fail(key, failure, now);
        }
    }

    /// Ends whatever is computed for this key, and forgets its failures.
    pub(super) fn drop_key(&self, key: &EntryKey) {
        let mut state = self.state();
        state.leases.remove(key);
        state.failed.remove(key);
    }

    pub(super) fn show(&self, key: &EntryKey) -> (Option<LeaseState>, Option<BackOff>) {
        let now = self.clock.now();
        let state = self.state();
        let lease = state.leases.get(key).filter(|lease| lease.lives(now));
        let lease = lease.map(|lease| LeaseState {
            token: lease.token,
            node: lease.node,
            left: lease.until.since(now),
        });
        (lease, state.back_off(key, now))
    }

    /// Keys of leases that ran out and were never given back.
    pub(super) fn dead(&self, remove: bool) -> Vec<EntryKey> {
        let now = self.clock.now();
        let mut state = self.state();
        let dead = state.leases.iter().filter(|(_, lease)| !lease.lives(now));
        let mut dead: Vec<EntryKey> = dead.map(|(key, _)| key.clone()).collect();
        if remove {
            state.leases.retain(|_, lease| lease.lives(now));
        }
        dead.sort();
        dead
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    fn lives(&self, now: Instant) -> bool {
        self.landing || now < self.until
    }
}

impl State {
    fn of(&mut self, key: &EntryKey, token: u64, now: Instant) -> Option<&mut Lease> {
        self.leases.get_mut(key).filter(|lease| lease.token == token && lease.lives(now))
    }

    fn back_off(&self, key: &EntryKey, now: Instant) -> Option<BackOff> {
        let failed = self.failed.get(key).filter(|failed| now < failed.until)?;
        let left = failed.until.since(now);
        Some(BackOff { left, failures: failed.failures, error: failed.error.clone() })
    }

    fn fail(&mut self, key: &EntryKey, failure: &Failure, now: Instant) {
        let known = self.failed.get(key).filter(|failed| now < failed.forget_at);
        let failures = known.map_or(0, |failed| failed.failures).saturating_add(1);
        if self.failed.len() >= limits::FAILURES && !self.failed.contains_key(key) {
            self.failed.retain(|_, failed| now < failed.forget_at);
            if self.failed.len() >= limits::FAILURES {
                return;
            }
        }
        let until = now + failure.wait(failures);
        let forget_at = until + limits::FAILURES_KEPT;
        let failed = Failed { failures, until, forget_at, error: failure.error.clone() };
        self.failed.insert(key.clone(), failed);
    }
}

/// A lease in good hands. Dropping it ends the lease, wherever that happens: with a future nobody
/// polls any more, with an operation the writer never ran, or with its result once the transaction
/// has ended.
#[derive(Debug)]
pub(super) struct Held {
    leases: Arc<Leases>,
    key: EntryKey,
    token: u64,
    armed: bool,
}

impl Held {
    /// The lease goes on; whoever has the token answers for it.
    pub(super) fn keep(mut self) {
        self.armed = false;
    }

    /// Whether the lease is the token's own at this moment. If so it stays taken, and the reading's
    /// failures are forgotten: its value is being written.
    pub(super) fn land(&self) -> bool {
        let now = self.leases.clock.now();
        let mut state = self.leases.state();
        let Some(lease) = state.of(&self.key, self.token, now) else { return false };
        lease.landing = true;
        state.failed.remove(&self.key);
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let mut state = self.leases.state();
        if state.leases.get(&self.key).is_some_and(|lease| lease.token == self.token) {
            state.leases.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use samovar_clock::{ManualClock, WallTime};

    use super::*;
    use crate::shared::LookUp;

    const LEASE: Duration = Duration::from_secs(30);

    fn table() -> (Arc<ManualClock>, Arc<Leases>) {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(0)));
        (manual.clone(), Leases::new(Clock::Manual(manual)))
    }

    fn key(name: &str) -> EntryKey {
        EntryKey::from_shown("acme", name)
    }

    fn begin(name: &str, token: u64) -> Begin {
        let at = LookUp { entry: key(name), versions: Arc::from([]) };
        let (seen, fresh, keep) = (None, Vec::new(), LEASE);
        Begin { at, token, node: 1, lease: LEASE, seen, fresh, keep, force: false }
    }

    fn failure(error: &str) -> Failure {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        Failure { error: error.to_owned(), first, longest }
    }

    fn busy_for(taken: Result<Held, NotTaken>) -> Duration {
        match taken {
            Err(NotTaken::Begun(Begun::Busy { left })) => left,
            other => panic!("not busy: {other:?}"),
        }
    }

    #[test]
    fn a_lease_is_one_tokens_until_it_is_given_back_or_runs_out() {
        let (manual, leases) = table();
        leases.take(&begin("a", 1)).expect("free").keep();
        manual.advance(Duration::from_secs(10));
        assert_eq!(busy_for(leases.take(&begin("a", 2))), Duration::from_secs(20));
        assert!(!leases.renew(&key("a"), 2, LEASE), "another's token");
        assert!(leases.renew(&key("a"), 1, LEASE));
        leases.release(&key("a"), 2, None);
        assert_eq!(busy_for(leases.take(&begin("a", 2))), LEASE);

        manual.advance(LEASE);
        assert!(!leases.renew(&key("a"), 1, LEASE), "what ran out stays lost");
        assert!(!leases.held(key("a"), 1).land());
        leases.take(&begin("a", 2)).expect("free again").keep();
        leases.release(&key("a"), 1, Some(&failure("late")));
        assert_eq!(leases.show(&key("a")).1, None, "a zombie's failure is not the reading's");
    }

    #[test]
    fn a_lease_whose_value_is_on_its_way_to_the_disk_stays_taken() {
        let (manual, leases) = table();
        leases.take(&begin("a", 1)).expect("free").keep();
        let landing = leases.held(key("a"), 1);
        assert!(landing.land());
        manual.advance(LEASE * 2);
        assert_eq!(busy_for(leases.take(&begin("a", 2))), Duration::ZERO);
        drop(landing);
        leases.take(&begin("a", 2)).expect("free again");
    }

    #[test]
    fn an_abandoned_begin_gives_its_lease_back_and_nobody_elses() {
        let (_, leases) = table();
        let abandoned = leases.take(&begin("a", 1)).expect("free");
        leases.drop_key(&key("a"));
        leases.take(&begin("a", 2)).expect("free again").keep();
        drop(abandoned);
        assert_eq!(leases.show(&key("a")).0.map(|lease| lease.token), Some(2));
        drop(leases.take(&begin("b", 3)).expect("free"));
        assert_eq!(leases.show(&key("b")).0, None);
    }

    #[test]
    fn failures_in_a_row_wait_longer_and_are_forgotten_with_time_or_success() {
        let (manual, leases) = table();
        let fail = |token| {
            leases.take(&begin("a", token)).expect("free").keep();
            leases.release(&key("a"), token, Some(&failure("no connection")));
            leases.show(&key("a")).1.expect("backs off")
        };
        let first = fail(1);
        assert_eq!((first.left, first.failures), (Duration::from_secs(1), 1));
        assert_eq!(first.error, "no connection");
        assert!(matches!(
            leases.take(&begin("a", 2)),
            Err(NotTaken::Begun(Begun::BackOff(BackOff { failures: 1, .. })))
        ));
        leases.take(&Begin { force: true, ..begin("a", 2) }).expect("somebody asked for it");

        manual.advance(first.left);
        let second = fail(3);
        assert_eq!((second.left, second.failures), (Duration::from_secs(2), 2));

        manual.advance(second.left);
        leases.take(&begin("a", 4)).expect("free").keep();
        assert!(leases.held(key("a"), 4).land());
        assert_eq!(fail(5).failures, 1, "a success in between");

        manual.advance(first.left + limits::FAILURES_KEPT);
        assert_eq!(fail(6).failures, 1, "long ago");
    }

    #[test]
    fn only_leases_that_ran_out_are_dead() {
        let (manual, leases) = table();
        leases.take(&begin("b", 1)).expect("free").keep();
        leases.take(&begin("a", 2)).expect("free").keep();
        manual.advance(Duration::from_secs(10));
        assert!(leases.renew(&key("a"), 2, LEASE));
        manual.advance(Duration::from_secs(25));
        assert_eq!(leases.dead(false), [key("b")]);
        assert_eq!(leases.dead(true), [key("b")]);
        assert_eq!(leases.dead(true), []);
        assert!(leases.renew(&key("a"), 2, LEASE));
    }

    #[test]
    fn a_full_table_makes_room_by_dead_leases_only() {
        let (manual, leases) = table();
        for number in 0..limits::LEASES as u64 {
            leases.take(&begin(&number.to_string(), number + 1)).expect("free").keep();
        }
        assert!(matches!(leases.take(&begin("more", 1)), Err(NotTaken::Full)));
        manual.advance(LEASE);
        leases.take(&begin("more", 1)).expect("the others are dead");
    }
}
