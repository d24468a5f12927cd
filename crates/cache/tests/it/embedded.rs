//! The cache over a file of this machine, through its public API.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_cache::{
    Answer, Builder, Cache, Definition, Freshness, How, ReadError, Reading, StaleBecause, State,
    Subject, Tag, Tenant, Tier, Value, Widget,
};
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_testkit::wait;
use tempfile::TempDir;
use tokio::sync::oneshot;

mod changes;
mod crowd;
mod disk;
mod failures;
mod owner;
mod reads;
mod rounds;

const PATIENCE: Duration = Duration::from_secs(60);

/// A data folder and a clock that stands still.
struct Home {
    manual: Arc<ManualClock>,
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(1_754_497_865_000)));
        Self { manual, folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn builder(&self) -> Builder {
        Cache::builder().clock(Clock::Manual(self.manual.clone()))
    }

    async fn open(&self) -> Cache {
        self.builder().open(self.path()).await.expect("opens")
    }

    /// The same file under a new cache, so that nothing is in memory.
    async fn reopen(&self, cache: Cache) -> Cache {
        cache.close().await;
        drop(cache);
        self.open().await
    }
}

/// A widget whose entries live for a minute and serve stale for another.
fn definition(name: &str) -> Definition {
    let mut freshness = Freshness::new("minute", Duration::from_secs(60));
    freshness.jitter = 0.0;
    Definition::new(name).freshness(freshness)
}

fn tenant() -> Tenant {
    Tenant::new("acme").expect("valid")
}

fn tags(paths: &[&str]) -> Vec<Tag> {
    paths.iter().map(|path| Tag::new(path).expect("valid")).collect()
}

/// What a reading borrows.
#[derive(Clone)]
struct Wanted {
    widget: Widget,
    tenant: Tenant,
    tags: Vec<Tag>,
}

impl Wanted {
    fn new(cache: &Cache, definition: Definition, paths: &[&str]) -> Self {
        let widget = cache.declare(definition).expect("valid");
        Self { widget, tenant: tenant(), tags: tags(paths) }
    }

    /// Revenue, from orders.
    fn revenue(cache: &Cache) -> Self {
        Self::new(cache, definition("revenue"), &["orders"])
    }

    fn of(mut self, tenant: &str) -> Self {
        self.tenant = Tenant::new(tenant).expect("valid");
        self
    }

    fn reading(&self) -> Reading<'_> {
        self.widget.reading(&self.tenant).tags(&self.tags)
    }
}

/// Data that can be read at any time and counts how often it is.
#[derive(Clone, Default)]
struct Source {
    value: Arc<AtomicU64>,
    reads: Arc<AtomicU64>,
}

impl Source {
    fn set(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }

    fn read(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.value.load(Ordering::SeqCst)
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    async fn try_get(&self, cache: &Cache, wanted: &Wanted) -> Result<Answer, ReadError> {
        let source = self.clone();
        let compute = || async move { Ok::<_, &str>(encode(source.read())) };
        cache.get_or_compute(&wanted.reading(), compute).await
    }

    async fn get(&self, cache: &Cache, wanted: &Wanted) -> Answer {
        self.try_get(cache, wanted).await.expect("a value")
    }

    async fn refresh(&self, cache: &Cache, wanted: &Wanted) {
        let source = self.clone();
        let compute = || async move { Ok::<_, &str>(encode(source.read())) };
        cache.refresh(&wanted.reading(), compute).await.expect("refreshed");
    }

    /// Starts a compute that has read the data when this returns, and ends when it is told to.
    async fn start(&self, cache: &Cache, wanted: &Wanted) -> InFlight {
        let (source, cache, wanted) = (self.clone(), cache.clone(), wanted.clone());
        let (has_read, read) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let compute = move || async move {
            let value = source.read();
            let _ = has_read.send(());
            let _ = may_go_on.await;
            Ok::<_, &str>(encode(value))
        };
        let task = tokio::spawn(async move { cache.recompute(&wanted.reading(), compute).await });
        read.await.expect("the compute runs");
        InFlight { go_on, task }
    }
}

struct InFlight {
    go_on: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<Answer, ReadError>>,
}

impl InFlight {
    async fn land(self) -> Answer {
        let _ = self.go_on.send(());
        self.task.await.expect("no panic").expect("computed")
    }
}

fn encode(value: u64) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn number(answer: &Answer) -> u64 {
    let bytes = answer.bytes().expect("readable");
    std::str::from_utf8(&bytes).expect("digits").parse().expect("a number")
}

/// What a reader saw, in short.
fn seen(answer: &Answer) -> (u64, Tier, State) {
    (number(answer), answer.tier(), answer.state())
}

async fn invalidate(cache: &Cache, paths: &[&str]) {
    let tags = tags(paths);
    let done = cache.invalidate(&Subject::Tags(&tags), Some(&tenant()), &How::default()).await;
    done.expect("written");
}
