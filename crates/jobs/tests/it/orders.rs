//! Workers that are seen from outside, told to end, and scaled (J8).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use samovar_clock::Random;
use samovar_jobs::{
    State, WorkerName,
    run::{Context, Job, Registry, Slots, Stop, Worker, new_job},
    store::{Order, WorkerView},
};
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::bench::{Bench, LIMIT};

struct World {
    gate: Semaphore,
    running: AtomicUsize,
}

/// Runs until it is let go.
#[derive(Serialize, Deserialize)]
struct Hold;

impl Job for Hold {
    const KIND: &'static str = "orders.hold";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let world = cx.service::<World>()?;
        world.running.fetch_add(1, Ordering::SeqCst);
        world.gate.acquire().await.map_err(|_| Stop::Told)?.forget();
        world.running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Scene {
    bench: Bench,
    world: Arc<World>,
}

impl Scene {
    async fn new() -> Self {
        let world = World { gate: Semaphore::new(0), running: AtomicUsize::new(0) };
        Self { bench: Bench::new().await, world: Arc::new(world) }
    }

    fn work(&self, slots: Slots) -> Worker {
        let registry = Registry::default().service_arc(self.world.clone());
        let registry = registry.with::<Hold>().expect("one of its name");
        self.bench.work(registry, |settings| settings.slots = slots)
    }

    async fn push(&self, jobs: usize) {
        for _ in 0..jobs {
            self.bench.push_new(new_job(&Hold, &Random::System).expect("a job")).await;
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let there = || async { is_so().then_some(()) };
        wait::until_async(LIMIT, what, there).await.expect("it comes to that");
    }

    async fn view(&self) -> Option<WorkerView> {
        let all = self.bench.store.workers().await.expect("answers");
        all.into_iter().find(|it| it.presence.worker == name())
    }

    fn running(&self) -> usize {
        self.world.running.load(Ordering::SeqCst)
    }
}

fn name() -> WorkerName {
    WorkerName::new("tester").expect("a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_seen_told_to_end_and_gone() {
    let scene = Scene::new().await;
    let worker = scene.work(Slots::fixed(2));
    scene.push(3).await;
    scene.until("two jobs to run", || scene.running() == 2).await;
    let seen = || async { scene.view().await.filter(|it| it.presence.held == 2) };
    let view = wait::until_async(LIMIT, "a beat", seen).await.expect("it beats");
    let presence = view.presence;
    assert_eq!((presence.slots, presence.most_slots, presence.draining), (2, 2, false));
    assert_eq!((presence.pid, presence.budget.running), (std::process::id(), 2));
    assert_eq!(presence.queues.len(), 1);
    assert_eq!(scene.bench.store.order(name(), Order::Restart).await, Ok(true));
    assert_eq!(worker.ordered().await, Some(Order::Restart));
    assert!(worker.state().draining);
    // What runs may end; the third stays for others.
    scene.world.gate.add_permits(2);
    worker.drain().await;
    assert_eq!(scene.view().await, None);
    let figures = scene.bench.store.figures().await.expect("answers");
    assert_eq!((figures[0].done, figures[0].waiting), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_opens_slots_as_far_as_memory_goes() {
    let scene = Scene::new().await;
    let worker = scene.work(Slots { min: 1, max: 16 });
    assert_eq!(worker.state().slots, 1);
    scene.push(16).await;
    // 512 MB hold two of 256 MB.
    scene.until("two jobs to run", || scene.running() == 2).await;
    scene.until("the others to be left alone", || worker.state().slots == 2).await;
    scene.world.gate.add_permits(16);
    let all = || async {
        let figures = scene.bench.store.figures().await.expect("answers");
        (figures[0].done == 16).then_some(())
    };
    wait::until_async(LIMIT, State::Done.name(), all).await.expect("they are done");
    worker.drain().await;
}
