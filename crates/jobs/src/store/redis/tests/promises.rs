//! Its time, its outbox, and jobs that nobody can read.

use samovar_testkit::RedisServer;

use super::*;
use crate::{
    job::EndedAttempt,
    policy::Policy,
    state::State,
    store::{Reap, Reaped},
};

/// As when its clock is set back, or a replica takes over whose clock is behind.
#[tokio::test]
async fn the_time_of_a_queue_does_not_run_backwards() {
    let server = server();
    let store = open(&server).await;
    let jobs = [job("a"), job("a"), job("a")];
    store.push(vec![jobs[0].clone()]).await.expect("pushed");
    // Its last look was an hour later than its clock says now.
    move_clock(&server, "a", "last_ms", 3_600_000);
    let last_ms = clock_ms(&server, "a", "last_ms");
    for job in &jobs[1..] {
        store.push(vec![job.clone()]).await.expect("pushed");
    }
    let mut pushed_ms = Vec::new();
    for job in &jobs {
        pushed_ms.push(details(&store, job.id).await.job.pushed_ms as i64);
    }
    assert!(pushed_ms[0] < last_ms && last_ms <= pushed_ms[1], "{pushed_ms:?} {last_ms}");
    assert!(pushed_ms[1] <= pushed_ms[2], "{pushed_ms:?}");
    assert!(clock_ms(&server, "a", "last_ms") < last_ms + 60_000, "it goes on from there");
    for job in jobs {
        assert_eq!(run_one(&store, "a").await.id, job.id, "in the order of arrival");
    }
}

/// Law 13, also for who has just started and saw no outage.
#[tokio::test]
async fn after_an_absence_leases_have_one_lease_of_time() {
    let server = server();
    let store = open(&server).await;
    let one = job("a");
    store.push(vec![one.clone()]).await.expect("pushed");
    run_one(&store, "a").await;
    // Nobody looked for a minute, and the lease ran out meanwhile.
    move_clock(&server, "a", "ahead_ms", 60_000);
    let reaped = open(&server).await.reap(Reap::Lapsed).await.expect("answers");
    assert_eq!(reaped, Reaped { held_back: true, ..Reaped::default() });
    assert_eq!(details(&store, one.id).await.job.state, State::Running);
    for clock in ["ahead_ms", "last_ms"] {
        move_clock(&server, "a", clock, LEASE.as_millis() as i64);
    }
    let reaped = store.reap(Reap::Lapsed).await.expect("answers");
    assert_eq!((reaped.suspects, reaped.held_back), (1, false));
}

/// The push to the other queue fails, Redis is killed, and the process with it.
#[tokio::test]
async fn what_follows_on_another_queue_survives_until_it_is_delivered() {
    let server = server();
    let store = open(&server).await;
    store.push(vec![job("a")]).await.expect("pushed");
    let hold = run_one(&store, "a").await;
    let spoiled = "samovar:{q:b}:queue";
    server.command(&["SET", spoiled, "no hash"]).expect("sets");
    let follow_up = job("b");
    let finished = finish(&store, hold, vec![follow_up.clone()]).await;
    assert_eq!(finished, Finished::Now(State::Done), "the delivery does not fail the finish");
    server.kill();
    server.restart().expect("starts again");
    server.command(&["DEL", spoiled]).expect("deletes");
    let store = open(&server).await;
    assert_eq!(store.show(follow_up.id).await, Ok(None), "not yet");
    store.tend().await.expect("answers");
    assert_eq!(run_one(&store, "b").await.id, follow_up.id);
    store.tend().await.expect("answers");
    assert_eq!(store.claim(ask("b", 5)).await, Ok(Given::default()), "once");
    assert_eq!(outbox(&server), 0);
}

/// It was delivered, and the process died before it could say so.
#[tokio::test]
async fn what_is_delivered_twice_is_there_once() {
    let server = server();
    let store = open(&server).await;
    store.push(vec![job("a")]).await.expect("pushed");
    let hold = run_one(&store, "a").await;
    let follow_up = job("b");
    server.command(&["SET", "samovar:{q:b}:queue", "no hash"]).expect("sets");
    finish(&store, hold, vec![follow_up.clone()]).await;
    server.command(&["DEL", "samovar:{q:b}:queue"]).expect("deletes");
    store.push(vec![follow_up.clone()]).await.expect("pushed");
    assert_eq!(outbox(&server), 1);
    store.tend().await.expect("answers");
    assert_eq!(outbox(&server), 0);
    let figures = store.figures().await.expect("answers");
    let waiting = figures.iter().find(|it| it.queue == queue("b")).map(|it| it.waiting);
    assert_eq!(waiting, Some(1));
}

fn outbox(server: &RedisServer) -> i64 {
    server.command(&["HLEN", "samovar:{q:a}:out"]).expect("answers").integer().expect("a number")
}

#[tokio::test]
async fn a_job_that_cannot_be_read_fails_and_holds_up_no_other() {
    let server = server();
    let store = open(&server).await;
    let policy = Policy { tries: 7, ..Policy::DEFAULT };
    let jobs = [job("a"), NewJob { policy, ..job("a") }, job("a"), job("a")];
    store.push(jobs.to_vec()).await.expect("pushed");
    let key = |job: &NewJob| [&b"samovar:{q:a}:j:"[..], &job.id.as_u64().to_be_bytes()].concat();
    server.command(&[b"DEL".to_vec(), key(&jobs[0])]).expect("deletes");
    // Within the text of its policy: behind the head, two lengths, and the tenant with its own.
    let at = (super::super::pack::HEAD_BYTES + 2 + 1 + "system".len() + 2).to_string();
    let spoil = [b"SETRANGE".to_vec(), key(&jobs[1]), at.into_bytes(), b"}{".to_vec()];
    server.command(&spoil).expect("writes");
    server.command(&[b"SET".to_vec(), key(&jobs[2]), b"short".to_vec()]).expect("writes");
    let claimed = store.claim(ask("a", 10)).await.expect("answers").jobs;
    let ids: Vec<JobId> = claimed.iter().map(|it| it.hold.id).collect();
    assert_eq!(ids, [jobs[3].id]);
    let figures = store.figures().await.expect("answers");
    assert_eq!((figures[0].waiting, figures[0].failed, figures[0].claimed), (0, 3, 1));
    let failed = store.failed(crate::store::Filter::default(), None, 10).await.expect("answers");
    let reasons: Vec<_> = failed.jobs.iter().filter_map(|job| job.reason.as_deref()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("cannot be read")), "{reasons:?}");
}

/// Whatever was claimed by one process is ended by another that never saw it.
#[tokio::test]
async fn a_hold_is_good_in_every_process() {
    let server = server();
    let (one, other) = (open(&server).await, open(&server).await);
    let pushed = job("a");
    one.push(vec![pushed.clone()]).await.expect("pushed");
    let hold = run_one(&one, "a").await;
    assert_eq!(finish(&other, hold, Vec::new()).await, Finished::Now(State::Done));
    assert_eq!(finish(&one, hold, Vec::new()).await, Finished::Zombie);
    let history: Vec<EndedAttempt> = details(&one, pushed.id).await.history;
    assert_eq!(history, []);
}
