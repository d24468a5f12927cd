//! Where a value comes from, and how long it is worth something.

use samovar_cache::{Beginning, DefinitionError, Due, Provenance, limits};

use super::*;

#[tokio::test]
async fn a_value_is_computed_once_then_comes_from_memory_and_for_a_new_cache_from_the_file() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    source.set(7);
    assert_eq!(seen(&source.get(&cache, &revenue).await), (7, Tier::Computed, State::Fresh));
    assert_eq!(seen(&source.get(&cache, &revenue).await), (7, Tier::Local, State::Fresh));
    home.manual.advance(Duration::from_secs(20));
    let cache = home.reopen(cache).await;
    let answer = source.get(&cache, &revenue).await;
    assert_eq!(seen(&answer), (7, Tier::Shared, State::Fresh));
    assert_eq!(answer.age(), Duration::from_secs(20), "its age is the store's, whoever reads it");
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn past_its_ttl_a_value_is_served_stale_and_past_its_grace_it_is_gone() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    source.get(&cache, &revenue).await;
    source.set(1);
    home.manual.advance(Duration::from_secs(61));
    let stale = State::Stale(StaleBecause::Age);
    assert_eq!(seen(&source.get(&cache, &revenue).await), (0, Tier::Local, stale));
    let fresh = wait::until_async(PATIENCE, "a refresh behind the reader", || async {
        cache.get(&revenue.reading())
    });
    assert_eq!(number(&fresh.await.expect("refreshed")), 1);

    source.set(2);
    let cache = home.reopen(cache).await;
    home.manual.advance(Duration::from_secs(120));
    assert_eq!(seen(&source.get(&cache, &revenue).await), (2, Tier::Computed, State::Fresh));
}

#[tokio::test]
async fn that_there_is_nothing_is_remembered_for_the_negative_ttl() {
    let home = Home::new();
    let cache = home.open().await;
    let revenue = Wanted::revenue(&cache);
    let reads = Arc::new(AtomicU64::new(0));
    let get = async |cache: &Cache| {
        let reads = reads.clone();
        let nothing = || async move {
            reads.fetch_add(1, Ordering::SeqCst);
            Ok::<_, &str>(Value::Absent)
        };
        cache.get_or_compute(&revenue.reading(), nothing).await.expect("an answer")
    };
    let answer = get(&cache).await;
    assert!(answer.is_absent() && answer.bytes().expect("readable").is_empty());
    let cache = home.reopen(cache).await;
    let answer = get(&cache).await;
    assert!(answer.is_absent() && answer.is_fresh() && answer.tier() == Tier::Shared);
    assert_eq!(reads.load(Ordering::SeqCst), 1);
    home.manual.advance(Duration::from_secs(31));
    assert!(!get(&cache).await.is_fresh());
}

#[tokio::test]
async fn large_values_are_compressed_in_the_file_and_come_back_whole() {
    let home = Home::new();
    let cache = home.open().await;
    let revenue = Wanted::revenue(&cache);
    let value = "{\"revenue\":12345,\"orders\":67}".repeat(5_000).into_bytes();
    let computed = value.clone();
    let compute = || async move { Ok::<_, &str>(computed) };
    cache.get_or_compute(&revenue.reading(), compute).await.expect("stored");
    let cache = home.reopen(cache).await;
    let answer = Source::default().get(&cache, &revenue).await;
    assert_eq!(answer.tier(), Tier::Shared);
    assert!(answer.stored_bytes().0.len() < value.len() / 10);
    assert_eq!(answer.bytes().expect("readable"), value);
}

#[tokio::test]
async fn many_readings_are_found_in_one_call_and_what_is_missing_is_made_by_begin() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let tenants: Vec<Wanted> =
        (0..40).map(|number| revenue.clone().of(&format!("t{number}"))).collect();
    for (number, wanted) in tenants.iter().enumerate().filter(|(number, _)| number % 4 != 3) {
        source.set(number as u64);
        source.get(&cache, wanted).await;
    }
    let cache = home.reopen(cache).await;
    let readings: Vec<Reading<'_>> = tenants.iter().map(Wanted::reading).collect();
    for expected in [Tier::Shared, Tier::Shared] {
        let answers = cache.get_many(&readings).await.expect("the store is up");
        for (number, answer) in answers.iter().enumerate() {
            let seen = answer.as_ref().map(seen);
            let stored = (number as u64, expected, State::Fresh);
            assert_eq!(seen, (number % 4 != 3).then_some(stored));
        }
    }
    let Ok(Beginning::Compute(ticket)) = cache.begin(&readings[3]).await else {
        panic!("nothing is there and nobody computes")
    };
    ticket.commit("3").await.expect("stored");
    let answers = cache.get_many(&readings[..4]).await.expect("the store is up");
    assert_eq!(answers.iter().flatten().map(number).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_strict_widget_asks_the_file_each_time() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let strict = Wanted::new(&cache, definition("balance").strict(), &["orders"]);
    source.get(&cache, &strict).await;
    assert_eq!(seen(&source.get(&cache, &strict).await), (0, Tier::Shared, State::Fresh));
    source.set(1);
    invalidate(&cache, &["orders"]).await;
    assert_eq!(seen(&source.get(&cache, &strict).await), (1, Tier::Computed, State::Fresh));
    cache.close().await;
    let error = source.try_get(&cache, &strict).await;
    assert!(error.is_ok_and(|answer| !answer.is_stored()), "straight from the source");
}

#[tokio::test]
async fn a_reading_can_be_explained() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let explain = async || cache.explain(&revenue.reading()).await.expect("the store is up");
    let before = explain().await;
    assert_eq!((before.state, before.local, before.lease), (None, false, None));

    let in_flight = source.start(&cache, &revenue).await;
    home.manual.advance(Duration::from_secs(5));
    let lease = explain().await.lease.expect("somebody computes");
    assert_eq!(lease.left, Duration::from_secs(25));
    in_flight.land().await;
    let held = explain().await;
    assert_eq!((held.state, held.local, held.lease), (Some(State::Fresh), true, None));
    assert!(held.stamps.len() == 7 && held.stamps.iter().all(|stamp| stamp.holds));
    let stored = held.stored.expect("stored");
    assert_eq!((stored.age, stored.ttl), (Duration::from_secs(5), Duration::from_secs(60)));

    let how = How { cause: "import 42".to_owned(), ..How::default() };
    let orders = tags(&["orders"]);
    let done = cache.invalidate(&Subject::Tags(&orders), Some(&tenant()), &how).await;
    done.expect("written");
    let changed = explain().await;
    assert_eq!(changed.state, Some(State::Stale(StaleBecause::Change)));
    let moved: Vec<_> = changed.stamps.iter().filter(|stamp| !stamp.holds).collect();
    assert_eq!(moved.len(), 1);
    assert_eq!((moved[0].verdict, &*moved[0].what), ("changed", "tag orders or below"));
    assert_eq!(moved[0].cause.as_deref(), Some("import 42"));
    assert_eq!(moved[0].changed_at_ms, Some(changed.store_now_ms));
}

#[tokio::test]
async fn what_its_compute_says_of_a_value_is_kept_with_it() {
    let home = Home::new();
    let cache = home.open().await;
    let revenue = Wanted::revenue(&cache);
    let said = Provenance { moment: u64::MAX, queries: 3 };
    let compute = move || async move { Ok::<_, &str>(Value::Read("7".into(), said)) };
    let answer = cache.get_or_compute(&revenue.reading(), compute).await.expect("an answer");
    assert_eq!(answer.provenance(), said);
    let cache = home.reopen(cache).await;
    let compute = || async { Err::<Value, _>("it is stored") };
    let answer = cache.get_or_compute(&revenue.reading(), compute).await.expect("an answer");
    assert_eq!((answer.provenance(), answer.tier()), (said, Tier::Shared));
}

#[tokio::test]
async fn a_scheduler_refreshes_what_is_due_and_nothing_else() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let due = |cache: &Cache| cache.due(&revenue.reading()).expect("a key");
    assert_eq!(due(&cache), Due::Unknown);
    source.refresh(&cache, &revenue).await;
    let Due::In(left) = due(&cache) else { panic!("it is held now") };
    assert!(left < Duration::from_secs(60), "{left:?}");
    source.refresh(&cache, &revenue).await;
    assert_eq!(source.reads(), 1, "it is fresh");

    home.manual.advance(left);
    assert_eq!(due(&cache), Due::Now);
    source.set(5);
    source.refresh(&cache, &revenue).await;
    assert_eq!(source.reads(), 2, "its lead was reached");
    assert!(matches!(due(&cache), Due::In(_)));

    // What another process has made is taken over.
    let cache = home.reopen(cache).await;
    assert_eq!(due(&cache), Due::Unknown);
    source.refresh(&cache, &revenue).await;
    assert_eq!((source.reads(), number(&cache.get(&revenue.reading()).expect("held"))), (2, 5));

    invalidate(&cache, &["orders/2026"]).await;
    assert_eq!(due(&cache), Due::Now);
    source.set(6);
    source.refresh(&cache, &revenue).await;
    assert_eq!((source.reads(), number(&cache.get(&revenue.reading()).expect("held"))), (3, 6));
    let (_, _, counters) = cache.counters().pop().expect("one widget");
    assert_eq!(counters.reads(), 2, "those of this test: a refresh is no read");
}

/// Whoever declares other widgets again and again, as a server whose file changes, filled the registry for
/// good.
#[tokio::test]
async fn widgets_that_nobody_holds_any_more_make_room_for_others() {
    let home = Home::new();
    let cache = home.open().await;
    let declare = |name: &str| cache.declare(definition(name));
    let mut held: Vec<Widget> =
        (0..limits::WIDGETS).map(|it| declare(&format!("w{it}")).expect("there is room")).collect();
    assert_eq!(declare("more").err(), Some(DefinitionError::TooMany), "all of them are held");
    assert!(declare("w7").is_ok(), "a name that is known needs no room");
    held.truncate(1);
    let _more = declare("more").expect("those that were let go make room");
    let names: Vec<String> = cache.widgets().iter().map(|it| it.name().to_owned()).collect();
    assert_eq!(names, ["more", "w0"]);
}
