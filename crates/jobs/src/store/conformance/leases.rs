//! What a holder holds, and until when.

use std::time::Duration;

use super::harness::{Harness, LEASE, done};
use crate::{
    job::{Cancelled, Finished, Held, Outcome},
    state::State,
    store::Reap,
};

async fn reap(h: &Harness) {
    while h.store.reap(Reap::Lapsed).await.expect("answers").more {}
}

pub(super) async fn only_what_started_runs_and_starting_again_is_no_harm(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let hold = h.claim_one(&queue).await.hold;
    assert_eq!(h.state(job.id).await, State::Claimed);
    assert_eq!(h.finish(hold, done()).await, Finished::Zombie, "it has not started");
    for _ in 0..2 {
        assert_eq!(h.start(hold).await, Held::Yes);
        assert_eq!(h.state(job.id).await, State::Running);
    }
    assert_eq!(h.finish(hold, done()).await, Finished::Now(State::Done));
    assert_eq!(h.start(hold).await, Held::Lost);
}

pub(super) async fn a_renewed_lease_lasts_and_a_lapsed_one_is_taken_back(h: &Harness) {
    let queue = h.queue();
    h.push_all(h.jobs(&queue, 2)).await;
    let (kept, left) = (h.run_one(&queue).await.hold, h.run_one(&queue).await.hold);
    h.pass(LEASE - h.margin());
    reap(h).await;
    assert_eq!(h.state(left.id).await, State::Running, "not before its time");
    assert_eq!(h.renew(kept).await, Held::Yes);
    h.pass(h.margin());
    reap(h).await;
    assert_eq!(h.state(kept.id).await, State::Running);
    assert_eq!(h.state(left.id).await, State::Waiting);
    assert_eq!(h.renew(left).await, Held::Lost);
}

pub(super) async fn an_unstarted_job_is_taken_back_with_its_attempt(h: &Harness) {
    let queue = h.queue();
    h.push(&h.job(&queue)).await;
    let ask = h.ask(&queue, 1);
    let worker = ask.worker.clone();
    let claimed = h.store.claim(ask).await.expect("answers").jobs;
    let reaped = h.store.reap(Reap::Dead(worker)).await.expect("answers");
    assert_eq!((reaped.unstarted, reaped.suspects, reaped.ended), (1, 0, 0));
    assert_eq!(h.start(claimed[0].hold).await, Held::Lost, "it must not run");
    let again = h.claim_one(&queue).await;
    assert_eq!((again.attempt, again.suspect), (1, false));
    assert!(again.hold.token > claimed[0].hold.token);
}

/// Stopped beyond its lease, and continued, while another worker has its job.
pub(super) async fn a_stopped_worker_that_goes_on_is_a_zombie(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let zombie = h.run_one(&queue).await.hold;
    h.pass(LEASE);
    reap(h).await;
    for state in [State::Waiting, State::Running, State::Done] {
        if state == State::Running {
            let hold = h.run_one(&queue).await.hold;
            assert_eq!(hold.id, job.id);
        } else if state == State::Done {
            let now = h.details(job.id).await;
            assert_eq!(now.history.len(), 1, "the zombie has written nothing");
        }
        let follow_ups = vec![h.job(&queue)];
        let outcomes = [
            Outcome::Done { result: Some(b"late".to_vec()), follow_ups },
            Outcome::Failed { reason: "late".to_owned() },
            Outcome::Released,
            Outcome::Missing,
        ];
        for outcome in outcomes {
            assert_eq!(h.finish(zombie, outcome).await, Finished::Zombie);
        }
        assert_eq!(h.renew(zombie).await, Held::Lost);
        let checkpoint = h.store.checkpoint(zombie, b"late".to_vec()).await;
        assert_eq!(checkpoint, Ok(Held::Lost));
        let once = h.store.record_once(zombie, "key".to_owned(), b"late".to_vec()).await;
        assert_eq!(once, Ok(Held::Lost));
    }
    let details = h.details(job.id).await;
    assert_eq!(
        (details.job.state, details.result, details.checkpoint),
        (State::Running, None, None)
    );
    assert_eq!(h.figures(&queue).await.waiting, 0, "what it left behind was not pushed");
}

pub(super) async fn a_cancelled_job_is_told_by_the_next_renewal(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let hold = h.run_one(&queue).await.hold;
    assert_eq!(h.store.cancel(vec![job.id]).await, Ok(vec![Cancelled::Told]));
    assert_eq!(h.renew(hold).await, Held::Cancelled);
    // It may still end as it likes, but there is no further attempt.
    let retry = super::harness::retry(Duration::ZERO);
    assert_eq!(h.finish(hold, retry).await, Finished::Now(State::Cancelled));
    assert_eq!(h.renew(hold).await, Held::Lost);

    let silent = h.job(&queue);
    h.push(&silent).await;
    h.run_one(&queue).await;
    h.store.cancel(vec![silent.id]).await.expect("answers");
    h.pass(LEASE);
    reap(h).await;
    assert_eq!(h.state(silent.id).await, State::Cancelled, "its worker never answered");
}

pub(super) async fn a_wrong_lease_is_refused(h: &Harness) {
    let queue = h.queue();
    let mut ask = h.ask(&queue, 1);
    ask.lease = Duration::from_millis(1);
    let refused = h.store.claim(ask).await.expect_err("too short").to_string();
    assert_eq!(refused, "a lease of 1 ms: choose one from 100 to 3600000 ms");
}
