//! What a push stores, and what it does not.

use std::time::Duration;

use samovar_memory::Class;

use super::harness::{Harness, done, failed, kind};
use crate::{
    job::{NewJob, Pushed},
    limits,
    name::Tenant,
    policy::Policy,
    store::{Refusal, StoreError},
};

pub(super) async fn what_was_pushed_is_claimed_as_it_was(h: &Harness) {
    let queue = h.queue();
    let job = NewJob {
        version: 3,
        tenant: Tenant::new("acme").expect("a name"),
        payload: vec![0, 255, 7],
        policy: Policy { tries: 7, class: Class::Mb512, ..Policy::DEFAULT },
        ..h.job(&queue)
    };
    assert_eq!(h.push(&job).await, Pushed::New(job.id));
    let mut ask = h.ask(&queue, 5);
    ask.version = 3;
    let [claimed] = &h.store.claim(ask).await.expect("answers").jobs[..] else { panic!("not one") };
    assert_eq!(
        (claimed.hold.id, &claimed.queue, &claimed.kind, claimed.version),
        (job.id, &queue, &job.kind, 3)
    );
    assert_eq!((&claimed.tenant, &claimed.payload), (&job.tenant, &job.payload));
    assert_eq!((&claimed.policy, claimed.attempt, claimed.suspect), (&job.policy, 1, false));
    assert_eq!((claimed.batch, &claimed.checkpoint), (None, &None));
}

pub(super) async fn a_repeated_push_pushes_nothing_twice(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    assert_eq!(h.push(&job).await, Pushed::AlreadyThere(job.id));
    assert_eq!(h.end_one(&queue, done()).await, job.id);
    assert_eq!(h.push(&job).await, Pushed::AlreadyThere(job.id), "also when it has run");
    assert_eq!(h.claim(&queue, 5).await, []);
}

pub(super) async fn an_id_of_another_job_is_refused(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let other = NewJob { payload: b"other".to_vec(), ..job.clone() };
    let refused = h.store.push(vec![h.job(&queue), other]).await;
    assert_eq!(refused, Err(Refusal::IdTaken { id: job.id }.into()));
    assert_eq!(h.figures(&queue).await.waiting, 1, "none of it was pushed");
}

pub(super) async fn a_unique_key_is_held_until_its_job_ends(h: &Harness) {
    let queue = h.queue();
    let keyed = || NewJob { unique_key: Some("report".to_owned()), ..h.job(&queue) };
    let (first, second) = (keyed(), keyed());
    let pushed = h.push_all(vec![first.clone(), second]).await;
    assert_eq!(pushed, [Pushed::New(first.id), Pushed::AlreadyThere(first.id)]);
    let hold = h.run_one(&queue).await.hold;
    assert_eq!(h.push(&keyed()).await, Pushed::AlreadyThere(first.id), "while it runs");
    h.finish(hold, failed("broken")).await;
    let next = keyed();
    assert_eq!(h.push(&next).await, Pushed::New(next.id));
}

pub(super) async fn a_unique_key_counts_on_its_queue_alone(h: &Harness) {
    for queue in [h.queue(), h.queue()] {
        let job = NewJob { unique_key: Some("report".to_owned()), ..h.job(&queue) };
        assert_eq!(h.push(&job).await, Pushed::New(job.id));
    }
}

pub(super) async fn a_full_queue_takes_none_of_a_push(h: &Harness) {
    let queue = h.queue();
    h.store.limit_queue(queue.clone(), 3).await.expect("answers");
    h.push_all(h.jobs(&queue, 2)).await;
    let refused = h.store.push(h.jobs(&queue, 2)).await.expect_err("full");
    let full = Refusal::QueueFull { queue: queue.clone(), found: 2, limit: 3 };
    assert_eq!(refused, StoreError::from(full));
    assert_eq!(h.figures(&queue).await.waiting, 2, "none of it was pushed");
    h.push_all(h.jobs(&queue, 1)).await;
    h.run_one(&queue).await;
    h.push_all(h.jobs(&queue, 1)).await;
}

/// Two queues may be two machines, and nothing is atomic over these.
pub(super) async fn a_push_goes_to_one_queue(h: &Harness) {
    let (first, other) = (h.queue(), h.queue());
    let refused = h.store.push(vec![h.job(&first), h.job(&other)]).await.expect_err("two");
    assert!(refused.to_string().contains("push once per queue"), "{refused}");
    for queue in [first, other] {
        assert_eq!(h.claim(&queue, 5).await, [], "none of it was pushed");
    }
}

pub(super) async fn what_is_too_much_is_refused_before_it_is_stored(h: &Harness) {
    let queue = h.queue();
    let large = NewJob { payload: vec![0; limits::PAYLOAD_BYTES + 1], ..h.job(&queue) };
    let delay = limits::LONGEST_DELAY + Duration::from_secs(1);
    let late = NewJob { kind: kind("late"), delay, ..h.job(&queue) };
    for job in [large, late] {
        let refused = h.store.push(vec![h.job(&queue), job]).await.expect_err("too much");
        assert!(matches!(refused, StoreError::Refused(Refusal::Job(_))), "{refused}");
    }
    let many = h.jobs(&queue, limits::JOBS_PER_PUSH + 1);
    let refused = h.store.push(many).await.expect_err("too many").to_string();
    assert_eq!(refused, "10001 jobs in one call, at most 10000 are taken: split them");
    assert_eq!(h.claim(&queue, 5).await, []);
}
