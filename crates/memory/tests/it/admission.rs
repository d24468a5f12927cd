//! The budget: who runs, who waits, who never could.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_memory::{Admitted, Budget, Class, MB, Pressure, Refused, Rss, Work};

struct Setting {
    budget: Budget,
    clock: Arc<ManualClock>,
    rss: Arc<AtomicU64>,
}

fn setting(total_mb: u64) -> Setting {
    let clock = Arc::new(ManualClock::new(WallTime::from_millis(0)));
    let rss = Arc::new(AtomicU64::new(50 * MB));
    let told = Rss::Told(rss.clone());
    let budget = Budget::with_rss(total_mb * MB, Clock::Manual(clock.clone()), told);
    Setting { budget, clock, rss }
}

fn work(class: Class) -> Work<'static> {
    Work { kind: "kind", job: "job", class, share: None }
}

impl Setting {
    fn now(&self, class: Class) -> Option<Admitted> {
        self.budget.admit(work(class)).now_or_never().map(|it| it.expect("it fits some time"))
    }
}

#[test]
fn a_class_above_the_budget_fails_with_that_reason_and_does_not_wait() {
    let it = setting(200);
    let refused = it.budget.admit(work(Class::Mb256)).now_or_never().expect("it does not wait");
    let refused = refused.expect_err("it could never run");
    assert!(matches!(refused, Refused::AboveBudget { class: Class::Mb256, .. }));
    assert_eq!(
        refused.to_string(),
        "class 256MB is above the 200 MB of the budget that are not reserved for others: it could \
         never run"
    );
}

#[tokio::test]
async fn what_fits_runs_together_and_the_rest_follows() {
    let it = setting(256);
    let first = it.now(Class::Mb128).expect("there is room");
    let second = it.now(Class::Mb128).expect("there is room");
    let mut third = Box::pin(it.budget.admit(work(Class::Mb128)));
    assert!((&mut third).now_or_never().is_none());
    assert_eq!((it.budget.usage().running, it.budget.usage().waiting), (2, 1));
    drop(first);
    let third = third.await.expect("it fits");
    assert_eq!(third.account().limit(), Some(Class::Mb128.into()));
    drop((second, third));
    assert_eq!(it.budget.usage().promised_bytes, 0);
}

#[tokio::test]
async fn a_reserved_share_waits_for_its_owner_and_for_nobody_else() {
    let it = setting(512);
    it.budget.reserve("high", 128 * MB).expect("there is something left");
    let refused = it.budget.reserve("low", 512 * MB).expect_err("nothing is left").to_string();
    assert!(refused.starts_with("reserving 512 MB for low leaves 0 MB"), "{refused}");
    let low = [it.now(Class::Mb256), it.now(Class::Mb128)];
    assert!(low.iter().all(Option::is_some));
    let mut waits = Box::pin(it.budget.admit(work(Class::Mb128)));
    assert!((&mut waits).now_or_never().is_none(), "the rest is reserved");
    let own = Work { share: Some("high"), ..work(Class::Mb128) };
    for _ in 0..20 {
        let high = it.budget.admit(own).now_or_never().expect("it is kept for this");
        drop(high.expect("admitted"));
    }
    assert!((&mut waits).now_or_never().is_none(), "and stays reserved");
    drop(low);
    waits.await.expect("it fits now");
    let too_big = it.budget.admit(work(Class::Mb512)).now_or_never().expect("does not wait");
    assert!(matches!(too_big, Err(Refused::AboveBudget { .. })));
}

#[tokio::test]
async fn who_gives_up_leaves_no_trace() {
    let it = setting(256);
    let first = it.now(Class::Mb256).expect("there is room");
    let mut gives_up = Box::pin(it.budget.admit(work(Class::Mb256)));
    assert!((&mut gives_up).now_or_never().is_none());
    let mut waits = Box::pin(it.budget.admit(work(Class::Mb128)));
    assert!((&mut waits).now_or_never().is_none());
    // Granted and dropped before it was looked at: the room goes on to the next.
    drop(first);
    assert_eq!(it.budget.usage().running, 1);
    drop(gives_up);
    assert_eq!((it.budget.usage().running, it.budget.usage().waiting), (1, 0));
    waits.await.expect("it fits");
}

#[test]
fn pages_beside_the_accounts_hold_admission_back_until_they_are_gone() {
    let it = setting(512);
    let first = it.now(Class::Mb128).expect("there is room");
    it.rss.store(50 * MB + 400 * MB, Ordering::Relaxed);
    let mut second = Box::pin(it.budget.admit(work(Class::Mb128)));
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(it.budget.pressure(), Pressure::None);
    it.rss.store(50 * MB + 500 * MB, Ordering::Relaxed);
    assert_eq!(it.budget.pressure(), Pressure::Critical);
    it.rss.store(50 * MB, Ordering::Relaxed);
    // Nobody ended: it looks again by itself.
    it.clock.advance(Duration::from_millis(100));
    assert!((&mut second).now_or_never().is_some());
    drop(first);
}

#[test]
fn the_last_piece_runs_whatever_others_hold() {
    let it = setting(256);
    it.rss.store(1024 * MB, Ordering::Relaxed);
    let alone = it.now(Class::Mb256);
    assert!(alone.is_some());
    assert!(it.now(Class::Mb128).is_none());
}

#[test]
fn an_exempt_account_is_not_the_jobs() {
    let it = setting(256);
    let cache = samovar_memory::Account::unlimited("cache");
    it.budget.exempt(&cache);
    let kept = cache.scope(|| vec![1_u8; 200_000_000]);
    it.rss.store(50 * MB + 200_000_000, Ordering::Relaxed);
    let first = it.now(Class::Mb128);
    let second = it.now(Class::Mb128);
    assert!(first.is_some() && second.is_some());
    drop(kept);
}
