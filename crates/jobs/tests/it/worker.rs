//! Workers on the embedded store: what becomes of jobs that end well, badly, late or not at all.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobDetails, JobId, Kind, NewJob, Policy, QueueName, State, Store, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Slots, Stop, Told, Worker, new_job},
    store::{Claim, EmbeddedStore, Reap, Suspects},
};
use samovar_memory::{Budget, Class, MB};
use samovar_store::embedded::Folder;
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

const LIMIT: Duration = Duration::from_secs(20);

/// What jobs of these tests use.
#[derive(Debug)]
struct World {
    /// Jobs that wait take a permit each.
    gate: Semaphore,
    effects: AtomicU64,
    running: AtomicUsize,
}

/// Does what it is told.
#[derive(Debug, Serialize, Deserialize)]
enum Act {
    Add(u64),
    /// Adds, and leaves another that adds.
    Follow(u64),
    Fail,
    Panic,
    Hang,
    Hopeless,
    Gone,
    Later,
    /// Until the gate opens, or it is told to stop.
    Wait,
    /// Keeps its thread busy for so long.
    Spin(Duration),
    /// Fails once behind an effect that must not be repeated.
    Once,
    /// Ten items in chunks of three, with an error in the middle of the first attempt.
    Chunks,
}

impl Job for Act {
    const KIND: &'static str = "act";
    const POLICY: Policy = Policy {
        tries: 2,
        backoff: Cow::Borrowed(&[Duration::from_millis(1)]),
        timeout: Duration::from_millis(400),
        delete_when_missing: true,
        class: Class::Mb128,
        ..Policy::DEFAULT
    };

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let world = cx.service::<World>()?;
        match self {
            Act::Add(number) => {
                world.effects.fetch_add(*number, Ordering::SeqCst);
                cx.result(number)
            }
            Act::Follow(number) => {
                cx.push_on_ack(&Act::Add(*number))?;
                world.effects.fetch_add(*number, Ordering::SeqCst);
                Ok(())
            }
            Act::Fail => Err(Stop::Error("no such table".to_owned())),
            Act::Panic => panic!("on purpose"),
            Act::Hang => {
                std::future::pending::<()>().await;
                Ok(())
            }
            Act::Hopeless => Err(Stop::Hopeless("the order was deleted".to_owned())),
            Act::Gone => Err(Stop::Missing("no such customer".to_owned())),
            Act::Later => match cx.attempt() {
                1 => Err(Stop::Later { after: Duration::ZERO, reason: "busy".to_owned() }),
                _ => Ok(()),
            },
            Act::Wait => {
                world.running.fetch_add(1, Ordering::SeqCst);
                tokio::select! {
                    permit = world.gate.acquire() => {
                        permit?.forget();
                        Ok(())
                    }
                    told = cx.to_be_stopped() => {
                        assert_ne!(told, Told::Nothing);
                        Err(Stop::Told)
                    }
                }
            }
            Act::Spin(time) => {
                let until = cx.clock().now() + *time;
                while cx.clock().now() < until {
                    std::hint::spin_loop();
                }
                Ok(())
            }
            Act::Once => {
                let effects = &world.effects;
                let effect = |key: String| async move {
                    assert!(key.ends_with("/charge"), "{key}");
                    Ok(effects.fetch_add(1, Ordering::SeqCst))
                };
                let charged: u64 = cx.once("charge", effect).await?;
                assert_eq!(charged, 0);
                if cx.attempt() == 1 { Err(Stop::Error("after it".to_owned())) } else { Ok(()) }
            }
            Act::Chunks => {
                let from: u64 = cx.saved()?.unwrap_or(0);
                let items = futures_util::stream::iter(from..10);
                let (first, effects) = (cx.attempt() == 1, &world.effects);
                cx.in_chunks(items, 3, |chunk: Vec<u64>| async move {
                    if first && chunk[0] == 6 {
                        return Err(Stop::Error("in the middle".to_owned()));
                    }
                    effects.fetch_add(chunk.iter().sum(), Ordering::SeqCst);
                    Ok(chunk[chunk.len() - 1] + 1)
                })
                .await
            }
        }
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    world: Arc<World>,
    random: Random,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let random = Random::seeded(7);
        let owned = Folder::own(folder.path()).expect("it is ours");
        let store = EmbeddedStore::open(owned, Clock::System, random.clone()).await.expect("opens");
        let world = Arc::new(World {
            gate: Semaphore::new(0),
            effects: AtomicU64::new(0),
            running: AtomicUsize::new(0),
        });
        Self { _folder: folder, store: Arc::new(Store::Embedded(store)), world, random }
    }

    fn work(&self, budget_mb: u64, change: impl FnOnce(&mut Settings)) -> Worker {
        let name = WorkerName::new("tester").expect("a name");
        let mut settings = Settings::new(name, vec![served("default", 1, 0)]);
        settings.poll = Duration::from_millis(5);
        settings.lease = Duration::from_secs(5);
        change(&mut settings);
        let budget = Budget::new(budget_mb * MB, Clock::System);
        let registry = Registry::default().service_arc(self.world.clone());
        let registry = registry.with::<Act>().expect("one of its name");
        let (store, random) = (self.store.clone(), self.random.clone());
        Worker::start(settings, store, registry, budget, Clock::System, random).expect("starts")
    }

    /// A job that may take as long as the test.
    fn patient(&self, act: &Act) -> NewJob {
        let mut job = new_job(act, &self.random).expect("a job");
        job.policy.timeout = LIMIT;
        job
    }

    async fn push(&self, act: Act) -> JobId {
        self.push_new(new_job(&act, &self.random).expect("a job")).await
    }

    async fn push_new(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.store.push(vec![job]).await.expect("pushed");
        id
    }

    async fn show(&self, id: JobId) -> Option<JobDetails> {
        self.store.show(id).await.expect("readable")
    }

    async fn until(&self, id: JobId, state: State) -> JobDetails {
        let there = || async { self.show(id).await.filter(|it| it.job.state == state) };
        match wait::until_async(LIMIT, state.name(), there).await {
            Ok(details) => details,
            Err(error) => panic!("{error}: {:?}", self.show(id).await),
        }
    }

    async fn states(&self, ids: &[JobId]) -> Vec<(State, u32)> {
        let mut states = Vec::new();
        for id in ids {
            let job = self.show(*id).await.expect("it is there").job;
            states.push((job.state, job.attempt));
        }
        states.sort();
        states
    }

    fn effects(&self) -> u64 {
        self.world.effects.load(Ordering::SeqCst)
    }

    async fn until_running(&self, jobs: usize) {
        let enough = || self.world.running.load(Ordering::SeqCst) >= jobs;
        let running = || async { enough().then_some(()) };
        wait::until_async(LIMIT, "running jobs", running).await.expect("they run");
    }
}

fn served(queue: &str, weight: u32, reserved: usize) -> Served {
    Served { queue: QueueName::new(queue).expect("a name"), weight, reserved, reserved_bytes: 0 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_once_and_what_it_leaves_behind_comes_with_its_acknowledgement() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |_| ());
    let adds = bench.push(Act::Add(5)).await;
    let follows = bench.push(Act::Follow(100)).await;
    let done = bench.until(adds, State::Done).await;
    assert_eq!((done.job.attempt, done.result.as_deref()), (1, Some(&b"5"[..])));
    bench.until(follows, State::Done).await;
    let both = || async { (bench.effects() == 205).then_some(()) };
    wait::until_async(LIMIT, "the follow-up", both).await.expect("it runs");
    worker.drain().await;
    assert_eq!(bench.effects(), 205);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_end_badly_say_why_and_the_last_one_ends_the_job() {
    let bench = Bench::new().await;
    let worker = bench.work(1024, |_| ());
    for (act, attempts, reason) in [
        (Act::Fail, 2, "no such table: all 2 tries are spent"),
        (Act::Panic, 2, "it panicked: on purpose: all 2 tries are spent"),
        (Act::Hang, 2, "it took longer than its timeout of 400ms: all 2 tries are spent"),
        (Act::Hopeless, 1, "the order was deleted"),
    ] {
        let id = bench.push(act).await;
        let failed = bench.until(id, State::Failed).await;
        assert_eq!((failed.job.attempt, failed.job.reason.as_deref()), (attempts, Some(reason)));
    }
    let later = bench.push(Act::Later).await;
    let done = bench.until(later, State::Done).await;
    assert_eq!((done.job.attempt, done.job.exceptions), (2, 0));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_run_ends_with_a_reason_or_vanishes_and_blocks_nobody() {
    let bench = Bench::new().await;
    let queue = QueueName::new("default").expect("a name");
    let by_hand = |kind: &str, payload: &str, delete: bool| {
        let kind = Kind::new(kind).expect("a name");
        let mut job = NewJob::new(JobId::draw(&bench.random), queue.clone(), kind, payload);
        job.policy.delete_when_missing = delete;
        job
    };
    let strange = bench.push_new(by_hand("strange", "{}", false)).await;
    let garbled = bench.push_new(by_hand("act", "{", false)).await;
    let unwanted = bench.push_new(by_hand("strange", "{}", true)).await;
    let gone = bench.push(Act::Gone).await;
    let good = bench.push(Act::Add(1)).await;
    let worker = bench.work(1024, |_| ());
    bench.until(good, State::Done).await;
    let reason = bench.until(strange, State::Failed).await.job.reason.expect("a reason");
    assert_eq!(reason, "no worker of this version knows jobs of kind strange");
    let reason = bench.until(garbled, State::Failed).await.job.reason.expect("a reason");
    assert!(reason.starts_with("its payload cannot be read as a job of kind act"), "{reason}");
    for id in [unwanted, gone] {
        let vanished = || async { bench.show(id).await.is_none().then_some(()) };
        wait::until_async(LIMIT, "its deletion", vanished).await.expect("it is deleted");
    }
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_is_recorded_once_and_chunks_go_on_where_they_were() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |_| ());
    let once = bench.push(Act::Once).await;
    assert_eq!(bench.until(once, State::Done).await.job.attempt, 2);
    assert_eq!(bench.effects(), 1);
    let chunks = bench.push(Act::Chunks).await;
    assert_eq!(bench.until(chunks, State::Done).await.job.attempt, 2);
    assert_eq!(bench.effects(), 1 + (0..10).sum::<u64>());
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_that_is_cancelled_learns_it_with_the_next_heartbeat() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |settings| settings.lease = Duration::from_millis(150));
    let id = bench.push_new(bench.patient(&Act::Wait)).await;
    bench.until_running(1).await;
    bench.store.cancel(vec![id]).await.expect("answers");
    bench.until(id, State::Cancelled).await;
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_keeps_its_thread_busy_keeps_its_lease() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |settings| settings.lease = Duration::from_millis(100));
    let id = bench.push_new(bench.patient(&Act::Spin(Duration::from_millis(600)))).await;
    let done = bench.until(id, State::Done).await;
    assert_eq!((done.job.attempt, done.history.len()), (1, 0), "{done:?}");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_gives_back_what_has_not_started_and_waits_for_what_runs() {
    let bench = Bench::new().await;
    // Room for one of its class: the second is claimed and waits for memory.
    let worker = bench.work(128, |settings| settings.slots = Slots::fixed(2));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(bench.push_new(bench.patient(&Act::Wait)).await);
    }
    bench.until_running(1).await;
    let held = || async { (worker.state().held == 2).then_some(()) };
    wait::until_async(LIMIT, "both to be held", held).await.expect("both are held");
    let draining = tokio::spawn(worker.drain());
    let back = || async {
        let states = bench.states(&ids).await;
        (states == [(State::Waiting, 0), (State::Running, 1)]).then_some(())
    };
    wait::until_async(LIMIT, "one to go back unspent", back).await.expect("it goes back");
    assert!(!draining.is_finished(), "the other one runs");
    bench.world.gate.add_permits(1);
    draining.await.expect("it drains");
    assert_eq!(bench.states(&ids).await, [(State::Waiting, 0), (State::Done, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_longer_than_a_drain_may_take_goes_back() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |settings| settings.drain = Duration::from_millis(20));
    let id = bench.push_new(bench.patient(&Act::Wait)).await;
    bench.until_running(1).await;
    worker.drain().await;
    assert_eq!(bench.states(&[id]).await, [(State::Waiting, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_in_a_hurry_shortens_a_drain_that_has_begun() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |settings| settings.drain = Duration::from_secs(3600));
    let id = bench.push_new(bench.patient(&Act::Wait)).await;
    bench.until_running(1).await;
    let (hurry, hurried) = tokio::sync::oneshot::channel();
    let draining = tokio::spawn(worker.drain_by(async { hurried.await.expect("told") }));
    hurry.send(Clock::System.now()).expect("it listens");
    draining.await.expect("it drains");
    assert_eq!(bench.states(&[id]).await, [(State::Waiting, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_without_a_timeout_of_its_own_has_that_of_the_worker() {
    let bench = Bench::new().await;
    let worker = bench.work(512, |settings| settings.timeout = Duration::from_millis(30));
    let mut hangs = new_job(&Act::Hang, &bench.random).expect("a job");
    (hangs.policy.timeout, hangs.policy.tries) = (Policy::DEFAULT.timeout, 1);
    let failed = bench.push_new(hangs).await;
    let reason = bench.until(failed, State::Failed).await.job.reason.expect("a reason");
    assert!(reason.starts_with("it took longer than its timeout of 30ms"), "{reason}");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_reserved_is_free_when_it_is_needed() {
    let bench = Bench::new().await;
    for _ in 0..20 {
        let mut job = bench.patient(&Act::Wait);
        job.queue = QueueName::new("low").expect("a name");
        bench.push_new(job).await;
    }
    let queues = vec![served("high", 1, 1), served("low", 10, 0)];
    let worker =
        bench.work(2048, |settings| (settings.slots, settings.queues) = (Slots::fixed(3), queues));
    bench.until_running(2).await;
    let mut urgent = bench.patient(&Act::Add(1));
    urgent.queue = QueueName::new("high").expect("a name");
    let urgent = bench.push_new(urgent).await;
    bench.until(urgent, State::Done).await;
    assert_eq!(bench.world.running.load(Ordering::SeqCst), 2, "low never had the third slot");
    bench.world.gate.add_permits(100);
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_above_the_budget_fails_with_that_reason_and_never_waits() {
    let bench = Bench::new().await;
    let worker = bench.work(64, |_| ());
    let id = bench.push(Act::Add(1)).await;
    let reason = bench.until(id, State::Failed).await.job.reason.expect("a reason");
    assert!(reason.contains("is above the 64 MB of the budget"), "{reason}");
    assert_eq!(bench.effects(), 0);
    worker.drain().await;
}

/// Two run when their worker is lost. They run again, one after the other, whatever else is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_when_a_worker_was_lost_runs_alone() {
    let bench = Bench::new().await;
    let name = WorkerName::new("lost").expect("a name");
    let queue = QueueName::new("default").expect("a name");
    let mut lost = Vec::new();
    for _ in 0..2 {
        lost.push(bench.push_new(bench.patient(&Act::Wait)).await);
    }
    let claim = Claim {
        worker: name.clone(),
        queues: vec![(queue, 2)],
        lease: LIMIT,
        version: 0,
        except: Vec::new(),
        rules: std::sync::Arc::default(),
        suspects: Suspects::None,
    };
    let claimed = bench.store.claim(claim).await.expect("answers").jobs;
    let holds = claimed.iter().map(|job| job.hold).collect();
    bench.store.start(holds).await.expect("answers");
    bench.store.reap(Reap::Dead(name)).await.expect("answers");
    let other = bench.push(Act::Add(1)).await;

    let worker = bench.work(1024, |_| ());
    bench.until_running(1).await;
    assert_eq!(worker.state().held, 1, "nothing beside it");
    assert_eq!(bench.show(other).await.expect("it is there").job.state, State::Waiting);
    bench.world.gate.add_permits(1);
    bench.until_running(2).await;
    assert_eq!((worker.state().held, bench.effects()), (1, 0));
    bench.world.gate.add_permits(1);
    bench.until(other, State::Done).await;
    assert_eq!(bench.states(&lost).await, [(State::Done, 1), (State::Done, 1)]);
    worker.drain().await;
}
