//! Jobs in processes of their own, and the ladder of those that are too big.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use samovar_clock::Random;
use samovar_jobs::{
    BatchId, BatchName, Callbacks, JobDetails, JobId, NewBatch, NewJob, Policy, QueueName, State,
    Tenant,
    run::{Context, Job, Registry, Size, Stop, Worker, new_job, run_as_child},
};
use samovar_memory::{
    Alert, AlertMark, Class, MB,
    child::{self, ChildOptions, Pool, PoolSize},
};
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, LIMIT};

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
    /// A remote, which refuses.
    Call,
}

impl Job for Deed {
    const KIND: &'static str = "isolated.deed";
    const NEEDS: &'static [&'static str] = &["square"];
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
            Deed::Call => {
                let refused = async { Err(Stop::Error("refused in a child".to_owned())) };
                cx.remote("square", refused).await
            }
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
        let held = &std::sync::Mutex::new(Vec::new());
        let numbers = futures_util::stream::iter(from..self.to);
        cx.in_chunks(numbers, 16, |chunk: Vec<u64>| async move {
            for _ in &chunk {
                held.lock().expect("nobody panics").push(vec![1_u8; MB as usize]);
            }
            Ok(chunk[chunk.len() - 1] + 1)
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

/// A worker with children.
struct Scene {
    bench: Bench,
    worker: Worker,
    traces: Arc<Traces>,
}

impl Scene {
    async fn new() -> Self {
        let (bench, traces) = (Bench::new().await, Arc::new(Traces::default()));
        let registry = registry(traces.clone());
        let worker = bench.work(registry, |settings| {
            settings.children = Some(pool());
            settings.breaker_failures = 1;
        });
        Self { bench, worker, traces }
    }

    async fn push(&self, job: &impl Job) -> JobId {
        self.bench.push_new(new_job(job, &Random::System).expect("a job")).await
    }
}

fn notes(details: &JobDetails) -> String {
    let notes = details.history.iter().flat_map(|attempt| attempt.record.notes.clone());
    notes.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_a_child_reaches_all_that_one_beside_others_does() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
    let details = bench.until_ended(scene.push(&Deed::Reach).await).await;
    assert_eq!(details.job.state, State::Done, "{details:?}");
    assert_eq!(details.result.as_deref(), Some(&b"[42,true]"[..]));
    assert_eq!(details.progress.expect("it was told").note, "half");
    assert_eq!(details.history[0].reason, "half way");
    let followed = || async {
        let figures = bench.store.figures().await.expect("readable");
        (figures[0].done == 2).then_some(())
    };
    wait::until_async(LIMIT, "what follows", followed).await.expect("it runs");
    assert_eq!(scene.traces.0.load(Ordering::SeqCst), 0, "it ran in another process");
    scene.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_that_fails_in_a_child_opens_its_breaker_for_all() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
    scene.push(&Deed::Call).await;
    let opened = || async { bench.store.breakers().await.expect("answers").pop() };
    let opened = wait::until_async(LIMIT, "the breaker to open", opened).await.expect("it opens");
    assert_eq!((opened.trips, opened.reason.as_str()), (1, "refused in a child"));
    scene.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_kills_its_child_fails_at_its_own_limit_and_one_that_panics_is_retried() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
    let (crash, panic) = (scene.push(&Deed::Crash).await, scene.push(&Deed::Panic).await);
    let crash = bench.until_ended(crash).await;
    assert_eq!((crash.job.state, crash.job.kills), (State::Failed, 2));
    let reason = crash.job.reason.expect("a reason");
    assert!(reason.contains("crashed with signal 6"), "{reason}");
    let panic = bench.until_ended(panic).await;
    assert_eq!((panic.job.state, panic.job.kills, panic.job.attempt), (State::Failed, 0, 2));
    let reason = panic.job.reason.expect("a reason");
    assert!(reason.contains("it panicked: on purpose"), "{reason}");
    scene.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_in_a_child_is_told_when_somebody_cancels_it() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
    let id = scene.push(&Deed::Wait).await;
    bench.until(id, |it| it.progress.is_some()).await;
    bench.store.cancel(vec![id]).await.expect("answers");
    let details = bench.until_ended(id).await;
    assert_eq!(details.job.state, State::Cancelled);
    scene.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_big_takes_smaller_bites_is_split_and_finished_by_its_parts() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
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
    scene.worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_that_it_is_too_big_is_split_before_it_starts() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
    let eat = Eat { from: 0, to: 200, may_split: true, tells_size: true };
    let details = bench.until_ended(scene.push(&eat).await).await;
    assert_eq!((details.job.state, details.checkpoint), (State::Done, None));
    assert_eq!(
        details.history[0].record.notes,
        [
            "200 rows of 1048576 bytes are 200 MB, too much for 128MB",
            "split into 4 jobs before it started"
        ]
    );
    let budget = bench.budget.get().expect("of the worker");
    let told = budget.alerts_since(&mut AlertMark::default());
    assert!(matches!(&told[..], [Alert::Split { parts: 4, .. }]), "{told:?}");
    let all = || async {
        let figures = bench.store.figures().await.expect("readable");
        (figures[0].done == 5).then_some(())
    };
    wait::until_async(LIMIT, "the parts", all).await.expect("they run");
    scene.worker.drain().await;
}

/// 128 MB beside others, 256 MB as the hard limit of a child, then there is no further rung.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_split_climbs_into_a_child_and_fails_there_with_the_evidence() {
    let scene = Scene::new().await;
    let bench = &scene.bench;
    let middle = Eat { from: 0, to: 180, may_split: false, tells_size: false };
    let large = Eat { to: 400, ..middle };
    let (middle, large) = (scene.push(&middle).await, scene.push(&large).await);
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
    scene.worker.drain().await;
}
