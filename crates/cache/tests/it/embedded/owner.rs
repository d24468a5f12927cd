//! Who owns the folder, and what an owner believes of what it finds there.

use samovar_cache::{Beginning, Folder, OpenError};
use samovar_testkit::process;

use super::*;

#[tokio::test]
async fn a_second_owner_is_refused_after_a_while_and_told_what_to_do() {
    let home = Home::new();
    let cache = home.open().await;
    let second = tokio::spawn({
        let (builder, path) = (home.builder(), home.path().to_owned());
        async move { builder.open(&path).await }
    });
    let refused = wait::until_async(PATIENCE, "the refusal", || async {
        home.manual.advance(Duration::from_secs(1));
        second.is_finished().then_some(())
    });
    refused.await.expect("it gives up");
    let error = second.await.expect("no panic").map(drop).expect_err("refused");
    assert!(matches!(error, OpenError::Embedded(_)));
    let message = error.to_string();
    assert!(message.contains(&std::process::id().to_string()), "{message}");
    assert!(message.contains("kind = \"redis\""), "{message}");
    drop(cache);
}

#[tokio::test]
async fn whoever_opens_waits_for_an_owner_that_is_about_to_leave() {
    let home = Home::new();
    let cache = home.open().await;
    let second = tokio::spawn({
        let (builder, path) = (home.builder(), home.path().to_owned());
        async move { builder.open(&path).await }
    });
    let waits = wait::until_async(PATIENCE, "the second owner's wait", || async {
        home.manual.next_deadline().map(drop)
    });
    waits.await.expect("it waits");
    cache.close().await;
    let opened = wait::until_async(PATIENCE, "the second owner", || async {
        home.manual.advance(Duration::from_millis(20));
        second.is_finished().then_some(())
    });
    opened.await.expect("it tries again");
    second.await.expect("no panic").expect("opens");
}

#[tokio::test]
async fn a_folder_that_is_owned_already_stays_so_when_its_cache_is_closed() {
    let home = Home::new();
    let folder = Folder::own(home.path()).expect("owned");
    let (source, builder) = (Source::default(), home.builder());
    let cache = builder.open_in(folder.clone()).await.expect("opens");
    source.get(&cache, &Wanted::revenue(&cache)).await;
    let twice = home.builder().open_in(folder.clone()).await.map(drop).expect_err("one file");
    assert!(twice.to_string().contains("cache.db is open in this process already"), "{twice}");
    cache.close().await;
    assert!(Folder::own(home.path()).is_err(), "for the other files in it");
    let again = home.builder().open_in(folder).await.expect("opens");
    assert_eq!(seen(&source.get(&again, &Wanted::revenue(&again)).await).1, Tier::Shared);
}

#[tokio::test]
async fn after_a_clean_close_entries_are_fresh_and_invalidations_remembered() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let calls = Wanted::new(&cache, definition("calls"), &["calls"]);
    source.get(&cache, &revenue).await;
    source.get(&cache, &calls).await;
    source.set(1);
    invalidate(&cache, &["orders"]).await;
    let cache = home.reopen(cache).await;
    assert_eq!(seen(&source.get(&cache, &calls).await), (0, Tier::Shared, State::Fresh));
    assert_eq!(seen(&source.get(&cache, &revenue).await), (1, Tier::Computed, State::Fresh));
    assert_eq!(source.reads(), 3);
}

/// A child stores a value, begins to compute another, and is killed.
#[tokio::test]
async fn what_a_killed_owner_left_is_stale_until_it_is_refreshed_and_its_leases_are_void() {
    const NAME: &str = concat!(
        "embedded::owner::",
        "what_a_killed_owner_left_is_stale_until_it_is_refreshed_and_its_leases_are_void"
    );
    let source = Source::default();
    if let Some(folder) = process::role() {
        let cache = Cache::builder().open(Path::new(&folder)).await.expect("opens");
        source.get(&cache, &Wanted::revenue(&cache)).await;
        let calls = Wanted::new(&cache, definition("calls"), &["calls"]);
        let Ok(Beginning::Compute(_ticket)) = cache.begin(&calls.reading()).await else {
            panic!("nothing is there")
        };
        process::say("computing");
        process::hear();
        return;
    }

    let folder = tempfile::tempdir().expect("a folder");
    let role = folder.path().to_str().expect("a plain path");
    let child = process::this_test(NAME, role).and_then(process::Process::spawn).expect("started");
    child.hear("computing", PATIENCE).expect("it gets that far");
    child.kill();

    let cache = Cache::builder().open(folder.path()).await.expect("the lock ended with its owner");
    let revenue = Wanted::revenue(&cache);
    source.set(1);
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let current = source.clone();
    let compute = || async move {
        let _ = may_go_on.await;
        Ok::<_, &str>(encode(current.read()))
    };
    let old = cache.get_or_compute(&revenue.reading(), compute).await.expect("an old value");
    assert_eq!(seen(&old), (0, Tier::Shared, State::Stale(StaleBecause::Incarnation)));
    drop(go_on);
    let fresh = wait::until_async(PATIENCE, "the refresh behind the reader", || async {
        cache.get(&revenue.reading())
    });
    assert_eq!(number(&fresh.await.expect("refreshed")), 1);

    let calls = Wanted::new(&cache, definition("calls"), &["calls"]);
    assert_eq!(seen(&source.get(&cache, &calls).await), (1, Tier::Computed, State::Fresh));
}
