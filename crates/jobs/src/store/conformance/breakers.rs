//! Remotes that are down, and the one job that finds out whether they are back (J7).

use std::{sync::Arc, time::Duration};

use super::harness::{Harness, done, kind};
use crate::{
    job::{Claimed, NewJob},
    limits,
    name::{Hold, QueueName, RemoteName},
    rule::Rule,
    state::State,
    store::{BreakerState, BreakerView, Claim, Given, Report, Said},
};

const OPEN: Duration = limits::BREAKER_OPEN;

fn remote(name: &str) -> RemoteName {
    RemoteName::new(name).expect("a name")
}

/// Jobs of `mail` and of `sync` need `square`, and `sync` needs `post` as well.
fn ask(h: &Harness, queue: &QueueName) -> Claim {
    let rule = |name, needs: &[&str]| {
        let needs = needs.iter().map(|name| remote(name)).collect();
        Rule { kind: kind(name), rate: None, needs }
    };
    let rules = Arc::new([rule("mail", &["square"]), rule("sync", &["square", "post"])]);
    Claim { rules, ..h.ask(queue, 10) }
}

async fn given(h: &Harness, queue: &QueueName) -> Given {
    h.store.claim(ask(h, queue)).await.expect("answers")
}

async fn say(h: &Harness, queue: &QueueName, said: Said) -> Option<Duration> {
    let report = Report { queue: queue.clone(), remote: remote("square"), said };
    h.store.report(report).await.expect("answers")
}

async fn trip(h: &Harness, queue: &QueueName) -> Option<Duration> {
    say(h, queue, Said::Broken { reason: "refused".to_owned() }).await
}

fn failed(hold: Hold) -> Said {
    Said::ProbeFailed { hold, reason: "still refused".to_owned() }
}

async fn shown(h: &Harness, queue: &QueueName) -> Option<BreakerView> {
    let all = h.store.breakers().await.expect("answers");
    all.into_iter().find(|it| it.queue == *queue)
}

/// Two of each kind, and one that needs nothing; the breaker has opened.
async fn tripped(h: &Harness) -> (QueueName, Vec<NewJob>) {
    let queue = h.queue();
    let mut jobs = h.jobs(&queue, 5);
    for (at, name) in ["mail", "sync", "mail", "sync", "free"].into_iter().enumerate() {
        jobs[at].kind = kind(name);
    }
    assert_eq!(trip(h, &queue).await, Some(OPEN));
    h.push_all(jobs.clone()).await;
    (queue, jobs)
}

async fn the_probe(h: &Harness, queue: &QueueName) -> Claimed {
    let given = given(h, queue).await;
    let [probe] = &given.jobs[..] else { panic!("not one: {given:?}") };
    assert_eq!(probe.probes, [remote("square")]);
    probe.clone()
}

pub(super) async fn while_it_is_open_no_job_that_needs_it_is_given_out(h: &Harness) {
    let (queue, jobs) = tripped(h).await;
    let free = given(h, &queue).await;
    assert_eq!(free.jobs.iter().map(|it| it.hold.id).collect::<Vec<_>>(), [jobs[4].id]);
    assert_eq!(free.next_allowed, Some(OPEN));
    let [open] = &free.open[..] else { panic!("not one: {:?}", free.open) };
    assert_eq!((&open.remote, open.left), (&remote("square"), OPEN));
    h.pass(OPEN - Duration::from_millis(1));
    assert_eq!(given(h, &queue).await.jobs, []);
    let waits = h.details(jobs[0].id).await.job;
    assert_eq!((waits.state, waits.attempt), (State::Waiting, 0));
    let unasked = h.store.claim(h.ask(&queue, 1)).await.expect("answers").jobs;
    assert_eq!(unasked.len(), 1, "a worker without the rule does not need it");
}

pub(super) async fn one_probe_goes_out_and_its_success_lets_the_others_go(h: &Harness) {
    let (queue, jobs) = tripped(h).await;
    assert_eq!(h.claim(&queue, 0).await, []);
    given(h, &queue).await;
    h.pass(OPEN);
    let probe = the_probe(h, &queue).await;
    assert_eq!((probe.hold.id, probe.attempt), (jobs[0].id, 1));
    let others = given(h, &queue).await;
    assert_eq!((others.jobs.len(), others.next_allowed), (0, Some(limits::PROBE)));
    assert_eq!(say(h, &queue, Said::ProbeWorked(probe.hold)).await, None);
    assert_eq!(shown(h, &queue).await, None);
    h.start(probe.hold).await;
    h.finish(probe.hold, done()).await;
    let rest = given(h, &queue).await;
    assert_eq!(rest.jobs.len(), 3);
    assert!(rest.jobs.iter().all(|job| job.probes.is_empty()), "{rest:?}");
}

pub(super) async fn a_probe_that_fails_opens_it_for_twice_as_long(h: &Harness) {
    let (queue, _) = tripped(h).await;
    given(h, &queue).await;
    h.pass(OPEN);
    let probe = the_probe(h, &queue).await;
    assert_eq!(say(h, &queue, failed(probe.hold)).await, Some(OPEN * 2));
    // Whatever else comes from a time before changes nothing.
    assert_eq!(say(h, &queue, failed(probe.hold)).await, Some(OPEN * 2));
    assert_eq!(say(h, &queue, Said::ProbeWorked(probe.hold)).await, Some(OPEN * 2));
    assert_eq!(trip(h, &queue).await, Some(OPEN * 2));
    let shown = shown(h, &queue).await.expect("it is open");
    assert_eq!((shown.trips, shown.reason.as_str()), (2, "still refused"));
    h.pass(OPEN * 2 - Duration::from_millis(1));
    assert_eq!(given(h, &queue).await.jobs, []);
    h.pass(Duration::from_millis(1));
    the_probe(h, &queue).await;
}

pub(super) async fn a_probe_that_is_silent_or_made_no_call_is_followed_by_another(h: &Harness) {
    let (queue, jobs) = tripped(h).await;
    given(h, &queue).await;
    h.pass(OPEN);
    let silent = the_probe(h, &queue).await;
    h.pass(limits::PROBE);
    let second = the_probe(h, &queue).await;
    assert_eq!(say(h, &queue, Said::ProbeWorked(silent.hold)).await, Some(limits::PROBE));
    assert_eq!(say(h, &queue, Said::ProbeUnused(second.hold)).await, None);
    let shown = shown(h, &queue).await.expect("it is not closed");
    assert_eq!((shown.state, shown.trips), (BreakerState::Due, 1));
    assert_eq!(the_probe(h, &queue).await.hold.id, jobs[2].id);
}

pub(super) async fn people_see_breakers_and_close_them(h: &Harness) {
    let (queue, jobs) = tripped(h).await;
    given(h, &queue).await;
    let open = shown(h, &queue).await.expect("it is open");
    assert_eq!(open.state, BreakerState::Open { next_probe: OPEN });
    assert_eq!((open.trips, open.reason.as_str()), (1, "refused"));
    h.pass(OPEN);
    the_probe(h, &queue).await;
    let probed = shown(h, &queue).await.expect("it is probed");
    let expected = BreakerState::Probing { job: jobs[0].id, next_probe: limits::PROBE };
    assert_eq!((probed.state, probed.since_ms), (expected, open.since_ms));
    let close = || h.store.close_breaker(queue.clone(), remote("square"));
    assert_eq!(close().await, Ok(true));
    assert_eq!(close().await, Ok(false));
    let given = given(h, &queue).await;
    assert_eq!((given.jobs.len(), given.open.len()), (3, 0));
    assert_eq!(trip(h, &queue).await, Some(OPEN), "it begins anew");
}
