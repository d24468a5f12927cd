//! What became of jobs over time (J10).

use std::time::Duration;

use super::harness::{Harness, done, failed, killed, kind, retry};
use crate::{
    job::{Finish, NewJob, Outcome},
    limits,
    name::{Hold, QueueName},
    store::{KindTallies, Period, Tallies},
    tally::{Measured, Tally},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn tallies(h: &Harness, queue: &QueueName, back: Duration, step: Duration) -> Tallies {
    let period = Period { queue: queue.clone(), back, step };
    h.store.tallies(period).await.expect("answers")
}

/// Of the one kind there is, in the last hour.
async fn of_mail(h: &Harness, queue: &QueueName) -> KindTallies {
    let kinds = tallies(h, queue, HOUR, MINUTE).await.kinds;
    let [of_mail] = &kinds[..] else { panic!("not one kind: {kinds:?}") };
    assert_eq!(of_mail.kind, Some(kind("mail")));
    of_mail.clone()
}

fn counts(tally: &Tally) -> [u64; 5] {
    [tally.done, tally.failed, tally.cancelled, tally.retried, tally.killed]
}

pub(super) async fn every_end_of_an_attempt_is_counted_once(h: &Harness) {
    let queue = h.queue();
    h.push_all(h.jobs(&queue, 7)).await;
    let holds: Vec<Hold> = h.run(&queue, 6).await.iter().map(|job| job.hold).collect();
    h.finish(holds[0], done()).await;
    h.finish(holds[0], done()).await;
    h.finish(holds[1], failed("no")).await;
    h.finish(holds[2], retry(HOUR)).await;
    h.finish(holds[3], killed()).await;
    h.finish(holds[4], Outcome::Cancelled).await;
    h.finish(holds[5], Outcome::Released).await;
    let total = of_mail(h, &queue).await.total;
    assert_eq!(counts(&total), [1, 1, 1, 1, 1]);
    assert_eq!((total.waited_ms.count(), total.ended()), (6, 3));
    assert_eq!(total.success_rate(), Some(0.5));
    // What never ran is counted as well.
    let last = h.claim(&queue, 2).await.pop().expect("two wait").hold;
    h.store.cancel(vec![last.id]).await.expect("answers");
    assert_eq!(of_mail(h, &queue).await.total.cancelled, 2);
}

pub(super) async fn waiting_running_and_memory_have_percentiles(h: &Harness) {
    let queue = h.queue();
    for waited_ms in [0, 10, 15] {
        h.push(&h.job(&queue)).await;
        h.pass(Duration::from_millis(waited_ms));
        let hold = h.run_one(&queue).await.hold;
        let run = Some(Duration::from_millis(waited_ms * 10));
        let measured = Measured { run, peak_bytes: Some(64 << 20) };
        let finish = Finish { measured, ..Finish::new(hold, done()) };
        h.store.finish(vec![finish]).await.expect("answers");
    }
    let total = of_mail(h, &queue).await.total;
    let waited = |percent| total.waited_ms.percentile(percent);
    assert_eq!((waited(50), waited(99)), (Some(10), Some(15)));
    let ran = total.ran_ms.percentile(95).expect("they ran");
    assert!((150..=150 + 150 / 8).contains(&ran), "{ran}");
    let peak = total.peak_bytes.percentile(95).expect("they were measured");
    assert!((64 << 20..=72 << 20).contains(&peak), "{peak}");
}

pub(super) async fn minutes_become_hours_and_hours_are_forgotten(h: &Harness) {
    let queue = h.queue();
    for jobs in [2, 3] {
        h.push_all(h.jobs(&queue, jobs)).await;
        for job in h.run(&queue, jobs).await {
            h.finish(job.hold, done()).await;
        }
        h.pass(MINUTE);
    }
    let points = of_mail(h, &queue).await.points;
    assert_eq!(points.iter().map(|it| it.tally.done).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(points[1].from_ms - points[0].from_ms, 60_000);
    h.pass(limits::MINUTES_KEPT + HOUR * 2);
    h.tend().await;
    assert_eq!(tallies(h, &queue, limits::MINUTES_KEPT, MINUTE).await.kinds, []);
    let by_day = tallies(h, &queue, HOUR * 48, HOUR * 24).await.kinds;
    assert_eq!((by_day[0].total.done, by_day[0].total.waited_ms.count()), (5, 5));
    let hours = tallies(h, &queue, HOUR * 48, HOUR).await.kinds[0].points.len();
    assert!((1..=2).contains(&hours), "{hours} of an hour, or of two where a new one began");
    h.pass(limits::HOURS_KEPT);
    h.tend().await;
    assert_eq!(tallies(h, &queue, limits::HOURS_KEPT, HOUR).await.kinds, []);
}

pub(super) async fn kinds_above_the_limit_are_counted_together(h: &Harness) {
    let queue = h.queue();
    let most = limits::TALLIED_KINDS as usize;
    let named = |(at, job)| NewJob { kind: kind(&format!("kind{at:03}")), ..job };
    let jobs = h.jobs(&queue, most + 2).into_iter().enumerate().map(named);
    h.push_all(jobs.collect()).await;
    for job in h.run(&queue, most + 2).await {
        h.finish(job.hold, done()).await;
    }
    let kinds = tallies(h, &queue, HOUR, MINUTE).await.kinds;
    assert_eq!(kinds.len(), most + 1);
    assert_eq!((&kinds[0].kind, kinds[0].total.done), (&Some(kind("kind000")), 1));
    let others = kinds.last().expect("there are some");
    assert_eq!((&others.kind, others.total.done), (&None, 2));
}

pub(super) async fn the_oldest_that_waits_is_shown_and_odd_steps_are_refused(h: &Harness) {
    let queue = h.queue();
    h.push(&h.job(&queue)).await;
    h.pass(MINUTE);
    let waits = tallies(h, &queue, HOUR, MINUTE).await.oldest_waiting.expect("one waits");
    assert!(waits >= MINUTE, "{waits:?}");
    let odd = Period { queue, back: HOUR, step: Duration::from_secs(7) };
    let refused = h.store.tallies(odd).await.expect_err("odd").to_string();
    assert!(refused.contains("choose whole minutes"), "{refused}");
}
