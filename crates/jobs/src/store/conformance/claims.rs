//! Who is given what.

use std::time::Duration;

use super::harness::{Harness, kind};
use crate::{job::NewJob, name::JobId};

fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

async fn claimed(h: &Harness, ask: crate::store::Claim) -> Vec<JobId> {
    let claimed = h.store.claim(ask).await.expect("answers").jobs;
    claimed.iter().map(|claimed| claimed.hold.id).collect()
}

/// Kinds and versions have lines of their own inside, which must not show.
pub(super) async fn jobs_come_in_the_order_of_their_arrival(h: &Harness) {
    let queue = h.queue();
    let mut jobs = h.jobs(&queue, 6);
    jobs[1].kind = kind("other");
    jobs[4].kind = kind("third");
    h.push_all(jobs[..3].to_vec()).await;
    h.pass(Duration::from_millis(5));
    h.push_all(jobs[3..].to_vec()).await;
    assert_eq!(claimed(h, h.ask(&queue, 4)).await, ids(&jobs[..4]));
    assert_eq!(claimed(h, h.ask(&queue, 4)).await, ids(&jobs[4..]));
}

pub(super) async fn queues_are_served_in_the_order_of_the_claim(h: &Harness) {
    let (high, low) = (h.queue(), h.queue());
    let (first, second) = (h.jobs(&low, 3), h.jobs(&high, 3));
    h.push_all(first.clone()).await;
    h.push_all(second.clone()).await;
    let mut ask = h.ask(&high, 2);
    ask.queues.push((low, 1));
    let expected = [second[0].id, second[1].id, first[0].id];
    assert_eq!(claimed(h, ask).await, expected);
}

pub(super) async fn nobody_is_given_what_another_has(h: &Harness) {
    let queue = h.queue();
    h.push_all(h.jobs(&queue, 40)).await;
    let asks = (0..8).map(|_| claimed(h, h.ask(&queue, 10)));
    let all = futures_util::future::join_all(asks).await.concat();
    let mut distinct = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!((all.len(), distinct.len()), (40, 40));
}

pub(super) async fn what_a_newer_version_wrote_is_left_alone(h: &Harness) {
    let queue = h.queue();
    let old = h.job(&queue);
    let new = NewJob { version: 2, ..h.job(&queue) };
    h.push_all(vec![new.clone(), old.clone()]).await;
    let mut ask = h.ask(&queue, 5);
    ask.version = 1;
    assert_eq!(claimed(h, ask.clone()).await, [old.id]);
    ask.version = 2;
    assert_eq!(claimed(h, ask).await, [new.id]);
}

pub(super) async fn excepted_kinds_are_stepped_over(h: &Harness) {
    let queue = h.queue();
    let limited = NewJob { kind: kind("limited"), ..h.job(&queue) };
    let free = h.job(&queue);
    h.push_all(vec![limited.clone(), free.clone()]).await;
    let mut ask = h.ask(&queue, 5);
    ask.except = vec![kind("limited")];
    assert_eq!(claimed(h, ask.clone()).await, [free.id]);
    assert_eq!(claimed(h, ask).await, []);
    let spent = h.claim_one(&queue).await;
    assert_eq!((spent.hold.id, spent.attempt), (limited.id, 1), "it has cost no attempt");
}

pub(super) async fn a_paused_queue_gives_nothing_until_it_is_resumed(h: &Harness) {
    let queue = h.queue();
    h.store.pause(queue.clone()).await.expect("answers");
    let job = h.job(&queue);
    h.push(&job).await;
    assert_eq!(claimed(h, h.ask(&queue, 5)).await, []);
    assert!(h.figures(&queue).await.paused);
    h.store.resume(queue.clone()).await.expect("answers");
    assert_eq!(claimed(h, h.ask(&queue, 5)).await, [job.id]);
}

pub(super) async fn a_delayed_job_comes_when_it_is_due(h: &Harness) {
    let queue = h.queue();
    let delay = Duration::from_secs(5);
    let later = NewJob { delay, ..h.job(&queue) };
    h.push(&later).await;
    h.pass(delay - h.margin());
    assert_eq!(claimed(h, h.ask(&queue, 5)).await, []);
    let now = h.job(&queue);
    h.pass(h.margin() + Duration::from_secs(1));
    h.push(&now).await;
    // It waits since it was due, although nobody had looked.
    assert_eq!(claimed(h, h.ask(&queue, 5)).await, [later.id, now.id]);
}

pub(super) async fn many_due_jobs_are_promoted_in_chunks(h: &Harness) {
    let queue = h.queue();
    let delay = Duration::from_secs(5);
    let jobs = h.jobs(&queue, 2500).into_iter().map(|job| NewJob { delay, ..job });
    h.push_all(jobs.collect()).await;
    let next_due = h.store.tend().await.expect("answers").next_due.expect("scheduled");
    assert!(next_due <= delay, "{next_due:?}");
    h.pass(delay);
    let tended = h.store.tend().await.expect("answers");
    assert!(tended.more && tended.promoted >= 1000, "{tended:?}");
    assert!(h.figures(&queue).await.scheduled >= 1500, "not all at once");
    h.tend().await;
    let figures = h.figures(&queue).await;
    assert_eq!((figures.scheduled, figures.waiting), (0, 2500));
}

/// However the kinds are mixed, the order is that of arrival.
pub(super) async fn many_kinds_on_one_queue_keep_the_order(h: &Harness) {
    let queue = h.queue();
    let mut jobs = h.jobs(&queue, 60);
    for (number, job) in jobs.iter_mut().enumerate() {
        job.kind = kind(&format!("kind{}", number * number % 13));
    }
    for some in jobs.chunks(7) {
        h.push_all(some.to_vec()).await;
        h.pass(Duration::from_millis(1));
    }
    for some in ids(&jobs).chunks(8) {
        assert_eq!(claimed(h, h.ask(&queue, some.len())).await, some);
    }
}
