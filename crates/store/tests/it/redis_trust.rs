//! Law 5 as a model: a copy in memory that is trusted is never older than the bound, whatever
//! happens to connections, slots and masters.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Instant, Random};
use samovar_store::{
    Trust,
    redis::{OnMessage, Redis, Repeat, Value, from_redis_value, pipe, slot_of},
};
use samovar_testkit::{Direction, Proxy, RedisCluster, RedisServer, wait};
use tokio::task::JoinSet;

use crate::redis::{
    Gate, LIMIT, OpenOnDrop, connect, connect_with, get, holds, options, trusted, until,
};

/// Few, so that a slot that moves takes many keys along.
const SLOTS: u64 = 12;
const READERS: u64 = 8;

/// What one process keeps in memory, and what another one was promised.
struct Model {
    /// So many that some are left alone for longer than the bound.
    keys: u64,
    state: Mutex<State>,
    done: AtomicBool,
    loads: AtomicU64,
    /// Looks at a trusted copy of a key that has not been written for longer than the bound.
    looks: AtomicU64,
}

#[derive(Default)]
struct State {
    copies: HashMap<String, Copy>,
    /// Messages heard of a key: a load that met one is not kept.
    heard: HashMap<String, u64>,
    /// The last write of a key that was confirmed, and when.
    written: HashMap<String, (u64, Instant)>,
}

struct Copy {
    value: u64,
    trust: Arc<Trust>,
}

impl Model {
    fn new(keys: u64) -> Arc<Self> {
        Arc::new(Self {
            keys,
            state: Mutex::default(),
            done: AtomicBool::new(false),
            loads: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        })
    }

    fn key(&self, random: &Random) -> String {
        let number = random.below(self.keys);
        format!("key:{{{}}}:{number}", number % SLOTS)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_message(self: &Arc<Self>) -> OnMessage {
        let model = self.clone();
        Arc::new(move |payload: &[u8]| {
            let key = String::from_utf8_lossy(payload).into_owned();
            let mut state = model.state();
            state.copies.remove(&key);
            *state.heard.entry(key).or_default() += 1;
        })
    }

    async fn write(&self, redis: &Redis, random: &Random) {
        let mut next = 0;
        while !self.done.load(Ordering::Relaxed) {
            next += 1;
            let key = self.key(random);
            let mut pipeline = pipe();
            pipeline.cmd("SET").arg(&key).arg(next);
            pipeline.cmd("PUBLISH").arg(redis.bus_channel()).arg(&key);
            match redis.query(key.as_bytes(), &pipeline, Repeat::Safe).await {
                Ok(_) => {
                    let now = Clock::System.now();
                    self.state().written.insert(key, (next, now));
                }
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn read(&self, redis: &Redis, random: &Random) {
        while !self.done.load(Ordering::Relaxed) {
            let key = self.key(random);
            let Some(before) = self.to_be_loaded(&key) else {
                tokio::task::yield_now().await;
                continue;
            };
            let Ok((values, link)) = redis.query(key.as_bytes(), &get(&key), Repeat::Safe).await
            else {
                tokio::task::yield_now().await;
                continue;
            };
            let value = match &values[0] {
                Value::Nil => 0,
                value => from_redis_value(value.clone()).expect("a number"),
            };
            let mut state = self.state();
            if state.heard.get(&key).copied().unwrap_or(0) == before {
                self.loads.fetch_add(1, Ordering::Relaxed);
                state.copies.insert(key, Copy { value, trust: link.trust().clone() });
            }
        }
    }

    /// How many messages were heard of a key without a trusted copy.
    fn to_be_loaded(&self, key: &str) -> Option<u64> {
        let state = self.state();
        let now = Clock::System.now();
        let trusted = state.copies.get(key).is_some_and(|copy| copy.trust.holds(now));
        (!trusted).then(|| state.heard.get(key).copied().unwrap_or(0))
    }

    /// Readers hang in a black hole: somebody else looks on.
    async fn look(&self, bound: Duration, random: &Random) {
        while !self.done.load(Ordering::Relaxed) {
            self.check(&self.key(random), bound);
            tokio::task::yield_now().await;
        }
    }

    fn check(&self, key: &str, bound: Duration) {
        let state = self.state();
        let now = Clock::System.now();
        let (Some(copy), Some((value, at))) = (state.copies.get(key), state.written.get(key))
        else {
            return;
        };
        if copy.trust.holds(now) && *at + bound <= now {
            self.looks.fetch_add(1, Ordering::Relaxed);
            let age = now.since(*at);
            assert!(copy.value >= *value, "{key}: {} for {value}, {age:?} later", copy.value);
        }
    }
}

fn slots() -> Vec<u16> {
    (0..SLOTS).map(|tag| slot_of(tag.to_string().as_bytes())).collect()
}

/// However a test ends, its tasks do.
struct Done<'a>(&'a Model);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Relaxed);
    }
}

/// Lets one process write and another one read while `faults` happen.
async fn run(reader: &Redis, writer: &Redis, model: &Arc<Model>, faults: impl Future<Output = ()>) {
    let mut tasks = JoinSet::new();
    let (task, to) = (model.clone(), writer.clone());
    tasks.spawn(async move { task.write(&to, &Random::seeded(1)).await });
    let (task, bound) = (model.clone(), reader.options().trust_bound);
    tasks.spawn(async move { task.look(bound, &Random::seeded(0)).await });
    for seed in 0..READERS {
        let (task, from) = (model.clone(), reader.clone());
        tasks.spawn(async move { task.read(&from, &Random::seeded(2 + seed)).await });
    }
    let finish = async {
        let _done = Done(model);
        faults.await;
    };
    let tasks = async {
        while let Some(ended) = tasks.join_next().await {
            ended.expect("the model holds");
        }
    };
    tokio::join!(tasks, finish);
    let (loads, looks) = (&model.loads, &model.looks);
    assert!(loads.load(Ordering::Relaxed) > 0 && looks.load(Ordering::Relaxed) > 0);
}

/// A trusted time in which something was looked at that was written longer ago than the bound.
async fn calm(redis: &Redis, model: &Model, after: &str) {
    trusted(redis, |_| true).await;
    let before = model.looks.load(Ordering::Relaxed);
    wait::until_async(LIMIT, &format!("looks at older copies after {after}"), || async {
        (model.looks.load(Ordering::Relaxed) > before).then_some(())
    })
    .await
    .expect("they are looked at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_copy_is_never_older_than_the_bound_on_a_bad_network() {
    let server = RedisServer::start().expect("a server");
    let proxy = Proxy::start(server.address()).expect("a proxy");
    // The writer takes its time, or no key would ever be left alone for longer than the bound.
    let slow = Proxy::start(server.address()).expect("a proxy");
    slow.delay(Duration::from_millis(1));
    let model = Model::new(200);
    let gate = Gate::opened();
    let _opened = OpenOnDrop(gate.clone());
    let on_message = {
        let (gate, deliver) = (gate.clone(), model.on_message());
        Arc::new(move |payload: &[u8]| {
            gate.pass();
            deliver(payload);
        })
    };
    let mut near = options(&proxy.redis_url());
    near.trust_bound = Duration::from_millis(400);
    near.beat_every = Duration::from_millis(50);
    let reader = connect_with(near, on_message).await;
    let writer = connect(options(&slow.redis_url())).await;
    run(&reader, &writer, &model, async {
        for _ in 0..3 {
            calm(&reader, &model, "a new id").await;
            // The way is long, so that it shows whether trust counts from the time of sending.
            proxy.delay_lane(Direction::Down, Duration::from_millis(150));
            wait::until_async(LIMIT, "slow heartbeats", || async {
                let master = reader.status().await.masters.pop()?;
                (master.beat_round_trip? >= Duration::from_millis(150)).then_some(())
            })
            .await
            .expect("they are slow");
            calm(&reader, &model, "a delay").await;
            let link = trusted(&reader, |_| true).await;
            proxy.black_hole_lane(Direction::Down);
            until(&reader, "the end of the link", || link.is_ended().then_some(())).await;
            proxy.heal().expect("healed");
            calm(&reader, &model, "a black hole").await;
            proxy.reset_connections();
            proxy.heal().expect("healed");
            calm(&reader, &model, "a reset").await;
            proxy.half_close(Direction::Up);
            calm(&reader, &model, "a half-close").await;
            server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).expect("killed");
            calm(&reader, &model, "a killed subscription").await;
            // Messages are late while answers are not.
            let link = trusted(&reader, |_| true).await;
            gate.close();
            until(&reader, "a missed heartbeat", || (!holds(&link)).then_some(())).await;
            gate.open();
            calm(&reader, &model, "late messages").await;
            server.command(&["DEBUG", "CHANGE-REPL-ID"]).expect("a new id");
        }
        calm(&reader, &model, "a new id").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_copy_is_never_older_than_the_bound_while_slots_and_masters_move() {
    let cluster = RedisCluster::start().expect("a cluster");
    let hosts: Vec<String> = cluster.addresses().iter().map(ToString::to_string).collect();
    let mut settings = options(&format!("redis+cluster://{}", hosts.join(",")));
    settings.connect_timeout = Duration::from_secs(10);
    let model = Model::new(3000);
    let reader = connect_with(settings.clone(), model.on_message()).await;
    let writer = connect(settings).await;
    run(&reader, &writer, &model, async {
        let slots = slots();
        for round in 0..3 {
            calm(&reader, &model, "a failover").await;
            for slot in slots.iter().skip(round).step_by(3).take(4) {
                let from = cluster.master_of(*slot).expect("an owner").address();
                let to = (0..16384).step_by(500).map(|slot| cluster.master_of(slot));
                let to = to.flatten().map(|node| node.address()).find(|node| *node != from);
                cluster.move_slot(*slot, to.expect("another master")).expect("moved");
            }
            calm(&reader, &model, "moved slots").await;
            let master = cluster.master_of(slots[round]).expect("an owner");
            let replica = wait::until(LIMIT, "a replica", || {
                cluster.replicas_of(master).ok()?.first().copied()
            });
            let replica = replica.expect("a replica");
            cluster.fail_over_to(replica).expect("a failover");
        }
        calm(&reader, &model, "a failover").await;
    })
    .await;
}
