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
    QueueName, State, Store, WorkerName, limits,
    run::{Context, Job, Registry, Served, Settings, Stop, Worker, new_job},
    store::EmbeddedStore,
};
use samovar_memory::{Budget, Class, MB};
use samovar_store::embedded::Folder;
use samovar_testkit::{
    Process,
    process::{role, this_test},
    wait,
};
use serde::{Deserialize, Serialize};

const LIMIT: Duration = Duration::from_secs(60);
const INNOCENT: usize = 50;
const TEST: &str = "killer::it_fails_at_its_limit_and_the_innocent_ones_are_done";

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
        let scene = cx.service::<Scene>()?;
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
async fn work(home: &Path) {
    let store = open(home).await;
    let queue = QueueName::new("default").expect("a name");
    let served = vec![Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 }];
    let mut settings = Settings::new(WorkerName::new("doomed").expect("a name"), served);
    settings.slots = INNOCENT + 1;
    settings.poll = Duration::from_millis(5);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_fails_at_its_limit_and_the_innocent_ones_are_done() {
    if let Some(home) = role() {
        return work(Path::new(&home)).await;
    }
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
        let worker = Process::spawn(this_test(TEST, path).expect("a path")).expect("starts");
        if worker.wait(LIMIT).expect("it ends").success() {
            break;
        }
        deaths += 1;
        assert!(deaths <= limits::LAPSES, "{}", worker.stderr());
    }
    assert_eq!(deaths, limits::LAPSES);
    let store = open(home.path()).await;
    for (number, id) in ids.into_iter().enumerate() {
        let job = store.show(id).await.expect("readable").expect("it is there").job;
        if number == INNOCENT / 2 {
            let reason = job.reason.as_deref().expect("a reason");
            assert_eq!((job.state, reason.contains("16")), (State::Failed, true), "{reason}");
        } else {
            assert_eq!((job.state, job.attempt), (State::Done, 1), "its only try, given back");
        }
    }
}
