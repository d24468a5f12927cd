//! Jobs in processes of their own, and the ladder of those that are too big.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::{
    BatchId, BatchName, Callbacks, JobDetails, JobId, NewBatch, NewJob, Policy, QueueName, State,
    Store, Tenant, WorkerName,
    run::{Context, Job, Registry, Served, Settings, Size, Stop, Worker, new_job, run_as_child},
    store::EmbeddedStore,
};
use samovar_memory::{
    Budget, Class, MB,
    child::{self, ChildOptions, Pool, PoolSize},
};
use samovar_store::embedded::Folder;
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs in children only; elsewhere it has nothing to do.
#[test]
fn entry() {
    if child::is_child() {
        let ended = run_as_child(async || Ok::<_, String>(registry(Arc::default())));
        assert_eq!(ended, ExitCode::SUCCESS);
    }
}

pub(crate) fn pool() -> Pool {
    let arguments = ["isolated::entry", "--exact", "--nocapture", "--test-threads=1"];
    let options =
        ChildOptions { arguments: arguments.map(Into::into).to_vec(), ..ChildOptions::default() };
    Pool::new(options, PoolSize::default()).expect("it starts")
}

/// Of this process alone: what runs in a child leaves no trace in it.
#[derive(Debug, Default)]
struct Traces(AtomicU64);

fn registry(traces: Arc<Traces>) -> Registry {
    let registry = Registry::default().service_arc(traces).with::<Deed>().expect("one of its name");
    let registry = registry.with::<Eat>().expect("one of its name");
    registry.with::<crate::killer::Deed>().expect("one of its name")
}

#[derive(Debug, Serialize, Deserialize)]
enum Deed {
    /// Uses all that reaches the store, twice, with an error in between.
    Reach,
    Trace,
    Crash,
    Panic,
    /// Until it is told to stop.
    Wait,
}

impl Job for Deed {
    const KIND: &'static str = "isolated.deed";
    const POLICY: Policy = Policy {
        isolated: true,
        tries: 2,
        backoff: std::borrow::Cow::Borrowed(&[]),
        class: Class::Mb128,
        ..Policy::DEFAULT
    };

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        match self {
            Deed::Reach => {
                let number: u32 =
                    cx.once("number", |key| async move { Ok(key.len() as u32) }).await?;
                if cx.attempt() == 1 {
                    cx.progress(1, 2, "half").await?;
                    cx.checkpoint(&41).await?;
                    return Err(Stop::Error("half way".to_owned()));
                }
                let saved: u32 = cx.saved()?.ok_or_else(|| Stop::Hopeless("lost".to_owned()))?;
                let again: u32 = cx
                    .once("number", |_| async { Err(Stop::Hopeless("again".to_owned())) })
                    .await?;
                cx.push_on_ack(&Deed::Trace)?;
                cx.result(&(saved + 1, number == again))
            }
            Deed::Trace => {
                cx.service::<Traces>()?.0.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Deed::Crash => std::process::abort(),
            Deed::Panic => panic!("on purpose"),
            Deed::Wait => {
                cx.progress(0, 1, "it waits").await?;
                cx.to_be_stopped().await;
                cx.check()
            }
        }
    }
}

/// Holds a megabyte for each number until it ends.
#[derive(Debug, Serialize, Deserialize)]
struct Eat {
    from: u64,
    to: u64,
    may_split: bool,
    tells_size: bool,
}

impl Job for Eat {
    const KIND: &'static str = "isolated.eat";
    const POLICY: Policy = Policy { class: Class::Mb128, tries: 1, ..Policy::DEFAULT };

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let from = cx.saved()?.unwrap_or(self.from);
        let held = std::sync::Mutex::new(Vec::new());
        let numbers = futures_util::stream::iter(from..self.to);
        cx.in_chunks(numbers, 16, |chunk: Vec<u64>| {
            for _ in &chunk {
                held.lock().expect("nobody panics").push(vec![1_u8; MB as usize]);
            }
            async move { Ok(chunk[chunk.len() - 1] + 1) }
        })
        .await
    }

    async fn size(&self, _: &Context) -> Result<Option<Size>, Stop> {
        let rows = self.to - self.from;
        Ok(self.tells_size.then_some(Size { rows, bytes_per_row: MB }))
    }

    async fn split(&self, cx: &Context, parts: usize) -> Result<Vec<Self>, Stop> {
        let from = cx.saved()?.unwrap_or(self.from);
        let step = (self.to - from).div_ceil(parts as u64).max(1);
        let part = |from: u64| Eat { from, to: (from + step).min(self.to), ..*self };
        let all = (from..self.to).step_by(step as usize).map(part);
        Ok(if self.may_split { all.collect() } else { Vec::new() })
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    worker: Worker,
    traces: Arc<Traces>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let owned = Folder::own(folder.path()).expect("it is ours");
        let store = EmbeddedStore::open(owned, Clock::System, Random::System).await.expect("opens");
        let store = Arc::new(Store::Embedded(store));
        let name = WorkerName::new("parent").expect("a name");
        let queue = QueueName::new("default").expect("a name");
        let served = vec![Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 }];
        let mut settings = Settings::new(name, served);
        settings.poll = Duration::from_millis(5);
        settings.lease = Duration::from_secs(2);
        settings.watch = Duration::from_millis(10);
        settings.children = Some(pool());
        let budget = Budget::new(512 * MB, Clock::System);
        let traces = Arc::new(Traces::default());
        let registry = registry(traces.clone());
        let worker =
            Worker::start(settings, store.clone(), registry, budget, Clock::System, Random::System);
        Self { _folder: folder, store, worker: worker.expect("starts"), traces }
    }

    async fn push(&self, job: &impl Job) -> JobId {
        let new = new_job(job, &Random::System).expect("a job");
        let id = new.id;
        self.store.push(vec![new]).await.expect("pushed");
        id
    }

    async fn until(&self, id: JobId, is_so: impl Fn(&JobDetails) -> bool) -> JobDetails {
        let there = || async { self.show(id).await.filter(|it| is_so(it)) };
        match wait::until_async(LIMIT, "the job", there).await {
            Ok(details) => details,
            Err(error) => panic!("{error}: {:?}", self.show(id).await),
        }
    }

    async fn until_ended(&self, id: JobId) -> JobDetails {
        self.until(id, |it| it.job.state.has_ended()).await
    }

    async fn show(&self, id: JobId) -> Option<JobDetails> {
        self.store.show(id).await.expect("readable")
    }
}

fn notes(details: &JobDetails) -> String {
    let notes = details.history.iter().flat_map(|attempt| attempt.record.notes.clone());
    notes.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_a_child_reaches_all_that_one_beside_others_does() {
    let bench = Bench::new().await;
    let details = bench.until_ended(bench.push(&Deed::Reach).await).await;
    assert_eq!(details.job.state, State::Done, "{details:?}");
    assert_eq!(details.result.as_deref(), Some(&b"[42,true]"[..]));
    assert_eq!(details.progress.expect("it was told").note, "half");
    assert_eq!(details.history[0].reason, "half way");
    let followed = || async {
        let figures = bench.store.figures().await.expect("readable");
        (figures[0].done == 2).then_some(())
    };
    wait::until_async(LIMIT, "what follows", followed).await.expect("it runs");
    assert_eq!(bench.traces.0.load(Ordering::SeqCst), 0, "it ran in another process");
    bench.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_kills_its_child_fails_at_its_own_limit_and_one_that_panics_is_retried() {
    let bench = Bench::new().await;
    let (crash, panic) = (bench.push(&Deed::Crash).await, bench.push(&Deed::Panic).await);
    let crash = bench.until_ended(crash).await;
    assert_eq!((crash.job.state, crash.job.kills), (State::Failed, 2));
    let reason = crash.job.reason.expect("a reason");
    assert!(reason.contains("crashed with signal 6"), "{reason}");
    let panic = bench.until_ended(panic).await;
    assert_eq!((panic.job.state, panic.job.kills, panic.job.attempt), (State::Failed, 0, 2));
    let reason = panic.job.reason.expect("a reason");
    assert!(reason.contains("it panicked: on purpose"), "{reason}");
    bench.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_a_child_is_told_when_somebody_cancels_it() {
    let bench = Bench::new().await;
    let id = bench.push(&Deed::Wait).await;
    bench.until(id, |it| it.progress.is_some()).await;
    bench.store.cancel(vec![id]).await.expect("answers");
    let details = bench.until_ended(id).await;
    assert_eq!(details.job.state, State::Cancelled);
    bench.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_big_takes_smaller_bites_is_split_and_finished_by_its_parts() {
    let bench = Bench::new().await;
    let (id, queue) = (BatchId::draw(&Random::System), QueueName::new("default").expect("a name"));
    let eat = Eat { from: 0, to: 300, may_split: true, tells_size: false };
    let job = NewJob { batch: Some(id), ..new_job(&eat, &Random::System).expect("a job") };
    let then = new_job(&Deed::Trace, &Random::System).expect("a job");
    let then_id = then.id;
    let job_id = job.id;
    let batch = NewBatch {
        id,
        name: BatchName::new("meal").expect("a name"),
        queue,
        tenant: Tenant::system(),
        allow_failures: false,
        callbacks: Callbacks { then: Some(then), ..Callbacks::default() },
        jobs: vec![job],
    };
    bench.store.push_batch(batch).await.expect("pushed");
    let details = bench.until_ended(job_id).await;
    let history = notes(&details);
    assert_eq!(details.job.state, State::Done, "{history}");
    for rung in ["pressure: chunks of", "went over its limit of 128 MB", "split into"] {
        assert!(history.contains(rung), "{rung} is missing: {history}");
    }
    assert!(details.checkpoint.is_some(), "the parts begin behind it");
    bench.until(then_id, |it| it.job.state == State::Done).await;
    let batch = bench.store.show_batch(id).await.expect("readable").expect("it is there");
    assert!(batch.total > 2 && batch.failed == 0 && batch.pending == 0, "{batch:?}");
    bench.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_that_it_is_too_big_is_split_before_it_starts() {
    let bench = Bench::new().await;
    let eat = Eat { from: 0, to: 200, may_split: true, tells_size: true };
    let details = bench.until_ended(bench.push(&eat).await).await;
    assert_eq!((details.job.state, details.checkpoint), (State::Done, None));
    assert_eq!(
        details.history[0].record.notes,
        [
            "200 rows of 1048576 bytes are 200 MB, too much for 128MB",
            "split into 4 jobs before it started"
        ]
    );
    let all = || async {
        let figures = bench.store.figures().await.expect("readable");
        (figures[0].done == 5).then_some(())
    };
    wait::until_async(LIMIT, "the parts", all).await.expect("they run");
    bench.worker.drain().await;
}

/// 128 MB beside others, 256 MB as the hard limit of a child, then there is no further rung.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_split_climbs_into_a_child_and_fails_there_with_the_evidence() {
    let bench = Bench::new().await;
    let middle = Eat { from: 0, to: 180, may_split: false, tells_size: false };
    let large = Eat { to: 400, ..middle };
    let (middle, large) = (bench.push(&middle).await, bench.push(&large).await);
    let middle = bench.until_ended(middle).await;
    assert_eq!((middle.job.state, middle.job.attempt), (State::Done, 1), "{}", notes(&middle));
    assert_eq!(middle.history[0].step, "climb");
    let history = notes(&middle);
    for rung in
        ["it is not split: it is in one piece", "a child process with a hard limit of 256MB"]
    {
        assert!(history.contains(rung), "{rung} is missing: {history}");
    }
    let large = bench.until_ended(large).await;
    assert_eq!(large.job.state, State::Failed);
    let reason = large.job.reason.expect("a reason");
    assert!(reason.contains("went over its limit of 256"), "{reason}");
    let flight = &large.history.last().expect("it ended").record.flight;
    let most = flight.iter().map(|it| it.bytes).max().expect("samples");
    assert!(most > 200 * MB, "{most}: {flight:?}");
    bench.worker.drain().await;
}
