//! A Redis that forgets: all of it, some of it, or what happened lately.

use std::sync::Arc;

use samovar_cache::{Definition, StaleBecause, State, Subject};
use samovar_clock::Random;
use samovar_testkit::{RedisServer, wait};

use super::{LIMIT, Scene, aside, number_in};

async fn scene(server: &RedisServer) -> Scene {
    let scene = Scene::new(&[server.url(), server.url()]).await;
    scene.settle().await;
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_empty() {
    let server = Arc::new(RedisServer::start().expect("starts"));
    let scene = scene(&server).await;
    let wiped = server.clone();
    let fault = aside(move || {
        wiped.wipe().expect("killed and wiped");
        wiped.restart().expect("starts");
    });
    scene.withstands("killed and restarted empty", fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_from_an_older_snapshot() {
    let server = Arc::new(RedisServer::start().expect("starts"));
    let scene = scene(&server).await;
    let (saving, restoring) = (server.clone(), server.clone());
    let fault = async {
        let snapshot = tokio::task::spawn_blocking(move || saving.save_rdb().expect("saved"));
        let snapshot = snapshot.await.expect("saved");
        scene.goes_on().await;
        aside(move || {
            restoring.restore_rdb(&snapshot).expect("replaced");
            restoring.restart().expect("starts");
        })
        .await;
    };
    scene.withstands("restarted from an older snapshot", fault).await;
}

/// The snapshot holds an entry with the very versions it was made under: all of it fits, and all of
/// it is too old. Only that this is another incarnation tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_snapshot_holds_is_stale() {
    let server = RedisServer::start().expect("starts");
    let mut scene = scene(&server).await;
    let old = number_in(&scene.read(0).await.expect("a value"));
    let snapshot = server.save_rdb().expect("saved");
    assert!(scene.change().await);
    scene.settle().await;
    server.restore_rdb(&snapshot).expect("replaced");
    server.restart().expect("starts");
    scene.join(&server.url()).await;
    // The newcomer has nothing but what the snapshot holds.
    let answer = scene.read(2).await.expect("a value");
    assert_eq!(number_in(&answer), old);
    assert_eq!(answer.state(), State::Stale(StaleBecause::Incarnation));
    for node in 0..3 {
        let fresh = || async {
            let answer = scene.read(node).await.ok()?;
            (answer.is_fresh() && answer.is_stored()).then(|| number_in(&answer))
        };
        let fresh = wait::until_async(LIMIT, "a fresh value", fresh).await.expect("it comes");
        assert_eq!(fresh, old + 1, "node {node}");
    }
    scene.record.conclude("an entry of an older snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_again_and_again() {
    let server = RedisServer::start().expect("starts");
    let scene = scene(&server).await;
    let fault = async {
        for _ in 0..5 {
            server.command(&["FLUSHALL"]).expect("done");
            scene.goes_on().await;
        }
    };
    scene.withstands("flushed", fault).await;
}

/// An invalidation of versions that the store has lost reaches those who still know them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_flushed_is_still_invalidated() {
    let server = RedisServer::start().expect("starts");
    let scene = scene(&server).await;
    let old = number_in(&scene.read_local(1).expect("local"));
    server.command(&["FLUSHALL"]).expect("done");
    assert_eq!(number_in(&scene.read_local(1).expect("nothing has changed")), old);
    assert!(scene.change().await);
    let heard = || async { scene.read_local(1).is_none().then_some(()) };
    wait::until_async(LIMIT, "the news", heard).await.expect("it is heard");
    assert_eq!(number_in(&scene.read(1).await.expect("a value")), old + 1);
}

/// Memory for a fraction of what is stored: entries, versions and leases vanish at any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evicted_under_pressure() {
    let server = RedisServer::builder()
        .config("maxmemory 4mb")
        .config("maxmemory-policy allkeys-lru")
        .config("maxmemory-samples 1")
        .start()
        .expect("starts");
    let scene = scene(&server).await;
    let evicted = || -> u64 {
        server.info("evicted_keys").ok().and_then(|count| count.parse().ok()).unwrap_or(0)
    };
    let fault = async {
        let filler = scene.cache(1).declare(Definition::new("filler")).expect("valid");
        let numbers: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
        for number in numbers.iter().cycle() {
            let params = [("number", number.as_str())];
            let reading = filler.reading(&scene.tenant).params(&params);
            let noise = || async {
                let noise = (0..2500).flat_map(|_| Random::System.next_u64().to_le_bytes());
                Ok::<_, String>(noise.collect::<Vec<u8>>())
            };
            let _ = scene.cache(1).recompute(&reading, noise).await;
            if evicted() >= 1500 {
                break;
            }
        }
    };
    scene.withstands("evicted under pressure", fault).await;
    println!("{} keys were evicted", evicted());
    let cleared = scene.cache(0).clear(&Subject::Everything, None, &Default::default()).await;
    cleared.expect("answers");
}

/// Memory is full and nothing may be evicted: no value can be kept, but invalidating still works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_without_eviction() {
    let server = RedisServer::start().expect("starts");
    let scene = scene(&server).await;
    let old = number_in(&scene.read_local(1).expect("local"));
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).expect("done");
    for _ in 0..2 {
        assert!(scene.change().await, "memory is needed for nothing");
        let answer = scene.read(0).await.expect("straight from the source");
        assert!(number_in(&answer) > old && answer.is_fresh() && !answer.is_stored());
    }
    let heard = || async { scene.read_local(1).is_none().then_some(()) };
    wait::until_async(LIMIT, "the news", heard).await.expect("it is heard");
    let state = scene.cache(0).store_state().await;
    assert!(state.warnings.iter().any(|warning| warning.contains("noeviction")), "{state:?}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).expect("done");
    scene.settle().await;
    scene.record.conclude("memory is full");
}
