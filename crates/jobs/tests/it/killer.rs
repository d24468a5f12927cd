//! A job that takes down whatever process it runs in, among fifty that do no harm.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobView, QueueName, State, Store, WorkerName, limits,
    run::{Context, Job, Registry, Served, Settings, Slots, Stop, Worker, new_job},
    store::EmbeddedStore,
};
use samovar_memory::{Budget, Class, MB, child::Pool};
use samovar_store::embedded::Folder;
use samovar_testkit::{
    Process,
    process::{role, this_test},
    wait,
};
use serde::{Deserialize, Serialize};

use crate::isolated;

const LIMIT: Duration = Duration::from_secs(60);
const INNOCENT: usize = 50;

/// What a process of workers knows.
struct Scene {
    /// There once the first process has died.
    mark: PathBuf,
    running: AtomicUsize,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Deed {
    Harmless,
    Deadly,
}

impl Job for Deed {
    const KIND: &'static str = "deed";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        // In a child there is none: nothing runs beside it.
        let Ok(scene) = cx.service::<Scene>() else {
            return match self {
                Deed::Harmless => Ok(()),
                Deed::Deadly => std::process::abort(),
            };
        };
        scene.running.fetch_add(1, Ordering::SeqCst);
        let first = !scene.mark.exists();
        match self {
            // In the first process they run when it dies.
            Deed::Harmless if first => std::future::pending().await,
            Deed::Harmless => Ok(()),
            Deed::Deadly => {
                if first {
                    let all = || scene.running.load(Ordering::SeqCst) > INNOCENT;
                    let together = || async { all().then_some(()) };
                    let met = wait::until_async(LIMIT, "the others", together).await;
                    met.map_err(|error| Stop::Hopeless(error.to_string()))?;
                    fs::write(&scene.mark, "")?;
                }
                std::process::abort();
            }
        }
    }
}

async fn open(home: &Path) -> Arc<Store> {
    let folder = Folder::own_within(home.join("data"), LIMIT, &Clock::System).await;
    let folder = folder.expect("its owner is dead");
    let store = EmbeddedStore::open(folder, Clock::System, Random::System).await.expect("opens");
    Arc::new(Store::Embedded(store))
}

/// Works until nothing is left to do, or until it dies.
async fn work(home: &Path, children: Option<Pool>) {
    let store = open(home).await;
    let queue = QueueName::new("default").expect("a name");
    let served = vec![Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 }];
    let mut settings = Settings::new(WorkerName::new("doomed").expect("a name"), served);
    settings.slots = Slots::fixed(INNOCENT + 1);
    settings.poll = Duration::from_millis(5);
    settings.children = children;
    let scene = Scene { mark: home.join("mark"), running: AtomicUsize::new(0) };
    let registry = Registry::default().service(scene).with::<Deed>().expect("one of its name");
    let budget = Budget::new((INNOCENT as u64 + 1) * 128 * MB, Clock::System);
    let worker =
        Worker::start(settings, store.clone(), registry, budget, Clock::System, Random::System);
    let ended = || async {
        let figures = store.figures().await.expect("readable");
        let ended: u64 = figures.iter().map(|queue| queue.done + queue.failed).sum();
        (ended == INNOCENT as u64 + 1).then_some(())
    };
    wait::until_async(LIMIT, "the end of all jobs", ended).await.expect("they end");
    worker.expect("starts").drain().await;
}

/// Pushes the fifty and the one, starts workers until all have ended, and looks at what became of
/// the innocent ones. How many workers died, and the killer.
async fn deaths_of(test: &str) -> (u32, JobView) {
    let home = tempfile::tempdir().expect("a folder");
    let store = open(home.path()).await;
    let job = |deed: Deed| {
        let mut job = new_job(&deed, &Random::System).expect("a job");
        job.policy.class = Class::Mb128;
        job.policy.tries = 1;
        job
    };
    let mut jobs: Vec<_> = (0..INNOCENT).map(|_| job(Deed::Harmless)).collect();
    jobs.insert(INNOCENT / 2, job(Deed::Deadly));
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    store.push(jobs).await.expect("pushed");
    store.close().await;
    drop(store);

    let path = home.path().to_str().expect("plain");
    let mut deaths = 0;
    loop {
        let worker = Process::spawn(this_test(test, path).expect("a path")).expect("starts");
        if worker.wait(LIMIT).expect("it ends").success() {
            break;
        }
        deaths += 1;
        assert!(deaths <= limits::LAPSES, "{}", worker.stderr());
    }
    let store = open(home.path()).await;
    let mut jobs = Vec::new();
    for id in ids {
        jobs.push(store.show(id).await.expect("readable").expect("it is there").job);
    }
    let killer = jobs.remove(INNOCENT / 2);
    for job in jobs {
        assert_eq!((job.state, job.attempt), (State::Done, 1), "its only try, given back");
    }
    (deaths, killer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_children_one_worker_dies_and_the_killer_fails_at_its_own_limit() {
    if let Some(home) = role() {
        return work(Path::new(&home), Some(isolated::pool())).await;
    }
    let test = "killer::with_children_one_worker_dies_and_the_killer_fails_at_its_own_limit";
    let (deaths, killer) = deaths_of(test).await;
    assert_eq!((deaths, killer.state, killer.kills), (1, State::Failed, 2));
    let reason = killer.reason.expect("a reason");
    assert!(reason.contains("crashed with signal 6"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_children_it_fails_once_it_was_lost_too_often() {
    if let Some(home) = role() {
        return work(Path::new(&home), None).await;
    }
    let test = "killer::without_children_it_fails_once_it_was_lost_too_often";
    let (deaths, killer) = deaths_of(test).await;
    assert_eq!((deaths, killer.state), (limits::LAPSES, State::Failed));
    let reason = killer.reason.expect("a reason");
    assert!(reason.contains("16"), "{reason}");
}
