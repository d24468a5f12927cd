//! What a shared hit costs, beside a raw GET of the same bytes with the same client.
//!
//! `cargo test --release -p samovar-cache --lib redis::measure -- --ignored --nocapture`

use std::time::Duration;

use bytes::Bytes;
use redis::AsyncCommands;
use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{Options, Pipeline, Repeat};
use samovar_testkit::RedisServer;

use super::RedisTier;
use crate::{
    key::EntryKey,
    shared::{Begin, Begun, Commit, Committed, LookUp},
    version::{Ids, VersionKey},
};

/// Of each kind, in turns: what else the machine does meets all kinds alike.
const READS: usize = 4000;
const LONG: Duration = Duration::from_secs(600);

fn look_up(bytes: usize, tags: usize) -> LookUp {
    let built_in = ["{*}:v:a:", "{*}:v:c:c", "{*}:v:w:w", "{t}:v:a:", "{t}:v:c:c", "{t}:v:w:w"];
    let tags = (0..tags).map(|tag| VersionKey::from_stored(&format!("{{t}}:v:b:orders/{tag:02}")));
    LookUp {
        entry: EntryKey::from_stored(&format!("{{t}}:e:widget:w:t?bytes={bytes}#1")),
        versions: built_in.map(VersionKey::from_stored).into_iter().chain(tags).collect(),
    }
}

async fn write(tier: &RedisTier, at: &LookUp, value: &Bytes) {
    let begin = Begin {
        at: at.clone(),
        token: 1,
        node: 1,
        lease: LONG,
        seen: None,
        fresh: vec![Ids { change: 1, clear: 2 }; at.versions.len()],
        keep: LONG,
        force: true,
    };
    let begun = tier.begin(begin).await.expect("answers");
    assert!(matches!(begun, Begun::Won(_)), "{begun:?}");
    let (at, value) = (at.clone(), value.clone());
    let commit = Commit { at, token: 1, value, life: LONG, keep: LONG };
    let committed = tier.commit(commit).await.expect("answers");
    assert!(matches!(committed, Committed::Stored { .. }));
}

fn median_us(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn shared_hits() {
    let server = RedisServer::start().expect("starts");
    let options = Options::parse(&server.url()).expect("valid");
    let clock = Clock::System;
    let (random, spawner) = (Random::System, Spawner::current());
    let deaf = std::sync::Arc::new(|_: &[u8]| {});
    let tier = RedisTier::listening(options, deaf, clock.clone(), random, spawner);
    tier.connected().await.expect("connects");
    let client = redis::Client::open(format!("{}?protocol=resp3", server.url())).expect("valid");
    let mut raw = client.get_multiplexed_async_connection().await.expect("connects");

    println!("   bytes tags | raw GET  one GET  look | look / raw");
    for bytes in [1 << 10, 20 << 10, 150 << 10] {
        for tags in [0, 4, 16] {
            let at = look_up(bytes, tags);
            let value = Bytes::from(vec![b'x'; bytes]);
            write(&tier, &at, &value).await;
            let key = tier.names.full(at.entry.as_str());
            let mut one = Pipeline::with_capacity(1);
            one.cmd("GET").arg(&key);
            let at = [at];
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..READS {
                let started = clock.now();
                let got: Vec<u8> = raw.get(&key).await.expect("answers");
                let raw_done = clock.now();
                let route = at[0].entry.as_str().as_bytes();
                tier.redis.query(route, &one, Repeat::Safe).await.expect("answers");
                let one_done = clock.now();
                let look = tier.look(&at).await.expect("answers");
                let look_done = clock.now();
                assert_eq!(got.len(), bytes);
                assert!(look[0].entry.as_ref().is_some_and(|entry| entry.len() == bytes));
                let stops = [started, raw_done, one_done, look_done];
                for (times, stops) in times.iter_mut().zip(stops.windows(2)) {
                    times.push(stops[1].since(stops[0]));
                }
            }
            let [raw, one, look] = times.map(|mut times| median_us(&mut times));
            println!("{bytes:8} {tags:4} | {raw:7.1}  {one:7.1}  {look:7.1} | {:.3}", look / raw);
        }
    }
}
