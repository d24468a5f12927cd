//! Failed jobs, figures, and what people do.

use std::time::Duration;

use super::harness::{Harness, done, failed, kind, retry};
use crate::{
    job::{Cancelled, Finish, Finished, NewJob, Record},
    name::{JobId, QueueName, Tenant},
    policy::Policy,
    state::State,
    store::{BatchFilter, Count, Filter, List, Revived},
};

fn of(queue: &QueueName) -> Filter {
    Filter { queue: Some(queue.clone()), ..Filter::default() }
}

/// One of the kind `other`, one of the tenant acme, one that says something else.
async fn three_failures(h: &Harness, queue: &QueueName) -> [JobId; 3] {
    let mut jobs = h.jobs(queue, 3);
    jobs[0].kind = kind("other");
    jobs[1].tenant = Tenant::new("acme").expect("a name");
    h.push_all(jobs).await;
    let mut ids = Vec::new();
    for reason in ["no connection", "no connection", "bad input"] {
        ids.push(h.end_one(queue, failed(reason)).await);
        h.pass(Duration::from_millis(1));
    }
    [ids[0], ids[1], ids[2]]
}

async fn listed(h: &Harness, filter: Filter, rows: usize) -> Vec<JobId> {
    in_list(h, List::Failed, filter, rows).await
}

/// Page by page.
async fn in_list(h: &Harness, list: List, filter: Filter, rows: usize) -> Vec<JobId> {
    let (mut after, mut ids) = (None, Vec::new());
    loop {
        let page = h.store.list(list, filter.clone(), after, rows).await.expect("answers");
        assert!(page.jobs.len() <= rows);
        ids.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

pub(super) async fn failed_jobs_are_listed_last_first_and_filtered(h: &Harness) {
    let queue = h.queue();
    let [first, second, third] = three_failures(h, &queue).await;
    for rows in [1, 2, 100] {
        assert_eq!(listed(h, of(&queue), rows).await, [third, second, first]);
    }
    let by_kind = Filter { kind: Some(kind("other")), ..of(&queue) };
    assert_eq!(listed(h, by_kind, 10).await, [first]);
    let acme = || vec![Tenant::new("acme").expect("a name")];
    let by_tenant = Filter { tenants: acme(), ..of(&queue) };
    assert_eq!(listed(h, by_tenant, 1).await, [second]);
    let by_reason = Filter { reason: Some("connection".to_owned()), ..of(&queue) };
    assert_eq!(listed(h, by_reason, 10).await, [second, first]);
    let either = [acme(), vec![Tenant::system()]].concat();
    let by_tenants = Filter { tenants: either, ..of(&queue) };
    assert_eq!(listed(h, by_tenants, 1).await, [third, second, first]);
    assert_eq!(listed(h, of(&h.queue()), 10).await, []);
}

/// An end that was good may leave a record, which says nothing of what went wrong before it. On Redis the
/// job was then not found by its reason.
pub(super) async fn a_reason_is_found_behind_an_end_that_was_good(h: &Harness) {
    let queue = h.queue();
    let jobs = h.jobs(&queue, 2);
    h.push(&jobs[0]).await;
    h.end_one(&queue, retry(Duration::ZERO)).await;
    h.push(&jobs[1]).await;
    let record = Record { notes: vec!["chunks of 50".to_owned()], ..Record::default() };
    for hold in h.run(&queue, 2).await.into_iter().map(|it| it.hold) {
        let finish = Finish { record: record.clone(), ..Finish::new(hold, done()) };
        let finished = h.store.finish(vec![finish]).await.expect("answers");
        assert_eq!(finished, [Finished::Now(State::Done)]);
    }
    let by_reason = Filter { reason: Some("connection".to_owned()), ..of(&queue) };
    for list in [List::Ended, List::of(State::Done)] {
        assert_eq!(in_list(h, list, by_reason.clone(), 10).await, [jobs[0].id]);
    }
}

pub(super) async fn counts_are_honest(h: &Harness) {
    let queue = h.queue();
    three_failures(h, &queue).await;
    let count = |filter| h.store.count_failed(filter);
    assert_eq!(count(of(&queue)).await, Ok(Count::Exactly(3)));
    let by_kind = Filter { kind: Some(kind("other")), ..of(&queue) };
    assert_eq!(count(by_kind).await, Ok(Count::Exactly(1)));
    let by_reason = Filter { reason: Some("bad".to_owned()), ..of(&queue) };
    assert_eq!(count(by_reason).await, Ok(Count::Exactly(1)));
}

pub(super) async fn a_revived_job_has_all_its_attempts(h: &Harness) {
    let queue = h.queue();
    let job = h.job(&queue);
    h.push(&job).await;
    h.end_one(&queue, retry(Duration::ZERO)).await;
    h.end_one(&queue, failed("broken")).await;
    let unknown = h.id();
    let revived = h.store.revive(vec![job.id, job.id, unknown]).await;
    assert_eq!(revived, Ok(vec![Revived::Waiting, Revived::NotFailed, Revived::NotFailed]));
    let claimed = h.claim_one(&queue).await;
    assert_eq!((claimed.hold.id, claimed.attempt, claimed.exceptions), (job.id, 1, 0));
    assert_eq!(h.details(job.id).await.history.len(), 2, "what was stays on record");
}

pub(super) async fn a_revived_job_does_not_take_a_key_from_another(h: &Harness) {
    let queue = h.queue();
    let keyed = || NewJob { unique_key: Some("report".to_owned()), ..h.job(&queue) };
    let (old, new) = (keyed(), keyed());
    h.push(&old).await;
    h.end_one(&queue, failed("broken")).await;
    h.push(&new).await;
    assert_eq!(h.store.revive(vec![old.id]).await, Ok(vec![Revived::KeyTaken]));
    let figures = h.figures(&queue).await;
    assert_eq!((figures.waiting, figures.failed), (1, 1));
    h.end_one(&queue, done()).await;
    assert_eq!(h.store.revive(vec![old.id]).await, Ok(vec![Revived::Waiting]));
}

pub(super) async fn all_that_failed_and_matches_is_revived_page_by_page(h: &Harness) {
    let queue = h.queue();
    let [_, _, third] = three_failures(h, &queue).await;
    let filter = Filter { reason: Some("no connection".to_owned()), ..of(&queue) };
    let (mut after, mut revived) = (None, 0);
    loop {
        let page = h.store.revive_failed(filter.clone(), after).await.expect("answers");
        revived += page.waiting;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(revived, 2);
    assert_eq!(listed(h, of(&queue), 10).await, [third]);
}

pub(super) async fn forget_flush_and_prune_remove_what_they_say(h: &Harness) {
    let queue = h.queue();
    let ids = three_failures(h, &queue).await;
    assert_eq!(h.store.forget(ids[0]).await, Ok(true));
    assert_eq!(h.store.forget(ids[0]).await, Ok(false));
    assert_eq!(h.store.show(ids[0]).await, Ok(None));
    let filter = Filter { reason: Some("bad".to_owned()), ..of(&queue) };
    assert_eq!(h.store.flush(filter, None).await, Ok((1, None)));
    assert_eq!(listed(h, of(&queue), 10).await, [ids[1]]);

    let (old, young, living) = (h.job(&queue), h.job(&queue), h.job(&queue));
    h.push_all(vec![old.clone(), young.clone(), living.clone()]).await;
    assert_eq!(h.store.forget(living.id).await, Ok(false), "it has not failed");
    h.end_one(&queue, done()).await;
    h.pass(Duration::from_secs(3600));
    h.end_one(&queue, done()).await;
    while h.store.prune(Duration::from_secs(60)).await.expect("answers").more {}
    assert_eq!(h.store.show(old.id).await, Ok(None));
    assert_eq!(h.store.show(ids[1]).await, Ok(None));
    assert_eq!(h.state(young.id).await, State::Done);
    assert_eq!(h.state(living.id).await, State::Waiting);
    let figures = h.figures(&queue).await;
    assert_eq!((figures.waiting, figures.done, figures.failed), (1, 1, 0));
}

pub(super) async fn cancel_says_what_it_met(h: &Harness) {
    let queue = h.queue();
    let mut jobs = h.jobs(&queue, 4);
    jobs[3].delay = Duration::from_secs(60);
    h.push_all(jobs.clone()).await;
    h.run_one(&queue).await;
    let unstarted = h.claim_one(&queue).await.hold;
    let mut asked: Vec<_> = jobs.iter().map(|job| job.id).collect();
    asked.push(h.id());
    let met = h.store.cancel(asked.clone()).await.expect("answers");
    let at_once = Cancelled::AtOnce;
    assert_eq!(met, [Cancelled::Told, at_once, at_once, at_once, Cancelled::Unknown]);
    assert_eq!(h.start(unstarted).await, crate::job::Held::Lost, "it must not run");
    let again = h.store.cancel(asked).await.expect("answers");
    assert_eq!(again[2], Cancelled::Ended(State::Cancelled));
    h.pass(Duration::from_secs(60));
    assert_eq!(h.claim(&queue, 5).await, []);
}

pub(super) async fn figures_count_every_state(h: &Harness) {
    let queue = h.queue();
    let mut jobs = h.jobs(&queue, 7);
    jobs[6].delay = Duration::from_secs(60);
    jobs[1].policy = Policy { delete_when_missing: true, ..Policy::DEFAULT };
    h.push_all(jobs.clone()).await;
    h.end_one(&queue, done()).await;
    h.end_one(&queue, crate::job::Outcome::Missing).await;
    h.end_one(&queue, failed("broken")).await;
    h.run_one(&queue).await;
    h.claim_one(&queue).await;
    h.push_all(h.jobs(&queue, 1)).await;
    h.store.cancel(vec![jobs[5].id]).await.expect("answers");
    h.pass(Duration::from_secs(7));
    let figures = h.figures(&queue).await;
    let counts = [figures.scheduled, figures.waiting, figures.claimed, figures.running];
    assert_eq!(counts, [1, 1, 1, 1]);
    assert_eq!([figures.done, figures.failed, figures.cancelled], [1, 1, 1]);
    let waited = figures.oldest_waiting.expect("one waits") - Duration::from_secs(7);
    assert!(waited < h.margin(), "{waited:?} more");
    assert_eq!((figures.suspects, figures.paused), (0, false));
}

pub(super) async fn each_list_shows_its_jobs_in_its_order(h: &Harness) {
    let queue = h.queue();
    // Several kinds, so that what waits is in several lines, and some at the same moment.
    let mut jobs = h.jobs(&queue, 12);
    for (index, job) in jobs.iter_mut().enumerate() {
        job.kind = kind(["mail", "other", "third"][index % 3]);
        job.delay = Duration::from_secs(if index < 9 { 0 } else { 600 - 10 * index as u64 });
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    h.push_all(jobs[..6].to_vec()).await;
    h.pass(Duration::from_millis(5));
    h.push_all(jobs[6..].to_vec()).await;
    let held = [h.run_one(&queue).await.hold.id, h.claim_one(&queue).await.hold.id];
    assert_eq!(held, [ids[0], ids[1]]);
    h.end_one(&queue, done()).await;
    h.pass(Duration::from_millis(5));
    h.end_one(&queue, failed("broken")).await;
    h.pass(Duration::from_millis(5));
    h.store.cancel(vec![ids[8]]).await.expect("answers");
    for rows in [1, 2, 3, 100] {
        let list = async |list| in_list(h, list, of(&queue), rows).await;
        assert_eq!(list(List::Waiting).await, ids[4..8], "{rows}");
        assert_eq!(list(List::Scheduled).await, [ids[11], ids[10], ids[9]], "{rows}");
        assert_eq!(list(List::Held).await.len(), 2, "{rows}");
        assert_eq!(list(List::Failed).await, [ids[3]], "{rows}");
        assert_eq!(list(List::Ended).await, [ids[8], ids[3], ids[2]], "{rows}");
    }
    for (state, expected) in [
        (State::Running, ids[0]),
        (State::Claimed, ids[1]),
        (State::Done, ids[2]),
        (State::Failed, ids[3]),
        (State::Cancelled, ids[8]),
    ] {
        let filter = Filter { state: Some(state), ..of(&queue) };
        assert_eq!(in_list(h, List::of(state), filter, 1).await, [expected], "{state}");
    }
    let other = Filter { kind: Some(kind("other")), ..of(&queue) };
    assert_eq!(in_list(h, List::Waiting, other, 1).await, [ids[4], ids[7]]);
    let (cancelled, next) =
        h.store.cancel_page(List::Waiting, of(&queue), None).await.expect("answers");
    assert_eq!((cancelled, next), (4, None));
    assert_eq!(in_list(h, List::Waiting, of(&queue), 10).await, []);
}

pub(super) async fn batches_are_listed_and_with_them_their_jobs(h: &Harness) {
    let queue = h.queue();
    let mut pushed = Vec::new();
    for tenant in ["acme", "globex", "acme"] {
        let mut batch = h.batch(&queue, 1);
        batch.tenant = Tenant::new(tenant).expect("a name");
        h.store.push_batch(batch.clone()).await.expect("pushed");
        pushed.push(batch);
        h.pass(Duration::from_millis(5));
    }
    let filter = |finished| BatchFilter { finished, queue: Some(queue.clone()), tenants: vec![] };
    let listed = async |filter: BatchFilter| {
        let (mut after, mut ids) = (None, Vec::new());
        loop {
            let page = h.store.batches(filter.clone(), after, 1).await.expect("answers");
            ids.extend(page.batches.iter().map(|batch| batch.id));
            after = page.next;
            if after.is_none() {
                return ids;
            }
        }
    };
    let [first, second, third] = [pushed[0].id, pushed[1].id, pushed[2].id];
    assert_eq!(listed(filter(false)).await, [third, second, first]);
    let acme = vec![Tenant::new("acme").expect("a name")];
    assert_eq!(listed(BatchFilter { tenants: acme, ..filter(false) }).await, [third, first]);
    let of_second = Filter { batch: Some(second), ..of(&queue) };
    assert_eq!(in_list(h, List::Waiting, of_second, 1).await, [pushed[1].jobs[0].id]);
    h.end_one(&queue, done()).await;
    h.pass(Duration::from_millis(5));
    h.end_one(&queue, failed("broken")).await;
    assert_eq!(listed(filter(false)).await, [third]);
    assert_eq!(listed(filter(true)).await, [second, first]);
}
