//! Jobs whose worker was lost, and jobs that take their process down (law 9).

use super::harness::{Harness, done, failed, killed};
use crate::{
    job::{Finished, NewJob, Outcome},
    limits,
    name::{QueueName, WorkerName},
    policy::Policy,
    state::State,
    store::{Reap, Reaped, Suspects},
};

/// Claims and starts `count`, and dies.
async fn die_with(h: &Harness, queue: &QueueName, count: usize) -> Reaped {
    let ask = h.ask(queue, count);
    let worker: WorkerName = ask.worker.clone();
    let claimed = h.store.claim(ask).await.expect("answers").jobs;
    assert_eq!(claimed.len(), count);
    let holds = claimed.iter().map(|it| it.hold).collect();
    h.store.start(holds).await.expect("answers");
    h.store.reap(Reap::Dead(worker)).await.expect("answers")
}

pub(super) async fn what_ran_when_its_worker_died_waits_for_a_process_of_its_own(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    let reaped = die_with(h, &queue, 1).await;
    assert_eq!((reaped.unstarted, reaped.suspects), (0, 1));
    let mut ask = h.ask(&queue, 5);
    ask.suspects = Suspects::None;
    assert_eq!(h.store.claim(ask).await.expect("answers").jobs, [], "not beside others");
    h.push(&h.job(&queue)).await;
    let mut ask = h.ask(&queue, 5);
    ask.suspects = Suspects::Only;
    let alone = h.store.claim(ask).await.expect("answers").jobs;
    assert_eq!(alone.iter().map(|it| it.hold.id).collect::<Vec<_>>(), [job.id], "it alone");
    h.finish(alone[0].hold, Outcome::Released).await;
    let figures = h.figures(&queue).await;
    assert_eq!((figures.waiting, figures.suspects), (2, 1));
    let claimed = h.claim_one(&queue).await;
    assert!(claimed.suspect);
    assert_eq!(h.details(job.id).await.history[0].step, "lapse");
}

pub(super) async fn an_innocent_suspect_gets_its_attempt_back(h: &Harness) {
    let queue = h.queue();
    let policy = Policy { tries: 1, ..Policy::DEFAULT };
    let job = NewJob { policy, ..h.job(&queue) };
    h.push(&job).await;
    for _ in 0..3 {
        die_with(h, &queue, 1).await;
    }
    assert_eq!(h.details(job.id).await.job.attempt, 3, "spent until it shows its innocence");
    let alone = h.run_one(&queue).await;
    assert_eq!((alone.attempt, alone.suspect), (1, true), "its only try");
    assert_eq!(h.finish(alone.hold, failed("its own")).await, Finished::Now(State::Failed));
    let details = h.details(job.id).await;
    assert_eq!((details.job.attempt, details.job.suspect), (1, false));
}

/// One of fifty-one jobs that run together kills the process each time it runs.
pub(super) async fn a_killer_fails_at_its_own_limit_and_its_neighbours_do_not(h: &Harness) {
    let queue = h.queue();
    let policy = Policy { max_kills: 2, tries: 1, ..Policy::DEFAULT };
    let jobs = h.jobs(&queue, 51).into_iter().map(|job| NewJob { policy: policy.clone(), ..job });
    let jobs: Vec<_> = jobs.collect();
    let killer = jobs[17].id;
    h.push_all(jobs.clone()).await;
    assert_eq!(die_with(h, &queue, 51).await.suspects, 51);
    let mut runs_of_killer = 0;
    while let Some(claimed) = h.claim(&queue, 1).await.pop() {
        assert!(claimed.suspect);
        assert_eq!(claimed.attempt, 1, "no death cost it its try");
        h.start(claimed.hold).await;
        let kills = claimed.hold.id == killer;
        runs_of_killer += u32::from(kills);
        h.finish(claimed.hold, if kills { killed() } else { done() }).await;
    }
    assert_eq!(runs_of_killer, 2);
    for job in &jobs {
        let shown = h.details(job.id).await.job;
        let expected = if job.id == killer { State::Failed } else { State::Done };
        assert_eq!(shown.state, expected);
        assert!(job.id == killer || shown.attempt == 1, "{shown:?}");
    }
    let shown = h.details(killer).await.job;
    assert_eq!((shown.kills, shown.reason.as_deref()), (2, Some("signal 9")));
    assert_eq!(h.figures(&queue).await.done, 50);
}

/// A job that takes down even the parent of its process would go round for ever.
pub(super) async fn what_is_lost_again_and_again_fails_in_the_end(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    for _ in 1..limits::LAPSES {
        assert_eq!(die_with(h, &queue, 1).await.suspects, 1);
    }
    assert_eq!(die_with(h, &queue, 1).await.ended, 1);
    let shown = h.details(job.id).await.job;
    assert_eq!(shown.state, State::Failed);
    assert!(shown.reason.expect("a reason").contains("16th time"));
}
