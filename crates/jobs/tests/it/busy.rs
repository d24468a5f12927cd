//! Jobs that keep every thread of their runtime busy, on Redis (law 10).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    State, Store, WorkerName,
    run::{Context, Job, Registry, Settings, Slots, Stop, Worker, new_job},
    store::{Durability, Reap, RedisStore},
};
use samovar_memory::{Budget, MB, Rss};
use samovar_testkit::{RedisServer, wait};
use serde::{Deserialize, Serialize};

use crate::bench::{LIMIT, served};

const LEASE: Duration = Duration::from_secs(1);
const THREADS: usize = 2;

/// Never gives its thread to anything else, for longer than its lease.
#[derive(Serialize, Deserialize)]
struct Spin;

impl Job for Spin {
    const KIND: &'static str = "busy.spin";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let until = cx.clock().now() + LEASE * 3;
        while cx.clock().now() < until {
            std::hint::spin_loop();
        }
        Ok(())
    }
}

async fn open(url: &str) -> Store {
    let (clock, random) = (Clock::System, Random::System);
    let store = RedisStore::connect(url, Durability::None, clock, random).await;
    Store::Redis(store.expect("it is there"))
}

/// Takes back whatever lapses, from threads of its own. How much that was.
fn reaper(url: String, enough: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let reap = async move {
        let (store, mut taken) = (open(&url).await, 0);
        while !enough.load(Ordering::SeqCst) {
            let reaped = store.reap(Reap::Lapsed).await.expect("answers");
            taken += reaped.unstarted + reaped.suspects;
            Clock::System.sleep(Duration::from_millis(20)).await;
        }
        taken
    };
    std::thread::spawn(move || runtime.expect("a runtime").block_on(reap))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_keep_every_thread_busy_keep_their_leases() {
    let server = RedisServer::builder().start().expect("it starts");
    let (store, enough) = (Arc::new(open(&server.url()).await), Arc::new(AtomicBool::new(false)));
    let reaper = reaper(server.url(), enough.clone());
    let mut settings =
        Settings::new(WorkerName::new("busy").expect("a name"), vec![served("default")]);
    (settings.slots, settings.lease) = (Slots::fixed(THREADS), LEASE);
    let registry = Registry::default().with::<Spin>().expect("one of its name");
    let budget = Budget::with_rss(2048 * MB, Clock::System, Rss::Told(Arc::default()));
    let mut ids = Vec::new();
    for _ in 0..THREADS {
        let job = new_job(&Spin, &Random::System).expect("a job");
        ids.push(job.id);
        store.push(vec![job]).await.expect("pushed");
    }
    let (clock, random) = (Clock::System, Random::System);
    let worker = Worker::start(settings, store.clone(), registry, budget, clock, random);
    let worker = worker.expect("starts");
    for id in ids {
        let done = || async {
            let shown = store.show(id).await.ok().flatten();
            shown.filter(|it| it.job.state == State::Done)
        };
        let done = wait::until_async(LIMIT, "it to be done", done).await.expect("it is");
        assert_eq!((done.job.attempt, done.history), (1, vec![]));
    }
    enough.store(true, Ordering::SeqCst);
    assert_eq!(reaper.join().expect("sound"), 0, "nothing lapsed");
    worker.drain().await;
}
