//! Computes that fail, take too long, or lose their lease.

use std::{future::Future, pin::Pin, sync::Mutex};

use samovar_cache::{Beginning, Settings};
use samovar_clock::Spawner;

use super::*;

async fn fail(cache: &Cache, wanted: &Wanted) -> ReadError {
    let compute = || async { Err::<Vec<u8>, _>("no connection") };
    cache.get_or_compute(&wanted.reading(), compute).await.expect_err("it fails")
}

async fn begin(cache: &Cache, wanted: &Wanted) -> samovar_cache::Ticket {
    match cache.begin(&wanted.reading()).await {
        Ok(Beginning::Compute(ticket)) => ticket,
        other => panic!("nothing to compute: {other:?}"),
    }
}

#[tokio::test]
async fn a_reading_that_fails_backs_off_longer_each_time() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    for (failures, wait) in [(1, 1), (2, 2), (3, 4)] {
        let error = fail(&cache, &revenue).await;
        assert!(matches!(error, ReadError::Failed { .. }), "{error}");
        let wait = Duration::from_secs(wait);
        let backing_off = ReadError::BackingOff {
            error: "no connection".to_owned(),
            failures,
            retry_after: wait,
        };
        assert_eq!(source.try_get(&cache, &revenue).await.map(drop), Err(backing_off));
        assert_eq!(source.reads(), 0);
        home.manual.advance(wait);
    }
    assert!(source.get(&cache, &revenue).await.is_stored());
    cache.clear_reading(&revenue.reading()).await.expect("written");
    fail(&cache, &revenue).await;
    let explained = cache.explain(&revenue.reading()).await.expect("the store is up");
    assert_eq!(explained.back_off.map(|back_off| back_off.failures), Some(1), "success forgets");
}

#[tokio::test]
async fn who_asks_for_a_recomputation_does_not_wait_for_the_back_off() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    fail(&cache, &revenue).await;
    let computed = source.start(&cache, &revenue).await.land().await;
    assert!(computed.is_stored());
}

#[tokio::test]
async fn a_value_beyond_the_value_limit_is_refused_by_name() {
    let home = Home::new();
    let settings = Settings { value_limit: 1000, ..Settings::default() };
    let cache = home.builder().settings(settings).open(home.path()).await.expect("opens");
    let revenue = Wanted::revenue(&cache);
    let compute = || async { Ok::<_, &str>(vec![b'x'; 1001]) };
    let error = cache.get_or_compute(&revenue.reading(), compute).await.map(drop);
    assert_eq!(error, Err(ReadError::TooLarge { bytes: 1001, limit: 1000 }));
}

#[tokio::test]
async fn what_outlived_its_lease_is_served_to_its_own_readers_and_not_stored() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let ticket = begin(&cache, &revenue).await;
    // As if this process had been suspended: no renewal came in time.
    home.manual.advance(Duration::from_secs(31));
    let answer = ticket.commit("1").await.expect("its own value");
    assert!(!answer.is_stored());
    assert_eq!(cache.get(&revenue.reading()).map(drop), None);
    assert!(source.get(&cache, &revenue).await.is_stored());
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn a_lease_is_renewed_while_its_ticket_lives() {
    let home = Home::new();
    let cache = home.open().await;
    let revenue = Wanted::revenue(&cache);
    let ticket = begin(&cache, &revenue).await;
    let until = home.manual.now() + Duration::from_secs(120);
    let renewed = wait::until_async(PATIENCE, "many renewals", || async {
        home.manual.advance(Duration::from_secs(2));
        let explained = cache.explain(&revenue.reading()).await.expect("the store is up");
        assert!(explained.lease.is_some(), "it ran out");
        (home.manual.now() >= until).then_some(())
    });
    renewed.await.expect("time passes");
    assert!(ticket.commit("1").await.expect("stored").is_stored());
}

/// The release of a dropped ticket runs behind its caller. A reader who was faster than that once
/// slept through it, for want of anybody who told it.
#[tokio::test]
async fn whoever_finds_the_lease_of_an_abandoned_ticket_still_taken_is_told_when_it_is_not() {
    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
    let home = Home::new();
    // What is spawned while a list is there is put on it.
    let behind: Arc<Mutex<Option<Vec<Task>>>> = Arc::default();
    let later = behind.clone();
    let spawner = Spawner::Manual(Arc::new(move |task| match &mut *later.lock().expect("whole") {
        Some(later) => later.push(task),
        None => drop(tokio::spawn(task)),
    }));
    let cache = home.builder().spawner(spawner).open(home.path()).await.expect("opens");
    let revenue = Wanted::revenue(&cache);
    let ticket = begin(&cache, &revenue).await;
    *behind.lock().expect("whole") = Some(Vec::new());
    drop(ticket);
    let release = behind.lock().expect("whole").take().expect("a list");
    assert_eq!(release.len(), 1);
    let next = tokio::spawn({
        let (cache, revenue) = (cache.clone(), revenue.clone());
        async move { begin(&cache, &revenue).await.commit("1").await }
    });
    let waits = wait::until_async(PATIENCE, "the next one's wait", || async {
        cache.counters().iter().any(|(.., counters)| counters.lease_waits > 0).then_some(())
    });
    waits.await.expect("it finds the lease taken");
    release.into_iter().for_each(|task| drop(tokio::spawn(task)));
    let answer = Clock::System.timeout(PATIENCE, next).await.expect("told").expect("no panic");
    assert!(answer.expect("stored").is_stored());
}

#[tokio::test]
async fn expired_entries_and_dead_leases_are_cleaned_up_by_name() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    source.get(&cache, &revenue).await;
    home.manual.advance(Duration::from_secs(120));
    let listed = cache.clean_up(true, true, true).await.expect("listed");
    assert_eq!(listed.expired, ["widget:revenue:acme#1"]);
    assert!(listed.expired_bytes > 0);
    assert_eq!(cache.clean_up(true, true, false).await, Ok(listed));
    let nothing = cache.clean_up(true, true, false).await.expect("listed");
    assert_eq!(nothing, Default::default());
}
