//! What a rate lets through, and what becomes of the rest (J7).

use std::{sync::Arc, time::Duration};

use super::harness::{Harness, kind};
use crate::{
    job::{NewJob, Outcome},
    name::QueueName,
    rule::{Rate, Rule},
    state::State,
    store::{Claim, Given},
};

/// One more every twenty seconds.
const RATE: Rate = Rate::per_minute(3);
const NEXT: Duration = Duration::from_secs(20);

fn ask(h: &Harness, queue: &QueueName, rate: Rate) -> Claim {
    let rule = Rule { kind: kind("mail"), rate: Some(rate), needs: Vec::new() };
    Claim { rules: Arc::new([rule]), ..h.ask(queue, 10) }
}

async fn given(h: &Harness, queue: &QueueName) -> Given {
    h.store.claim(ask(h, queue, RATE)).await.expect("answers")
}

pub(super) async fn a_rate_lets_through_what_it_allows_and_says_when_the_next_may_go(h: &Harness) {
    let queue = h.queue();
    let jobs = h.jobs(&queue, 5);
    h.push_all(jobs.clone()).await;
    let first = given(h, &queue).await;
    assert_eq!(first.jobs.len(), 3);
    assert_eq!(first.next_allowed, Some(NEXT));
    h.pass(Duration::from_secs(5));
    let none = given(h, &queue).await;
    assert_eq!((none.jobs.len(), none.next_allowed), (0, Some(NEXT - Duration::from_secs(5))));
    let waiting = h.details(jobs[3].id).await.job;
    assert_eq!((waiting.state, waiting.attempt), (State::Waiting, 0), "it has cost no attempt");
    h.pass(NEXT - Duration::from_secs(5));
    assert_eq!(given(h, &queue).await.jobs[0].hold.id, jobs[3].id);
    h.pass(NEXT);
    let last = given(h, &queue).await;
    assert_eq!(last.jobs[0].hold.id, jobs[4].id);
    h.pass(NEXT * 10);
    assert_eq!(given(h, &queue).await.next_allowed, None, "nothing waits");
}

pub(super) async fn a_rate_holds_for_all_workers_and_all_versions_of_a_kind(h: &Harness) {
    let (queue, other) = (h.queue(), h.queue());
    let mut jobs = h.jobs(&queue, 8);
    jobs.iter_mut().skip(1).step_by(2).for_each(|job| job.version = 1);
    h.push_all(jobs.clone()).await;
    h.push_all(h.jobs(&other, 3)).await;
    let asks = (0..8).map(|_| {
        let claim = Claim { version: 1, ..ask(h, &queue, RATE) };
        async { h.store.claim(claim).await.expect("answers").jobs }
    });
    let all = futures_util::future::join_all(asks).await.concat();
    let mut ids: Vec<_> = all.iter().map(|job| job.hold.id).collect();
    ids.sort_unstable();
    let mut first: Vec<_> = jobs[..3].iter().map(|job| job.id).collect();
    first.sort_unstable();
    assert_eq!(ids, first, "the first three, whoever asked");
    assert_eq!(given(h, &other).await.jobs.len(), 3, "another queue has its own");
}

pub(super) async fn other_kinds_go_past_one_that_is_held_back(h: &Harness) {
    let queue = h.queue();
    h.push_all(h.jobs(&queue, 5)).await;
    let others = h.jobs(&queue, 5).into_iter().map(|job| NewJob { kind: kind("free"), ..job });
    h.push_all(others.collect()).await;
    let given = given(h, &queue).await;
    let kinds: Vec<_> = given.jobs.iter().map(|job| job.kind.as_str()).collect();
    assert_eq!(kinds, ["mail", "mail", "mail", "free", "free", "free", "free", "free"]);
}

pub(super) async fn a_job_that_is_given_back_has_used_its_permit(h: &Harness) {
    let queue = h.queue();
    h.push(&h.job(&queue)).await;
    let once = Rate { count: 1, per: NEXT };
    let claim = || async { h.store.claim(ask(h, &queue, once)).await.expect("answers").jobs };
    let hold = claim().await[0].hold;
    h.finish(hold, Outcome::Released).await;
    assert_eq!(claim().await, []);
    h.pass(NEXT);
    assert_eq!(claim().await[0].hold.id, hold.id);
}

pub(super) async fn a_rate_that_changes_keeps_what_was_taken(h: &Harness) {
    let queue = h.queue();
    h.push_all(h.jobs(&queue, 9)).await;
    assert_eq!(given(h, &queue).await.jobs.len(), 3);
    let more = h.store.claim(ask(h, &queue, Rate::per_minute(5))).await.expect("answers");
    assert_eq!(more.jobs.len(), 2);
    assert_eq!(given(h, &queue).await.jobs.len(), 0);
    let none = h.store.claim(ask(h, &queue, Rate::per_second(0))).await;
    assert!(none.expect_err("no rate").to_string().contains("choose from 1 to"));
}
