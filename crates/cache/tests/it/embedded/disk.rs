//! The limit of the file.

use samovar_cache::Settings;
use samovar_clock::Random;

use super::*;

const LIMIT: u64 = 2 << 20;

async fn small(home: &Home) -> Cache {
    let settings = Settings { disk: LIMIT, ..Settings::default() };
    home.builder().settings(settings).open(home.path()).await.expect("opens")
}

/// Nothing that could be compressed.
fn noise(bytes: usize) -> Vec<u8> {
    let random = Random::seeded(bytes as u64);
    (0..bytes).map(|_| random.next_u64() as u8).collect()
}

async fn put(cache: &Cache, wanted: &Wanted, bytes: usize) -> Answer {
    let compute = move || async move { Ok::<_, &str>(noise(bytes)) };
    cache.get_or_compute(&wanted.reading(), compute).await.expect("computed")
}

#[tokio::test]
async fn the_file_stays_within_its_limit_and_makes_room_by_what_ends_first() {
    let home = Home::new();
    let cache = small(&home).await;
    let revenue = Wanted::revenue(&cache);
    for number in 0..500 {
        let answer = put(&cache, &revenue.clone().of(&number.to_string()), 20_000).await;
        assert!(answer.is_stored());
        home.manual.advance(Duration::from_millis(100));
    }
    let state = cache.store_state().await;
    assert_eq!((state.kind, state.connected), ("embedded", true));
    assert_eq!(state.memory_limit_bytes, Some(LIMIT));
    assert!(state.memory_bytes <= Some(LIMIT), "{state:?}");
    assert!(state.evicted > Some(350), "{state:?}");

    let cache = home.reopen(cache).await;
    let file = std::fs::metadata(home.path().join("cache.db")).expect("there");
    assert!(file.len() <= LIMIT, "{} bytes", file.len());
    let last = put(&cache, &revenue.clone().of("499"), 0).await;
    assert_eq!((last.tier(), last.bytes().expect("readable").len()), (Tier::Shared, 20_000));
    assert_eq!(put(&cache, &revenue.of("0"), 0).await.tier(), Tier::Computed);
}

#[tokio::test]
async fn a_value_that_finds_no_room_serves_its_reader_and_costs_the_others_nothing() {
    let home = Home::new();
    let (cache, source) = (small(&home).await, Source::default());
    let revenue = Wanted::revenue(&cache);
    let other = revenue.clone().of("other");
    source.get(&cache, &other).await;
    for _ in 0..2 {
        let answer = put(&cache, &revenue, LIMIT as usize).await;
        assert!(answer.is_fresh() && !answer.is_stored());
        assert_eq!(answer.bytes().expect("readable").len(), LIMIT as usize);
    }
    let state = cache.store_state().await;
    assert!(state.connected && state.evicted == Some(0), "{state:?}");
    assert!(state.last_error.is_some_and(|error| error.contains("raise the limit")));
    let cache = home.reopen(cache).await;
    assert_eq!(source.get(&cache, &other).await.tier(), Tier::Shared);
}
