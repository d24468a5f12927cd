//! Invalidating and clearing, also under a compute that is on its way.

use samovar_cache::{ClearedBy, Pattern};

use super::*;

async fn clear(cache: &Cache, subject: &Subject<'_>, tenant: Option<&Tenant>) {
    cache.clear(subject, tenant, &How::default()).await.expect("written");
}

#[tokio::test]
async fn an_invalidation_reaches_a_range_its_day_and_nothing_beside() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let paths = ["orders", "orders/2026/11/19", "orders/2026/11/20", "calls"];
    let wanted =
        paths.map(|path| Wanted::new(&cache, definition(&path.replace('/', "-")), &[path]));
    for wanted in &wanted {
        source.get(&cache, wanted).await;
    }
    source.set(1);
    invalidate(&cache, &["orders/2026/11/19"]).await;
    for (wanted, expected) in wanted.iter().zip([1, 1, 0, 0]) {
        let answer = source.get(&cache, wanted).await;
        assert!(answer.is_fresh());
        assert_eq!(number(&answer), expected, "{}", answer.key());
    }
}

#[tokio::test]
async fn a_compute_that_outlives_an_invalidation_is_kept_as_the_newer_stale_value_only() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let in_flight = source.start(&cache, &revenue).await;
    source.set(1);
    invalidate(&cache, &["orders"]).await;
    let late = in_flight.land().await;
    assert_eq!(number(&late), 0, "those who asked before the change get what they asked for");
    let cache = home.reopen(cache).await;
    let explained = cache.explain(&revenue.reading()).await.expect("the store is up");
    assert_eq!(explained.state, Some(State::Stale(StaleBecause::Change)));
    assert_eq!(seen(&source.get(&cache, &revenue).await), (1, Tier::Computed, State::Fresh));
}

#[tokio::test]
async fn a_compute_that_outlives_a_clearing_of_its_key_is_not_kept_at_all() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let in_flight = source.start(&cache, &revenue).await;
    cache.clear_reading(&revenue.reading()).await.expect("written");
    assert!(!in_flight.land().await.is_stored());
    let explained = cache.explain(&revenue.reading()).await.expect("the store is up");
    assert_eq!((explained.state, explained.stored), (None, None));
    assert_eq!(source.get(&cache, &revenue).await.tier(), Tier::Computed);
}

#[tokio::test]
async fn what_was_cleared_is_not_even_served_stale() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let orders = tags(&["orders"]);
    let other = revenue.clone().of("other");
    for (tenant, subject, others) in [
        (Some(tenant()), Subject::Tags(&orders), Tier::Local),
        (Some(tenant()), Subject::Widget("revenue"), Tier::Local),
        (Some(tenant()), Subject::Class("minute"), Tier::Local),
        (Some(tenant()), Subject::Everything, Tier::Local),
        (None, Subject::Widget("revenue"), Tier::Computed),
        (None, Subject::Class("minute"), Tier::Computed),
        (None, Subject::Everything, Tier::Computed),
    ] {
        source.get(&cache, &revenue).await;
        source.get(&cache, &other).await;
        clear(&cache, &subject, tenant.as_ref()).await;
        let compute = || async { Err::<Vec<u8>, _>("down") };
        let error = cache.get_or_compute(&revenue.reading(), compute).await;
        assert!(error.is_err(), "{subject:?}: an old value");
        home.manual.advance(Duration::from_secs(1));
        assert_eq!(source.get(&cache, &other).await.tier(), others, "{subject:?}");
    }
    source.get(&cache, &revenue).await;
    invalidate(&cache, &["orders"]).await;
    let compute = || async { Err::<Vec<u8>, _>("down") };
    let stale = cache.get_or_compute(&revenue.reading(), compute).await.expect("an old value");
    assert_eq!(stale.state(), State::Stale(StaleBecause::Change));
}

#[tokio::test]
async fn a_pattern_clears_a_key_a_tenants_widget_or_a_widget() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let other = revenue.clone().of("other");
    let calls = Wanted::new(&cache, definition("calls"), &["calls"]);
    let everybody = [&revenue, &other, &calls];
    let of_widget = |tenant: Option<&str>| ClearedBy::Widget {
        widget: "revenue".to_owned(),
        tenant: tenant.map(str::to_owned),
    };
    let key = "widget:revenue:acme#1".to_owned();
    let by_key = ClearedBy::Key { tenant: "acme".to_owned(), key: key.clone() };
    for (pattern, expected, computed) in [
        (key.as_str(), by_key, [true, false, false]),
        ("widget:revenue:acme?range=*", of_widget(Some("acme")), [true, false, false]),
        ("widget:rev*", of_widget(None), [true, true, false]),
    ] {
        for wanted in everybody {
            source.get(&cache, wanted).await;
        }
        let pattern = Pattern::new(pattern).expect("valid");
        let cleared = cache.clear_pattern(&pattern, None, &How::default()).await;
        assert_eq!(cleared, Ok(vec![expected]));
        for (wanted, computed) in everybody.iter().zip(computed) {
            let answer = source.get(&cache, wanted).await;
            let key = answer.key();
            assert_eq!(answer.tier() == Tier::Computed, computed, "{pattern:?} and {key}");
        }
    }
    let nothing = Pattern::new("widget:orders:*").expect("valid");
    assert_eq!(cache.clear_pattern(&nothing, None, &How::default()).await, Ok(vec![]));
}

#[tokio::test]
async fn with_a_spread_an_old_value_serves_until_its_turn_by_the_stores_time() {
    let home = Home::new();
    let (cache, source) = (home.open().await, Source::default());
    let revenue = Wanted::revenue(&cache);
    source.get(&cache, &revenue).await;
    source.set(1);
    let how = How { over: Duration::from_secs(20), cause: "deployed".to_owned() };
    let orders = tags(&["orders"]);
    let done = cache.invalidate(&Subject::Tags(&orders), Some(&tenant()), &how).await;
    done.expect("written");
    let spread = State::Stale(StaleBecause::Spread);
    let cache = home.reopen(cache).await;
    assert_eq!(seen(&source.get(&cache, &revenue).await), (0, Tier::Shared, spread));
    home.manual.advance(how.over);
    assert_eq!(seen(&source.get(&cache, &revenue).await), (1, Tier::Computed, State::Fresh));
}
