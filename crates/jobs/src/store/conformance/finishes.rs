//! How attempts end.

use std::time::Duration;

use samovar_memory::Class;

use super::harness::{Harness, done, failed, kind, retry};
use crate::{
    job::{Finish, Finished, Flown, Held, NewJob, Outcome, Progress, Pushed, Record},
    limits,
    policy::Policy,
    state::State,
};

const DELAY: Duration = Duration::from_secs(60);

pub(super) async fn done_keeps_the_result_and_pushes_what_follows(h: &Harness) {
    let (queue, other) = (h.queue(), h.queue());
    let job = h.job(&queue);
    h.push(&job).await;
    let hold = h.run_one(&queue).await.hold;
    let follow_ups = vec![h.job(&queue), h.job(&other)];
    let ids = [follow_ups[0].id, follow_ups[1].id];
    let outcome = Outcome::Done { result: Some(b"42".to_vec()), follow_ups };
    assert_eq!(h.finish(hold, outcome).await, Finished::Now(State::Done));
    assert_eq!(h.details(job.id).await.result, Some(b"42".to_vec()));
    assert_eq!(h.claim_one(&queue).await.hold.id, ids[0]);
    assert_eq!(h.claim_one(&other).await.hold.id, ids[1]);
}

/// The answer got lost, and the worker asks again.
pub(super) async fn a_finish_counts_once(h: &Harness) {
    let queue = h.queue();
    h.push(&h.job(&queue)).await;
    let hold = h.run_one(&queue).await.hold;
    let outcome = || Outcome::Done { result: None, follow_ups: vec![h.job(&queue)] };
    let twice = [outcome(), outcome()].map(|outcome| Finish::new(hold, outcome)).to_vec();
    let finished = h.store.finish(twice).await.expect("answers");
    assert_eq!(finished, [Finished::Now(State::Done), Finished::Zombie]);
    assert_eq!(h.finish(hold, outcome()).await, Finished::Zombie);
    assert_eq!(h.figures(&queue).await.waiting, 1);
}

pub(super) async fn a_retry_waits_its_delay_and_spends_its_attempt(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let hold = h.run_one(&queue).await.hold;
    assert_eq!(h.finish(hold, retry(DELAY)).await, Finished::Now(State::Scheduled));
    assert_eq!(h.claim(&queue, 1).await, []);
    h.pass(DELAY);
    let again = h.run_one(&queue).await;
    assert_eq!((again.attempt, again.exceptions), (2, 1));
    let later = Outcome::Retry { after: DELAY, reason: "not yet".to_owned(), exception: false };
    h.finish(again.hold, later).await;
    h.pass(DELAY);
    let third = h.run_one(&queue).await;
    assert_eq!((third.attempt, third.exceptions), (3, 1));
    h.finish(third.hold, done()).await;
    let history = h.details(job.id).await.history;
    let reasons: Vec<_> = history.iter().map(|it| (&*it.step, &*it.reason)).collect();
    assert_eq!(reasons, [("retry", "no connection"), ("retry", "not yet")]);
}

pub(super) async fn a_release_gives_the_attempt_back_and_keeps_the_place(h: &Harness) {
    let queue = h.queue();
    let jobs = h.jobs(&queue, 2);
    h.push_all(jobs.clone()).await;
    for started in [false, true] {
        let hold = h.claim_one(&queue).await.hold;
        if started {
            h.start(hold).await;
        }
        h.pass(Duration::from_millis(10));
        assert_eq!(h.finish(hold, Outcome::Released).await, Finished::Now(State::Waiting));
        assert_eq!(h.start(hold).await, Held::Lost);
    }
    let first = h.claim_one(&queue).await;
    assert_eq!((first.hold.id, first.attempt), (jobs[0].id, 1));
}

pub(super) async fn a_missing_subject_deletes_or_fails(h: &Harness) {
    let queue = h.queue();
    let policy = Policy { delete_when_missing: true, ..Policy::DEFAULT };
    let (kept, deleted) = (h.job(&queue), NewJob { policy, ..h.job(&queue) });
    h.push_all(vec![kept.clone(), deleted.clone()]).await;
    let holds: Vec<_> = h.run(&queue, 2).await.into_iter().map(|it| it.hold).collect();
    assert_eq!(h.finish(holds[0], Outcome::Missing).await, Finished::Now(State::Failed));
    assert_eq!(h.finish(holds[1], Outcome::Missing).await, Finished::Deleted);
    let reason = h.details(kept.id).await.job.reason;
    assert_eq!(reason.as_deref(), Some("what it was about is gone"));
    assert_eq!(h.store.show(deleted.id).await, Ok(None));
    let figures = h.figures(&queue).await;
    assert_eq!((figures.running, figures.done, figures.failed), (0, 0, 1));
}

pub(super) async fn a_zombie_among_others_does_not_touch_them(h: &Harness) {
    let queue = h.queue();
    h.push_all(h.jobs(&queue, 3)).await;
    let holds: Vec<_> = h.run(&queue, 3).await.into_iter().map(|it| it.hold).collect();
    h.finish(holds[1], done()).await;
    let finishes = holds.iter().map(|hold| Finish::new(*hold, done()));
    let finished = h.store.finish(finishes.collect()).await.expect("answers");
    let done = Finished::Now(State::Done);
    assert_eq!(finished, [done, Finished::Zombie, done]);
}

pub(super) async fn progress_and_checkpoints_are_kept_for_the_next_attempt(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let hold = h.run_one(&queue).await.hold;
    let progress = Progress { done: 3, of: 10, note: "orders".to_owned() };
    assert_eq!(h.store.progress(hold, progress.clone()).await, Ok(Held::Yes));
    for cursor in [b"row 1", b"row 3"] {
        assert_eq!(h.store.checkpoint(hold, cursor.to_vec()).await, Ok(Held::Yes));
    }
    assert_eq!(h.details(job.id).await.progress, Some(progress));
    h.finish(hold, retry(DELAY)).await;
    h.pass(DELAY);
    assert_eq!(h.claim_one(&queue).await.checkpoint, Some(b"row 3".to_vec()));
}

pub(super) async fn a_result_is_recorded_once(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let once = |key: &str| h.store.once(job.id, key.to_owned());
    assert_eq!(once("charge").await, Ok(None));
    let hold = h.run_one(&queue).await.hold;
    for value in [b"first", b"other"] {
        let recorded = h.store.record_once(hold, "charge".to_owned(), value.to_vec()).await;
        assert_eq!(recorded, Ok(Held::Yes));
    }
    h.finish(hold, retry(DELAY)).await;
    assert_eq!(once("charge").await, Ok(Some(b"first".to_vec())));
    assert_eq!(once("mail").await, Ok(None));
}

pub(super) async fn a_long_history_keeps_its_first_and_its_last(h: &Harness) {
    let queue = h.queue();
    let job = NewJob { kind: kind("patient"), ..h.job(&queue) };
    h.push(&job).await;
    let attempts = limits::HISTORY + 20;
    for number in 0..attempts {
        let hold = h.run_one(&queue).await.hold;
        let outcome = Outcome::Retry {
            after: Duration::ZERO,
            reason: format!("number {number}"),
            exception: false,
        };
        assert_eq!(h.finish(hold, outcome).await, Finished::Now(State::Scheduled));
    }
    h.end_one(&queue, failed(&"x".repeat(limits::REASON_BYTES * 2))).await;
    let details = h.details(job.id).await;
    let history = details.history;
    assert_eq!(history.len(), limits::HISTORY);
    assert_eq!(history[0].reason, "number 0");
    let last = &history[history.len() - 2].reason;
    assert_eq!(*last, format!("number {}", attempts - 1));
    assert_eq!(details.job.reason.expect("failed").len(), limits::REASON_BYTES);
}

/// Its attempt is not spent: what it needs is found out.
pub(super) async fn a_job_that_climbs_is_isolated_from_then_on(harness: &Harness) {
    let queue = harness.queue();
    let job = harness.job(&queue);
    harness.push(&job).await;
    let hold = harness.run_one(&queue).await.hold;
    let climb = || Outcome::Isolated { reason: "it holds 300 MB".to_owned(), class: Class::Mb512 };
    assert_eq!(harness.finish(hold, climb()).await, Finished::Now(State::Waiting));
    assert_eq!(harness.finish(hold, climb()).await, Finished::Zombie);
    let claimed = harness.claim_one(&queue).await;
    assert!(claimed.policy.isolated && !claimed.suspect);
    assert_eq!(claimed.policy.class, Class::Mb512);
    assert_eq!(claimed.attempt, 1);
    assert_eq!(harness.finish(claimed.hold, climb()).await, Finished::Zombie, "it does not run");
    let history = harness.details(job.id).await.history;
    assert_eq!(
        (history[0].step.as_str(), history[0].reason.as_str()),
        ("climb", "it holds 300 MB")
    );
    assert_eq!(harness.push(&job).await, Pushed::AlreadyThere(job.id), "it is still that job");
}

pub(super) async fn a_record_is_kept_with_its_attempt(harness: &Harness) {
    let queue = harness.queue();
    harness.push_all(harness.jobs(&queue, 2)).await;
    let record = Record {
        notes: vec!["chunks of 50".to_owned()],
        flight: vec![Flown { before_ms: 10, bytes: 7 }],
    };
    for outcome in [done(), failed("no rows")] {
        let hold = harness.run_one(&queue).await.hold;
        let finish = Finish { record: record.clone(), ..Finish::new(hold, outcome) };
        harness.store.finish(vec![finish]).await.expect("answers");
        let details = harness.details(hold.id).await;
        assert_eq!(details.history[0].record, record);
        assert_eq!(details.job.reason.is_some(), details.job.state == State::Failed);
    }
}
