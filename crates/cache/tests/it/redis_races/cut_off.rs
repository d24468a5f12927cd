//! A node that is cut off from Redis while another invalidates.

use samovar_cache::{StaleBecause, State, Tier};
use samovar_clock::Clock;
use samovar_testkit::{Proxy, RedisServer, wait};

use super::{HEARTBEAT_BOUND, LIMIT, Scene, number_in};

async fn scene(server: &RedisServer, proxy: &Proxy) -> Scene {
    let scene = Scene::new(&[server.url(), proxy.redis_url()]).await;
    scene.settle().await;
    scene
}

/// Silence ends trust: no later than the bound after the last heartbeat was sent that came back,
/// and none that was sent after the cut did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_trust_within_the_heartbeat_bound() {
    let server = RedisServer::start().expect("starts");
    let proxy = Proxy::start(server.address()).expect("starts");
    let scene = scene(&server, &proxy).await;
    proxy.black_hole();
    let cut_at = Clock::System.now();
    assert!(scene.change().await);
    let old = scene.source.load(std::sync::atomic::Ordering::SeqCst) - 1;

    let mut last_old = None;
    let silent = || {
        let began = Clock::System.now();
        let answer = scene.read_local(1).filter(|answer| number_in(answer) == old);
        if answer.is_some() {
            last_old = Some(began);
        }
        async move { answer.is_none().then_some(()) }
    };
    wait::until_async(LIMIT, "the end of trust", silent).await.expect("trust ends");
    let last_old = last_old.expect("it trusted what it had heard last");
    assert!(last_old < cut_at + HEARTBEAT_BOUND, "{:?} too long", last_old.since(cut_at));

    // Nobody can be asked: the old value serves, marked as what it is.
    let answer = scene.read(1).await.expect("an old value");
    assert_eq!((number_in(&answer), answer.tier()), (old, Tier::Local));
    assert_eq!(answer.state(), State::Stale(StaleBecause::StoreDown));

    proxy.heal().expect("heals");
    let fresh = || async {
        let answer = scene.read(1).await.ok()?;
        (answer.is_fresh() && answer.is_stored() && number_in(&answer) > old).then_some(())
    };
    wait::until_async(LIMIT, "a fresh value", fresh).await.expect("comes back");
    scene.settle().await;
    assert_eq!(number_in(&scene.read_local(1).expect("local again")), old + 1);
    println!("trusted for {:?} after the cut", last_old.since(cut_at));
}

/// Only the way back is cut: commands arrive and are done, news does not come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_node_says_nothing_wrong() {
    let server = RedisServer::start().expect("starts");
    let proxy = Proxy::start(server.address()).expect("starts");
    let scene = scene(&server, &proxy).await;
    let deaf = async {
        proxy.black_hole_lane(samovar_testkit::Direction::Down);
        three_bounds().await;
        proxy.heal().expect("heals");
    };
    scene.withstands("a deaf node", deaf).await;
}

/// Connections are reset again and again: each gap ends trust.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_thrown_out_again_and_again_says_nothing_wrong() {
    let server = RedisServer::start().expect("starts");
    let proxy = Proxy::start(server.address()).expect("starts");
    let scene = scene(&server, &proxy).await;
    let resets = async {
        for _ in 0..5 {
            proxy.reset_connections();
            scene.goes_on().await;
        }
        proxy.cut();
        three_bounds().await;
        proxy.heal().expect("heals");
    };
    scene.withstands("connections reset", resets).await;
}

async fn three_bounds() {
    let until = Clock::System.now() + HEARTBEAT_BOUND * 3;
    let over = || async { (Clock::System.now() >= until).then_some(()) };
    wait::until_async(LIMIT, "three bounds", over).await.expect("time passes");
}
