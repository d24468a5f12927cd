//! Servers that die, fail over, fall silent: what was acknowledged is there afterwards.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use samovar_testkit::{Direction, Proxy, RedisSentinel, RedisServer, wait};

use super::*;
use crate::state::State;

const KILLS: usize = 5;
const PRODUCERS: usize = 8;
/// Of the store, for a question and for a connection, and some for a busy machine.
const BOUND: Duration = Duration::from_secs(12);

/// What was acknowledged to those who push and run jobs until they are told to end.
#[derive(Default)]
struct Told {
    pushed: Mutex<Vec<JobId>>,
    done: Mutex<Vec<JobId>>,
    stop: AtomicBool,
}

impl Told {
    fn counts(&self) -> (usize, usize) {
        (self.pushed.lock().expect("whole").len(), self.done.lock().expect("whole").len())
    }

    /// Until each has been acknowledged something more.
    async fn more(&self) {
        let (pushed, done) = self.counts();
        let more = || async {
            let now = self.counts();
            (now.0 > pushed + 20 && now.1 > done + 20).then_some(())
        };
        wait::until_async(LIMIT, "work", more).await.expect("goes on");
    }

    async fn check(&self, store: &Store) {
        let pushed = self.pushed.lock().expect("whole").clone();
        for id in pushed {
            assert!(store.show(id).await.expect("answers").is_some(), "{id} was pushed");
        }
        let done = self.done.lock().expect("whole").clone();
        for id in done {
            assert_eq!(details(store, id).await.job.state, State::Done, "{id} was done");
        }
    }
}

async fn produce(store: Arc<Store>, told: Arc<Told>) {
    while !told.stop.load(Ordering::Relaxed) {
        let job = job("a");
        if store.push(vec![job.clone()]).await.is_ok() {
            told.pushed.lock().expect("whole").push(job.id);
        }
        tokio::task::yield_now().await;
    }
}

async fn work(store: Arc<Store>, told: Arc<Told>) {
    while !told.stop.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
        let Ok(Given { jobs: claimed, .. }) = store.claim(ask("a", 10)).await else { continue };
        let holds: Vec<Hold> = claimed.iter().map(|it| it.hold).collect();
        let Ok(started) = store.start(holds.clone()).await else { continue };
        let runs = holds.into_iter().zip(started).filter(|(_, held)| *held == Held::Yes);
        let outcome = || Outcome::Done { result: None, follow_ups: Vec::new() };
        let finishes = runs.map(|(hold, _)| Finish::new(hold, outcome()));
        let finishes: Vec<Finish> = finishes.collect();
        let Ok(finished) = store.finish(finishes.clone()).await else { continue };
        let done = finishes.iter().zip(finished);
        let done = done.filter(|(_, finished)| *finished == Finished::Now(State::Done));
        told.done.lock().expect("whole").extend(done.map(|(finish, _)| finish.hold.id));
    }
}

fn busy(store: &Arc<Store>, told: &Arc<Told>) -> Vec<tokio::task::JoinHandle<()>> {
    let producers = (0..PRODUCERS).map(|_| tokio::spawn(produce(store.clone(), told.clone())));
    let workers = (0..2).map(|_| tokio::spawn(work(store.clone(), told.clone())));
    producers.chain(workers).collect()
}

async fn rest(told: &Told, tasks: Vec<tokio::task::JoinHandle<()>>) {
    told.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("ends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_redis_lose_nothing_that_was_acknowledged() {
    let server = server();
    let store = Arc::new(open(&server).await);
    let told = Arc::<Told>::default();
    let tasks = busy(&store, &told);
    for _ in 0..KILLS {
        told.more().await;
        server.kill();
        server.restart().expect("starts again");
    }
    told.more().await;
    rest(&told, tasks).await;
    told.check(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_nothing_that_was_acknowledged_as_replicated() {
    let all = RedisSentinel::start_with(&["appendonly yes"]).expect("starts");
    let sentinels: Vec<String> = all.sentinel_addresses().iter().map(ToString::to_string).collect();
    let url = format!("redis+sentinel://{}/{}", sentinels.join(","), all.service_name());
    let store = connect(&url, Durability::Replicated).await.expect("connects");
    let store = Arc::new(store);
    let told = Arc::<Told>::default();
    let tasks = busy(&store, &told);
    told.more().await;
    let old = all.kill_master().expect("kills");
    let new = all.wait_for_master_other_than(old).expect("fails over");
    rest(&told, tasks).await;
    // What was acknowledged is checked where nothing asks for replicas, of which none is left.
    let url = format!("redis://{}", new.address());
    let survivor = connect(&url, Durability::Local).await.expect("connects");
    told.check(&survivor).await;
    let figures = survivor.figures().await.expect("answers");
    assert_eq!(figures.len(), 1, "the queue is known there");
    let unconfirmed = || async {
        let error = store.push(vec![job("a")]).await.expect_err("no replica is left");
        error.to_string().contains("no replica has received it").then_some(())
    };
    wait::until_async(LIMIT, "the new master", unconfirmed).await.expect("it is found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_no_replica_has_is_not_acknowledged() {
    let master = server();
    let store = connect(&master.url(), Durability::Replicated).await.expect("connects");
    let one = job("a");
    let reason = unavailable(store.push(vec![one.clone()]).await);
    assert!(reason.contains("not known") && reason.contains("repeating is safe"), "{reason}");
    let replica = RedisServer::builder().config("appendonly yes").start().expect("starts");
    let port = master.port().to_string();
    replica.command(&["REPLICAOF", "127.0.0.1", &port]).expect("follows");
    push_in_the_end(&store, &one).await;
    let many: Vec<_> = (0..50).map(|_| job("a")).collect();
    futures_util::future::join_all(many.iter().map(|job| push_in_the_end(&store, job))).await;
    master.kill();
    replica.command(&["REPLICAOF", "NO", "ONE"]).expect("leads");
    let survivor = open(&replica).await;
    for job in many.iter().chain([&one]) {
        assert_eq!(details(&survivor, job.id).await.job.state, State::Waiting);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_stopped_keeps_nobody_waiting_for_ever() {
    let server = server();
    let store = open(&server).await;
    let before = job("a");
    store.push(vec![before.clone()]).await.expect("pushed");
    server.stop_process().expect("stops");
    let asked = futures_util::future::join3(
        store.push(vec![job("a")]),
        store.claim(ask("a", 1)),
        store.figures(),
    );
    let answers = Box::pin(Clock::System.timeout(BOUND, asked)).await.expect("within a bound");
    unavailable(answers.0);
    unavailable(answers.1);
    unavailable(answers.2);
    server.continue_process().expect("goes on");
    let after = job("a");
    push_in_the_end(&store, &after).await;
    assert!(!details(&store, before.id).await.job.state.has_ended());
    assert_eq!(details(&store, after.id).await.job.state, State::Waiting);
}

/// A push was on its way when its Redis was lost with all that it held, and arrived at the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_which_a_push_is_acknowledged_is_known() {
    let server = RedisServer::builder().config("save \"\"").start().expect("starts");
    let proxy = Proxy::start(server.address()).expect("starts");
    let store = connect(&proxy.redis_url(), Durability::None).await.expect("connects");
    let store = Arc::new(store);
    store.push(vec![job("a")]).await.expect("pushed");
    proxy.black_hole_lane(Direction::Down);
    let pushing = tokio::spawn({
        let store = store.clone();
        async move { push_in_the_end(&store, &job("a")).await }
    });
    let arrived = || async {
        let mut connection = server.connect().ok()?;
        let pushed = connection.command(&["HGET", "samovar:{q:a}:queue", "seq"]).ok()?;
        (pushed.text() == "2").then_some(())
    };
    wait::until_async(LIMIT, "the push to arrive", arrived).await.expect("it does");
    server.kill();
    server.restart().expect("starts empty");
    // The answer of the first one is lost.
    proxy.reset_connections();
    proxy.heal().expect("listens");
    assert!(matches!(pushing.await.expect("runs"), Pushed::New(_)));
    let figures = store.figures().await.expect("answers");
    assert_eq!(figures.iter().map(|it| it.waiting).collect::<Vec<_>>(), [1]);
}
