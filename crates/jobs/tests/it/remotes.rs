//! Jobs whose remote is down: they wait, unspent, until one of them finds that it is back.

use std::{borrow::Cow, sync::atomic::Ordering, time::Duration};

use samovar_jobs::{
    Policy, State,
    run::{Context, Job, Registry, Stop},
    store::{BreakerState, BreakerView},
};
use samovar_memory::Class;
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};

use crate::steady::{Bench, LIMIT, World, queue};

const OPEN: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
enum Charge {
    Now,
    /// When the gate opens.
    Later,
    /// Never gets an answer.
    Hang,
    /// A remote that its kind does not name.
    Other,
}

impl Job for Charge {
    const KIND: &'static str = "charge";
    const POLICY: Policy = Policy {
        tries: 9,
        backoff: Cow::Borrowed(&[Duration::from_secs(600)]),
        timeout: Duration::from_secs(60),
        class: Class::Mb128,
        ..Policy::DEFAULT
    };
    const NEEDS: &'static [&'static str] = &["square"];

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let world = cx.service::<World>()?;
        world.began.fetch_add(1, Ordering::SeqCst);
        match self {
            Charge::Later => world.gate.acquire().await?.forget(),
            Charge::Hang => {
                return cx.remote("square", std::future::pending::<Result<(), Stop>>()).await;
            }
            Charge::Other => return cx.remote("circle", async { Ok::<_, Stop>(()) }).await,
            Charge::Now => {}
        }
        let call = async {
            world.calls.fetch_add(1, Ordering::SeqCst);
            let is_up = world.is_up.load(Ordering::SeqCst);
            if is_up { Ok(()) } else { Err(Stop::Error("connection refused".to_owned())) }
        };
        cx.remote("square", call).await
    }
}

async fn until_tripped(bench: &Bench, trips: u32) -> BreakerView {
    let tripped = || async {
        let shown = bench.store.breakers().await.expect("answers").pop();
        shown.filter(|it| it.trips == trips)
    };
    wait::until_async(LIMIT, "the breaker to open", tripped).await.expect("it opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_spends_no_attempts_and_one_probe_goes_out() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(bench.push(&Charge::Now).await);
    }
    let calls = || bench.world.calls.load(Ordering::SeqCst);
    let worker = bench.work::<Charge>("one", 1, 1);
    let opened = until_tripped(&bench, 1).await;
    assert_eq!((opened.queue, opened.reason.as_str()), (queue(), "connection refused"));
    assert!(matches!(opened.state, BreakerState::Open { .. }), "{:?}", opened.state);
    bench.let_pass_until(OPEN).await;
    until_tripped(&bench, 2).await;
    assert_eq!(calls(), 2, "the first, and one that tried");

    bench.world.is_up.store(true, Ordering::SeqCst);
    for id in &ids[2..] {
        let waits = bench.show(*id).await.job;
        assert_eq!((waits.state, waits.attempt), (State::Waiting, 0));
    }
    bench.let_pass_until(OPEN * 3).await;
    bench.until_done(2).await;
    assert_eq!(bench.store.breakers().await, Ok(vec![]));
    assert_eq!(calls(), 4);
    for id in &ids[..2] {
        let again = bench.show(*id).await.job;
        assert_eq!((again.state, again.attempt), (State::Scheduled, 1), "as its policy says");
    }
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_attempt_that_meets_an_open_breaker_goes_back_unspent() {
    let bench = Bench::new().await;
    let late = bench.push(&Charge::Later).await;
    let worker = bench.work::<Charge>("one", 2, 1);
    let began = || async { (bench.world.began.load(Ordering::SeqCst) == 1).then_some(()) };
    wait::until_async(LIMIT, "it to run", began).await.expect("it runs");
    bench.push(&Charge::Now).await;
    worker.wake();
    until_tripped(&bench, 1).await;
    let failed = || async { (worker.state().held == 1).then_some(()) };
    wait::until_async(LIMIT, "the other to end", failed).await.expect("it ends");
    bench.world.gate.add_permits(1);
    let back = || async {
        let job = bench.show(late).await.job;
        (job.state == State::Waiting).then_some(job.attempt)
    };
    let attempt = wait::until_async(LIMIT, "it to go back", back).await.expect("it goes back");
    assert_eq!((attempt, bench.world.calls.load(Ordering::SeqCst)), (0, 1));
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_before_the_end_of_the_attempt_is_a_failure_of_the_remote() {
    let bench = Bench::new().await;
    bench.push(&Charge::Hang).await;
    let worker = bench.work::<Charge>("one", 1, 1);
    bench.let_pass_until(Duration::from_secs(60)).await;
    let opened = until_tripped(&bench, 1).await;
    assert_eq!(opened.reason, "no answer before the end of the attempt");
    worker.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_that_the_kind_does_not_name_is_a_fault_of_its_code() {
    let bench = Bench::new().await;
    let id = bench.push(&Charge::Other).await;
    let worker = bench.work::<Charge>("one", 1, 1);
    let failed = || async { Some(bench.show(id).await.job).filter(|it| it.state == State::Failed) };
    let failed = wait::until_async(LIMIT, "it to fail", failed).await.expect("it fails");
    let reason = failed.reason.expect("a reason");
    assert!(reason.contains("do not say that they need circle"), "{reason}");
    worker.drain().await;
}

#[test]
fn rules_are_checked_when_a_kind_is_registered() {
    let registry = || Registry::default().with::<Charge>().expect("sound");
    let refused = |error: samovar_jobs::run::UnfitKind| error.to_string();
    let message = refused(registry().needs("charge", &["a b"]).expect_err("a blank"));
    assert!(message.starts_with("the kind `charge`: the remote \"a b\""), "{message}");
    let message = refused(registry().needs("charge", &["x"; 9]).expect_err("too many"));
    assert_eq!(message, "the kind `charge` needs 9 remotes, at most 8 are taken: name fewer");
    let never = samovar_jobs::Rate::per_second(0);
    let message = refused(registry().rate("charge", Some(never)).expect_err("no rate"));
    assert!(message.starts_with("the kind `charge`: a rate of 0 per 1s"), "{message}");
    let message = refused(registry().rate("refund", None).expect_err("unknown"));
    assert_eq!(message, "there is no kind of jobs named `refund`: register it first");
}
