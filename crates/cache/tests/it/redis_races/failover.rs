//! Another server becomes the master.

use std::sync::Arc;

use samovar_testkit::{RedisCluster, RedisSentinel};

use super::{Scene, aside};

fn list(addresses: &[std::net::SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

async fn behind_sentinel(all: &RedisSentinel) -> Scene {
    let sentinels = list(&all.sentinel_addresses());
    let url = format!("redis+sentinel://{sentinels}/{}", all.service_name());
    let scene = Scene::new(&[url.clone(), url]).await;
    scene.settle().await;
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_behind_sentinel_is_killed() {
    let all = Arc::new(RedisSentinel::start().expect("starts"));
    let scene = behind_sentinel(&all).await;
    let servers = all.clone();
    let fault = aside(move || {
        let old = servers.kill_master().expect("killed");
        servers.wait_for_master_other_than(old).expect("another master");
    });
    scene.withstands("sentinel: the master is killed", fault).await;
}

/// Both servers live, and for a while both take themselves for the master. That no invalidation is
/// lost at the old one is what `min-replicas-to-write` is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel_hands_over_and_back() {
    let all = RedisSentinel::start_with(&["min-replicas-to-write 1"]).expect("starts");
    let all = Arc::new(all);
    let scene = behind_sentinel(&all).await;
    let fault = async {
        for _ in 0..2 {
            let all = all.clone();
            let fail_over = move || {
                all.failover().expect("fails over");
            };
            aside(fail_over).await;
            scene.goes_on().await;
        }
    };
    scene.withstands("sentinel: there and back", fault).await;
}

async fn on_cluster(all: &RedisCluster) -> Scene {
    let url = format!("redis+cluster://{}", list(&all.addresses()));
    let scene = Scene::new(&[url.clone(), url]).await;
    scene.settle().await;
    scene
}

/// First the master of the tenant, then the one of what all tenants share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masters_of_a_cluster_are_killed() {
    let all = Arc::new(RedisCluster::start().expect("starts"));
    let scene = on_cluster(&all).await;
    let fault = async {
        for key in ["{acme}", "{*}"] {
            let all = all.clone();
            aside(move || {
                let slot = all.slot_of(key).expect("a slot");
                let master = all.master_of(slot).expect("a master").address();
                all.kill(master).expect("killed");
                all.wait_until_ok().expect("healthy");
                all.restart(master).expect("starts");
                all.wait_until_ok().expect("healthy");
            })
            .await;
            scene.goes_on().await;
        }
    };
    scene.withstands("cluster: masters are killed", fault).await;
}

/// The tenant's slot moves from master to master while it is read and invalidated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenants_slot_moves() {
    let all = Arc::new(RedisCluster::start().expect("starts"));
    let scene = on_cluster(&all).await;
    let fault = async {
        for target in [0, 1, 2, 0] {
            let all = all.clone();
            aside(move || {
                let slot = all.slot_of("{acme}").expect("a slot");
                all.move_slot(slot, all.nodes()[target].address()).expect("moved");
            })
            .await;
            scene.goes_on().await;
        }
    };
    scene.withstands("cluster: the tenant's slot moves", fault).await;
}
