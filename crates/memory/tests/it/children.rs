//! Each way to die, produced on purpose and reported as what it was.

use std::{
    fs,
    io::Read,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use samovar_memory::{
    BATCH_BYTES, Budget, Class, MB, Work,
    child::{ChildOptions, Death, Event, Failure, LimitHit, Line, Pool, PoolSize, Request},
};

use crate::works::{options, request};

fn pool() -> Pool {
    Pool::new(options(), PoolSize::default()).expect("it starts")
}

fn larger(request: Request) -> Request {
    Request { limit: Class::Mb1024.into(), ..request }
}

async fn death_of(work: &str) -> Death {
    match pool().run(request(work, b""), |_, _| {}).await {
        Err(Failure::Died(death)) => death,
        other => panic!("{work}: {other:?}"),
    }
}

/// Kills the child with `signal` when it tells its process id.
fn killer(signal: Signal, before: impl Fn() + Send + 'static) -> impl FnMut(Event, &Line) + Send {
    move |event, _| {
        if let Event::Progress(told) = event {
            let id = told.try_into().map(u32::from_le_bytes).expect("its process id");
            before();
            kill(id, signal);
        }
    }
}

fn kill(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it lives");
}

#[tokio::test]
async fn a_child_works_and_the_next_work_finds_it_warm() {
    let pool = pool();
    pool.warm_up().expect("they start");
    assert_eq!(pool.warm_count(), 2);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = told.clone();
    let tell = move |event, _: &Line| tells.lock().expect("nobody panics").push(event);
    let output = pool.run(request("echo", b"hello"), tell).await.expect("it works");
    assert_eq!(output, b"hello");
    let told = told.lock().expect("nobody panics").clone();
    assert_eq!(told[0], Event::Progress(b"half".to_vec()));
    assert!(matches!(told[1], Event::Sample { .. }));
    assert_eq!(pool.warm_count(), 2);
    let failure = pool.run(request("fail", b""), |_, _| {}).await.expect_err("it fails");
    assert!(matches!(&failure, Failure::Work(reason) if reason == "no rows"));
    let unknown = pool.run(request("nothing", b""), |_, _| {}).await.expect_err("there is none");
    assert!(unknown.to_string().contains("knows no work named \"nothing\""));
}

#[tokio::test]
async fn work_asks_and_is_answered_while_it_runs_and_not_after() {
    let line = Arc::new(Mutex::new(None));
    let keeps = line.clone();
    let answer = move |event, line: &Line| {
        if let Event::Progress(asked) = event {
            *keeps.lock().expect("nobody panics") = Some(line.clone());
            assert!(line.say(&[asked, b" yes".to_vec()].concat()));
        }
    };
    let pool = pool();
    let output = pool.run(request("ask", b"may I?"), answer).await.expect("it works");
    assert_eq!(output, b"may I? yes");
    let line = line.lock().expect("nobody panics").take().expect("it asked");
    assert!(!line.say(b"too late"));
    let next = pool.run(request("echo", b"next"), |_, _| {}).await.expect("it works");
    assert_eq!(next, b"next", "nothing of it reaches whoever is next");
}

#[tokio::test]
async fn work_that_steps_ends_by_itself_and_the_child_stays() {
    let pool = pool();
    let failure = pool.run(request("steps", b""), |_, _| {}).await.expect_err("it is over");
    let reason = failure.to_string();
    assert!(reason.starts_with("test/steps went over its limit of 128"), "{reason}");
}

#[tokio::test]
async fn a_tight_loop_dies_alone_and_the_reason_names_the_limit() {
    let death = death_of("tight").await;
    let Death::Limit { hit: LimitHit::Allocation { data_bytes, .. }, .. } = &death else {
        panic!("{death:?}")
    };
    assert!(*data_bytes > 100 * MB);
    assert!(death.to_string().starts_with("went over its limit of 128 MB"), "{death}");
}

#[tokio::test]
async fn one_allocation_above_the_limit_is_the_limit() {
    let death = death_of("large").await;
    assert!(matches!(death, Death::Limit { hit: LimitHit::Allocation { .. }, .. }), "{death:?}");
}

#[tokio::test]
async fn what_the_system_refuses_below_the_limit_is_not_the_limit() {
    let death = death_of("refused").await;
    let Death::FailedAllocation { requested_bytes, .. } = death else { panic!("{death:?}") };
    assert!(requested_bytes >= 64_000_000);
}

#[tokio::test]
async fn pages_that_no_limit_on_data_sees_are_seen_by_the_watchdog() {
    let death = death_of("shared").await;
    assert!(matches!(death, Death::Limit { hit: LimitHit::Resident { .. }, .. }), "{death:?}");
}

#[tokio::test]
async fn a_panic_an_exit_and_a_crash_are_told_apart() {
    assert_eq!(death_of("panic").await, Death::Panicked { message: "on purpose".to_owned() });
    assert_eq!(death_of("exit").await, Death::Exited { code: 3 });
    assert_eq!(death_of("crash").await, Death::Crashed { signal: Signal::ABORT.as_raw() });
}

#[tokio::test]
async fn a_kill_from_outside_is_that() {
    for signal in [Signal::KILL, Signal::TERM] {
        let failure = pool().run(request("wait", b""), killer(signal, || {})).await;
        let Err(Failure::Died(death)) = failure else { panic!("{failure:?}") };
        assert_eq!(death, Death::Killed { signal: signal.as_raw() });
    }
}

/// The kernel's count is a file of ours, and so is the kill: a machine out of memory is not at hand.
#[tokio::test]
async fn a_kill_while_the_kernel_counts_one_more_is_the_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    let vmstat = folder.path().join("vmstat");
    fs::write(&vmstat, "pgfault 1\noom_kill 4\n").expect("it is written");
    let options = ChildOptions { vmstat: vmstat.clone(), ..options() };
    let pool = Pool::new(options, PoolSize::default()).expect("it starts");
    let count = move || fs::write(&vmstat, "pgfault 9\noom_kill 5\n").expect("it is written");
    let failure = pool.run(request("wait", b""), killer(Signal::KILL, count)).await;
    assert!(matches!(failure, Err(Failure::Died(Death::HostOutOfMemory))), "{failure:?}");
}

#[tokio::test]
async fn a_grandchild_dies_with_its_parent_which_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("alive");
    let listener = UnixListener::bind(&socket).expect("it listens");
    let (sends, id) = tokio::sync::oneshot::channel();
    let mut sends = Some(sends);
    let tell = move |event, _: &Line| {
        if let (Event::Progress(told), Some(sends)) = (event, sends.take()) {
            sends.send(told).expect("it is awaited");
        }
    };
    let path = socket.to_str().expect("it is text").as_bytes().to_vec();
    let run = tokio::spawn(async move { pool().run(request("start", &path), tell).await });
    let id = id.await.expect("it starts").try_into().map(u32::from_le_bytes).expect("an id");
    let mut grandchild = listener.accept().expect("it connects").0;
    kill(id, Signal::KILL);
    grandchild.set_read_timeout(Some(Duration::from_secs(30))).expect("it is set");
    assert_eq!(grandchild.read(&mut [0]).expect("it ends"), 0);
    assert!(matches!(run.await.expect("it ends"), Err(Failure::Died(Death::Killed { .. }))));
}

#[tokio::test]
async fn a_child_counts_in_the_budget_while_it_works() {
    let budget = Budget::new(256 * MB, samovar_clock::Clock::System);
    let work = Work { kind: "shared", job: "shared/1", class: Class::Mb128, share: None };
    let admitted = budget.admit(work).await.expect("it fits");
    let mut request = request("tight", b"");
    request.gauge = admitted.child_gauge();
    let failure = pool().run(request, |_, _| {}).await.expect_err("it is over");
    assert!(failure.to_string().starts_with("the child process went over its limit of 128 MB"));
    assert_eq!(admitted.child_gauge().current_bytes(), 0);
    assert!(admitted.child_gauge().peak_bytes() > 0);
}

#[tokio::test]
async fn accounts_agree_with_jemalloc_across_threads() {
    let output = pool().run(larger(request("compare", b"")), |_, _| {}).await;
    let output = output.expect("it works");
    let number =
        |at: usize| output[at..at + 8].try_into().map(u64::from_le_bytes).expect("two numbers");
    let (shown, really) = (number(0), number(8));
    let allowed = really / 100 + 4 * BATCH_BYTES.unsigned_abs();
    assert!(really > 50 * MB && shown.abs_diff(really) <= allowed, "{shown} against {really}");
}
