//! Marks of schedules: each instant is fired once (J6).

use futures_util::future::join_all;

use super::harness::Harness;
use crate::{
    name::{QueueName, ScheduleName},
    store::{Fire, Fired, Mark},
};

const NOON: u64 = 1_760_000_400_000;
const HOUR: u64 = 3_600_000;

fn nightly() -> ScheduleName {
    ScheduleName::new("nightly").expect("a name")
}

fn fire(h: &Harness, queue: &QueueName, (from, to): (Option<u64>, u64), jobs: usize) -> Fire {
    Fire {
        queue: queue.clone(),
        schedule: nightly(),
        expected_ms: from,
        mark_ms: to,
        jobs: h.jobs(queue, jobs),
    }
}

async fn marks(h: &Harness, queue: &QueueName) -> Vec<Mark> {
    h.store.marks(queue.clone()).await.expect("answers")
}

pub(super) async fn a_new_schedule_gets_its_mark_and_fires_from_there(h: &Harness) {
    let queue = h.queue();
    assert_eq!(marks(h, &queue).await, []);
    let begun = h.store.fire(fire(h, &queue, (None, NOON), 0)).await;
    assert_eq!(begun, Ok(Fired::Now(vec![])));
    let fired = h.store.fire(fire(h, &queue, (Some(NOON), NOON + HOUR), 2)).await;
    let Ok(Fired::Now(pushed)) = fired else { panic!("not fired: {fired:?}") };
    assert_eq!((pushed.len(), h.figures(&queue).await.waiting), (2, 2));
    // Left out: the mark moves alone.
    h.store.fire(fire(h, &queue, (Some(NOON + HOUR), NOON + 2 * HOUR), 0)).await.expect("fired");
    let mark = Mark { schedule: nightly(), mark_ms: NOON + 2 * HOUR, fired_ms: Some(NOON + HOUR) };
    assert_eq!(marks(h, &queue).await, [mark]);
}

pub(super) async fn of_all_who_fire_the_same_instant_one_does(h: &Harness) {
    let queue = h.queue();
    h.store.fire(fire(h, &queue, (None, NOON), 0)).await.expect("fired");
    let all = (0..8).map(|_| h.store.fire(fire(h, &queue, (Some(NOON), NOON + HOUR), 1)));
    let all = join_all(all).await;
    let moved = Ok(Fired::Moved { mark_ms: Some(NOON + HOUR) });
    assert_eq!(all.iter().filter(|it| **it == moved).count(), 7);
    assert_eq!(h.figures(&queue).await.waiting, 1);
    let late = h.store.fire(fire(h, &queue, (None, NOON), 1)).await;
    assert_eq!(late, moved, "whoever takes it for new");
}

pub(super) async fn a_full_queue_leaves_the_mark_where_it_is(h: &Harness) {
    let queue = h.queue();
    h.store.fire(fire(h, &queue, (None, NOON), 0)).await.expect("fired");
    h.store.limit_queue(queue.clone(), 1).await.expect("answers");
    let full = h.store.fire(fire(h, &queue, (Some(NOON), NOON + HOUR), 2)).await;
    assert!(full.expect_err("full").to_string().contains("1 are its limit"));
    assert_eq!((marks(h, &queue).await[0].mark_ms, h.figures(&queue).await.waiting), (NOON, 0));
    let fits = h.store.fire(fire(h, &queue, (Some(NOON), NOON + HOUR), 1)).await;
    assert!(matches!(fits, Ok(Fired::Now(_))), "{fits:?}");
}

pub(super) async fn a_schedule_is_forgotten_and_its_jobs_stay_on_its_queue(h: &Harness) {
    let queue = h.queue();
    h.store.fire(fire(h, &queue, (None, NOON), 0)).await.expect("fired");
    let mut elsewhere = fire(h, &queue, (Some(NOON), NOON + HOUR), 1);
    elsewhere.jobs[0].queue = h.queue();
    let refused = h.store.fire(elsewhere).await.expect_err("elsewhere").to_string();
    assert!(refused.contains("the schedule nightly fires on"), "{refused}");
    let forget = || h.store.forget_schedule(queue.clone(), nightly());
    assert_eq!(forget().await, Ok(true));
    assert_eq!(forget().await, Ok(false));
    assert_eq!(marks(h, &queue).await, []);
}
