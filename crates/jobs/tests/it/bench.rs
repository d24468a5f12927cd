//! An embedded store in a folder of its own, and workers on it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobDetails, JobId, NewJob, QueueName, Store, WorkerName,
    run::{Registry, Served, Settings, Worker},
    store::EmbeddedStore,
};
use samovar_memory::{Budget, MB, Rss};
use samovar_store::embedded::Folder;
use samovar_testkit::wait;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    /// Of the first worker.
    pub(crate) budget: OnceLock<Budget>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let owned = Folder::own(folder.path()).expect("it is ours");
        let store = EmbeddedStore::open(owned, Clock::System, Random::System).await.expect("opens");
        let store = Arc::new(Store::Embedded(store));
        Self { store, budget: OnceLock::new(), _folder: folder }
    }

    /// Of the queue `default`, with short waits and 512 MB, unless `change` says otherwise.
    pub(crate) fn work(&self, registry: Registry, change: impl FnOnce(&mut Settings)) -> Worker {
        let name = WorkerName::new("tester").expect("a name");
        let mut settings = Settings::new(name, vec![served("default")]);
        settings.poll = Duration::from_millis(5);
        settings.lease = Duration::from_secs(5);
        settings.watch = Duration::from_millis(10);
        change(&mut settings);
        // Tests beside this one fill the same process.
        let budget = Budget::with_rss(512 * MB, Clock::System, Rss::Told(Arc::default()));
        let _ = self.budget.set(budget.clone());
        let (store, random) = (self.store.clone(), Random::System);
        Worker::start(settings, store, registry, budget, Clock::System, random).expect("starts")
    }

    pub(crate) async fn push_new(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.store.push(vec![job]).await.expect("pushed");
        id
    }

    pub(crate) async fn until(&self, id: JobId, is_so: impl Fn(&JobDetails) -> bool) -> JobDetails {
        let there = || async { self.show(id).await.filter(|it| is_so(it)) };
        match wait::until_async(LIMIT, "the job", there).await {
            Ok(details) => details,
            Err(error) => panic!("{error}: {:?}", self.show(id).await),
        }
    }

    pub(crate) async fn until_ended(&self, id: JobId) -> JobDetails {
        self.until(id, |it| it.job.state.has_ended()).await
    }

    async fn show(&self, id: JobId) -> Option<JobDetails> {
        self.store.show(id).await.expect("readable")
    }
}

pub(crate) fn served(queue: &str) -> Served {
    let queue = QueueName::new(queue).expect("a name");
    Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 }
}
