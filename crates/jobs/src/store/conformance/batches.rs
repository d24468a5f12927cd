//! Batches finish, and each callback comes once.

use super::harness::{Harness, done, failed};
use crate::{
    batch::NewBatch,
    job::{Finished, NewJob, Outcome, Pushed},
    name::{QueueName, Tenant},
    state::State,
    store::{Refusal, Revived},
};

pub(super) async fn callbacks_come_once_when_all_has_ended_well(h: &Harness) {
    let queue = h.queue();
    let tenant = Tenant::new("north").expect("a name");
    let batch = NewBatch { tenant: tenant.clone(), ..h.batch(&queue, 3) };
    h.store.push_batch(batch.clone()).await.expect("pushed");
    let again = h.store.push_batch(batch.clone()).await.expect("answers");
    assert!(again.iter().all(|it| matches!(it, Pushed::AlreadyThere(_))));
    let holds: Vec<_> = h.run(&queue, 3).await.into_iter().map(|it| it.hold).collect();
    for hold in &holds[..2] {
        h.finish(*hold, done()).await;
    }
    assert_eq!(h.claim(&queue, 5).await, [], "not yet");
    let view = h.show_batch(batch.id).await;
    assert_eq!((view.total, view.pending, view.finished_ms), (3, 1, None));
    assert_eq!(view.tenant, tenant);
    h.finish(holds[2], done()).await;
    assert_eq!(h.finish(holds[2], done()).await, Finished::Zombie);
    assert_eq!(h.drain(&queue).await, ["then", "finally"]);
    assert_eq!(h.claim(&queue, 5).await, []);
    let view = h.show_batch(batch.id).await;
    assert_eq!((view.pending, view.failed, view.cancelled), (0, 0, 0));
    assert!(view.finished_ms.is_some());
}

pub(super) async fn the_first_failure_cancels_the_others_and_is_caught_once(h: &Harness) {
    let queue = h.queue();
    let batch = h.batch(&queue, 5);
    h.store.push_batch(batch.clone()).await.expect("pushed");
    let holds: Vec<_> = h.run(&queue, 3).await.into_iter().map(|it| it.hold).collect();
    h.finish(holds[0], failed("broken")).await;
    assert_eq!(h.renew(holds[1]).await, crate::job::Held::Cancelled);
    assert_eq!(h.drain(&queue).await, ["catch"], "what waits is not given out any more");
    h.finish(holds[1], failed("broken, too")).await;
    h.tend().await;
    assert_eq!(h.show_batch(batch.id).await.pending, 1);
    h.finish(holds[2], Outcome::Cancelled).await;
    assert_eq!(h.drain(&queue).await, ["finally"]);
    let view = h.show_batch(batch.id).await;
    assert_eq!((view.total, view.pending, view.failed, view.cancelled), (5, 0, 2, 3));
    assert!(view.is_cancelled && view.finished_ms.is_some());
}

pub(super) async fn where_failures_are_allowed_the_others_go_on(h: &Harness) {
    let queue = h.queue();
    let mut batch = h.batch(&queue, 3);
    batch.allow_failures = true;
    h.store.push_batch(batch.clone()).await.expect("pushed");
    for hold in h.run(&queue, 2).await.into_iter().map(|it| it.hold) {
        h.finish(hold, failed("broken")).await;
    }
    assert_eq!(h.drain(&queue).await, ["mail", "catch"]);
    assert_eq!(h.drain(&queue).await, ["then", "finally"]);
    assert_eq!(h.show_batch(batch.id).await.failed, 2);
}

/// The last job adds another one and ends in the same transaction.
pub(super) async fn jobs_added_while_it_runs_keep_it_open(h: &Harness) {
    let queue = h.queue();
    let batch = h.batch(&queue, 1);
    let added = || NewJob { batch: Some(batch.id), ..h.job(&queue) };
    h.store.push_batch(batch.clone()).await.expect("pushed");
    let hold = h.run_one(&queue).await.hold;
    h.push(&added()).await;
    let follow_ups = vec![added(), added()];
    h.finish(hold, Outcome::Done { result: None, follow_ups }).await;
    let view = h.show_batch(batch.id).await;
    assert_eq!((view.total, view.pending, view.finished_ms), (4, 3, None));
    assert_eq!(h.drain(&queue).await, ["mail", "mail", "mail"]);
    assert_eq!(h.drain(&queue).await, ["then", "finally"]);
}

pub(super) async fn an_empty_batch_is_finished_at_once(h: &Harness) {
    let queue = h.queue();
    let batch = h.batch(&queue, 0);
    h.store.push_batch(batch.clone()).await.expect("pushed");
    assert!(h.show_batch(batch.id).await.finished_ms.is_some());
    assert_eq!(h.drain(&queue).await, ["then", "finally"]);
}

pub(super) async fn a_cancelled_batch_ends_with_all_its_jobs(h: &Harness) {
    let queue = h.queue();
    let batch = h.batch(&queue, 1500);
    h.store.push_batch(batch.clone()).await.expect("pushed");
    let running = h.run_one(&queue).await.hold;
    let unstarted = h.claim_one(&queue).await.hold;
    let view = h.store.cancel_batch(batch.id).await.expect("answers").expect("is there");
    assert!(view.is_cancelled);
    assert_eq!(h.start(unstarted).await, crate::job::Held::Lost, "it must not run");
    assert_eq!(h.renew(running).await, crate::job::Held::Cancelled);
    h.tend().await;
    assert_eq!(h.show_batch(batch.id).await.pending, 1);
    h.finish(running, Outcome::Released).await;
    let view = h.show_batch(batch.id).await;
    assert_eq!((view.pending, view.cancelled), (0, 1500));
    assert_eq!(h.drain(&queue).await, ["finally"]);
}

pub(super) async fn a_finished_batch_takes_no_more_jobs(h: &Harness) {
    let (queue, other) = (h.queue(), h.queue());
    let batch = h.batch(&queue, 1);
    let on = |queue: &QueueName| NewJob { batch: Some(batch.id), ..h.job(queue) };
    let unknown = h.store.push(vec![on(&queue)]).await;
    assert_eq!(unknown, Err(Refusal::NoBatch { batch: batch.id }.into()));
    h.store.push_batch(batch.clone()).await.expect("pushed");
    let elsewhere = h.store.push(vec![on(&other)]).await;
    let refusal = Refusal::BatchElsewhere { batch: batch.id, queue: other };
    assert_eq!(elsewhere, Err(refusal.into()));
    h.end_one(&queue, done()).await;
    let finished = h.store.push(vec![on(&queue)]).await;
    assert_eq!(finished, Err(Refusal::BatchFinished { batch: batch.id }.into()));
    assert_eq!(h.show_batch(batch.id).await.total, 1);
}

pub(super) async fn a_revived_job_counts_again_while_the_batch_is_open(h: &Harness) {
    let queue = h.queue();
    let mut batch = h.batch(&queue, 2);
    batch.allow_failures = true;
    h.store.push_batch(batch.clone()).await.expect("pushed");
    let id = h.end_one(&queue, failed("broken")).await;
    h.pass(std::time::Duration::from_millis(1));
    assert_eq!(h.store.revive(vec![id]).await, Ok(vec![Revived::Waiting]));
    let view = h.show_batch(batch.id).await;
    assert_eq!((view.pending, view.failed), (2, 0));
    assert_eq!(h.drain(&queue).await, ["mail", "catch", "mail"]);
    assert_eq!(h.state(id).await, State::Done);
    assert_eq!(h.drain(&queue).await, ["then", "finally"]);
}
