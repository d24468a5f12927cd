//! Workers and a store whose clock stands still until a test moves it; rates and learned needs.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use samovar_clock::{Clock, Instant, ManualClock, Random, WallTime};
use samovar_jobs::{
    JobDetails, JobId, Policy, QueueName, Rate, Store, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Slots, Stop, Worker, new_job},
    store::{EmbeddedStore, Period, QueueFigures},
};
use samovar_memory::{Budget, Class, MB};
use samovar_store::embedded::Folder;
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Longer than any test moves its clock: whatever wakes up earlier has a reason.
const NEVER: Duration = Duration::from_secs(3600);

/// What jobs of these tests use.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) gate: Semaphore,
    pub(crate) is_up: AtomicBool,
    pub(crate) calls: AtomicUsize,
    pub(crate) began: AtomicUsize,
}

pub(crate) struct Bench {
    _folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<Store>,
    pub(crate) world: Arc<World>,
    pub(crate) random: Random,
    begun: Instant,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // A full hour.
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_756_000_800_000)));
        let random = Random::seeded(7);
        let owned = Folder::own(folder.path()).expect("it is ours");
        let manual = Clock::Manual(clock.clone());
        let store = EmbeddedStore::open(owned, manual, random.clone()).await.expect("opens");
        let world = Arc::new(World {
            gate: Semaphore::new(0),
            is_up: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            began: AtomicUsize::new(0),
        });
        let (store, begun) = (Arc::new(Store::Embedded(store)), clock.now());
        Self { _folder: folder, clock, store, world, random, begun }
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::Manual(self.clock.clone())
    }

    pub(crate) fn work<J: Job>(&self, name: &str, slots: usize, failures: u32) -> Worker {
        let budget = Budget::new(4096 * MB, self.clock());
        self.work_within::<J>(name, (slots, failures), budget)
    }

    fn work_within<J: Job>(
        &self,
        name: &str,
        (slots, failures): (usize, u32),
        budget: Budget,
    ) -> Worker {
        let served = Served { queue: queue(), weight: 1, reserved: 0, reserved_bytes: 0 };
        let name = WorkerName::new(name).expect("a name");
        let mut settings = Settings::new(name, vec![served]);
        (settings.slots, settings.breaker_failures) = (Slots::fixed(slots), failures);
        (settings.poll, settings.lease) = (NEVER, NEVER);
        (settings.beat, settings.watch) = (NEVER, NEVER);
        let registry = Registry::default().service_arc(self.world.clone());
        let registry = registry.with::<J>().expect("sound");
        let (store, random) = (self.store.clone(), self.random.clone());
        Worker::start(settings, store, registry, budget, self.clock(), random).expect("starts")
    }

    pub(crate) async fn push<J: Job>(&self, job: &J) -> JobId {
        let new = new_job(job, &self.random).expect("a job");
        let id = new.id;
        self.store.push(vec![new]).await.expect("pushed");
        id
    }

    pub(crate) async fn show(&self, id: JobId) -> JobDetails {
        self.store.show(id).await.expect("readable").expect("it is there")
    }

    pub(crate) async fn figures(&self) -> QueueFigures {
        self.store.figures().await.expect("readable").remove(0)
    }

    pub(crate) async fn until_done(&self, jobs: u64) {
        let done = || async { (self.figures().await.done >= jobs).then_some(()) };
        wait::until_async(LIMIT, "jobs to be done", done).await.expect("they are done");
    }

    /// Waits until somebody sleeps up to this long after the beginning, and lets that time come.
    pub(crate) async fn let_pass_until(&self, after: Duration) {
        let until = self.begun + after;
        let sleeps = || async { (self.clock.next_deadline()? <= until).then_some(()) };
        wait::until_async(LIMIT, "somebody to sleep", sleeps).await.expect("it sleeps");
        self.clock.advance_to(until);
    }
}

pub(crate) fn queue() -> QueueName {
    QueueName::new("default").expect("a name")
}

#[derive(Debug, Serialize, Deserialize)]
struct Mail;

impl Job for Mail {
    const KIND: &'static str = "mail";
    const POLICY: Policy =
        Policy { backoff: Cow::Borrowed(&[]), class: Class::Mb128, ..Policy::DEFAULT };
    /// One more every twenty seconds.
    const RATE: Option<Rate> = Some(Rate::per_minute(3));

    async fn run(&self, _: &Context) -> Result<(), Stop> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_keep_one_rate_and_wake_when_the_next_may_go() {
    let bench = Bench::new().await;
    for _ in 0..6 {
        bench.push(&Mail).await;
    }
    let workers = [bench.work::<Mail>("one", 6, 5), bench.work::<Mail>("two", 6, 5)];
    bench.until_done(3).await;
    for more in 1..=3 {
        let figures = bench.figures().await;
        let counts = (figures.done, figures.waiting, figures.claimed + figures.running);
        assert_eq!(counts, (2 + more, 4 - more, 0), "no more than the rate allows");
        bench.let_pass_until(Duration::from_secs(20 * more)).await;
        bench.until_done(3 + more).await;
    }
    for worker in workers {
        worker.drain().await;
    }
}

/// The budget of a second worker knows what jobs of the first one needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_jobs_needed_before_is_known_at_the_start_of_a_worker() {
    #[derive(Serialize, Deserialize)]
    struct Large;

    impl Job for Large {
        const KIND: &'static str = "large";
        const POLICY: Policy = Policy { class: Class::Mb128, ..Policy::DEFAULT };

        async fn run(&self, _: &Context) -> Result<(), Stop> {
            std::hint::black_box(vec![1_u8; 20 << 20]);
            Ok(())
        }
    }

    let bench = Bench::new().await;
    for _ in 0..6 {
        bench.push(&Large).await;
    }
    let first = bench.work::<Large>("first", 1, 5);
    bench.until_done(6).await;
    first.drain().await;
    let period = Period::hours(queue(), 1);
    let kinds = bench.store.tallies(period).await.expect("answers").kinds;
    assert_eq!((kinds[0].total.done, kinds[0].total.ran_ms.count()), (6, 6));

    let budget = Budget::new(256 * MB, bench.clock());
    assert_eq!(budget.history().need_bytes("large", Class::Mb128), Class::Mb128.bytes());
    let second = bench.work_within::<Large>("second", (1, 5), budget.clone());
    let learned = || async { budget.history().peak_p95_bytes("large") };
    let peak = wait::until_async(LIMIT, "a peak", learned).await.expect("it is learned");
    assert!((20 * MB..=24 * MB).contains(&peak), "{peak}");
    second.drain().await;
}
