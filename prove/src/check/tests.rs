//! A good history, and what the checker says when it is doctored.

use samovar_jobs::{BatchId, JobId, State};

use super::*;
use crate::{
    entry::{BatchOffer, Ends, Entry, Hits, Life, Line, Offer},
    fault::Kind,
    place::Level,
};

/// Its first attempt dies with its node, the second one is done.
const PLAIN: JobId = JobId::from_u64(101);
/// It leaves `CHILD` behind.
const PARENT: JobId = JobId::from_u64(102);
const CHILD: JobId = JobId::from_u64(103);
/// Both hold the same key, one after the other.
const FIRST: JobId = JobId::from_u64(104);
const SECOND: JobId = JobId::from_u64(105);
/// A batch that ends well.
const WELL: BatchId = BatchId::from_u64(110);
const MEMBER: JobId = JobId::from_u64(111);
const THEN: JobId = JobId::from_u64(112);
const CATCH: JobId = JobId::from_u64(113);
const FINALLY: JobId = JobId::from_u64(114);
/// A batch with a job that fails as it was meant to.
const BADLY: BatchId = BatchId::from_u64(120);
const HOPELESS: JobId = JobId::from_u64(121);
const NOT_THEN: JobId = JobId::from_u64(122);
const CAUGHT: JobId = JobId::from_u64(123);
const AT_LAST: JobId = JobId::from_u64(124);
/// Refused.
const REFUSED: JobId = JobId::from_u64(130);

struct Tale {
    lines: Vec<Line>,
    facts: Facts,
    now_us: u64,
}

impl Tale {
    fn good() -> Self {
        let mut tale = Self { lines: Vec::new(), facts: Facts::default(), now_us: 0 };
        tale.push(vec![offer(PLAIN, Ends::Well)], None);
        tale.begin(PLAIN, 1, 1);
        tale.fault(Kind::Kill, Hits::Life(1));
        tale.finish(PLAIN, 2, 2, State::Done);

        tale.push(vec![offer(PARENT, Ends::Well)], None);
        tale.begin(PARENT, 2, 1);
        tale.tell(2, Entry::Left { job: PARENT, token: 1, offer: offer(CHILD, Ends::Well) });
        tale.end(PARENT, 2, 1, State::Done);
        tale.finish(CHILD, 2, 1, State::Done);

        for job in [FIRST, SECOND] {
            tale.push(vec![Offer { unique: Some("key".into()), ..offer(job, Ends::Well) }], None);
            tale.finish(job, 2, 1, State::Done);
        }

        tale.push_batch(WELL, MEMBER, Ends::Well, [THEN, CATCH, FINALLY]);
        for job in [MEMBER, THEN, FINALLY] {
            tale.finish(job, 2, 1, State::Done);
        }
        tale.push_batch(BADLY, HOPELESS, Ends::Badly, [NOT_THEN, CAUGHT, AT_LAST]);
        tale.finish(HOPELESS, 2, 1, State::Failed);
        tale.finish(CAUGHT, 2, 1, State::Done);
        tale.finish(AT_LAST, 2, 1, State::Done);

        let jobs = vec![offer(REFUSED, Ends::Well)];
        tale.tell(2, Entry::Offered { push: 9, jobs, batch: None });
        tale.tell(2, Entry::Refused { push: 9, reason: "the queue is full".into() });
        tale
    }

    fn tell(&mut self, life: Life, entry: Entry) {
        self.now_us += 10;
        self.lines.push(Line { at_us: self.now_us, life, entry });
    }

    fn push(&mut self, jobs: Vec<Offer>, batch: Option<BatchOffer>) {
        let push = jobs[0].job.as_u64();
        self.tell(2, Entry::Offered { push, jobs, batch });
        self.tell(2, Entry::Acked { push, instead: Vec::new() });
    }

    fn push_batch(&mut self, batch: BatchId, job: JobId, ends: Ends, callbacks: [JobId; 3]) {
        let mut jobs = vec![Offer { batch: Some(batch), ..offer(job, ends) }];
        jobs.extend(callbacks.map(|job| offer(job, Ends::Well)));
        let [then, catch, finally] = callbacks;
        let offer = BatchOffer { batch, allow_failures: false, then, catch, finally };
        self.push(jobs, Some(offer));
        let failed = u64::from(ends == Ends::Badly);
        let fact = BatchFact {
            is_finished: true,
            is_cancelled: failed > 0,
            total: 1,
            pending: 0,
            failed,
            cancelled: 0,
        };
        self.facts.batches.insert(batch, fact);
    }

    fn fault(&mut self, kind: Kind, hits: Hits) {
        let (from_us, until_us) = (self.now_us + 1, self.now_us + 5);
        self.tell(0, Entry::Fault { kind, hits, from_us, until_us });
    }

    fn step(&mut self, step: &str, job: JobId, life: Life, token: u64, became: Option<&str>) {
        let became = became.map(str::to_owned);
        self.tell(life, Entry::Step { step: step.to_owned(), job, token, became });
    }

    fn begin(&mut self, job: JobId, life: Life, token: u64) {
        self.tell(life, Entry::Claimed { job, token, asked_us: self.now_us });
        self.step("started", job, life, token, None);
    }

    fn end(&mut self, job: JobId, life: Life, token: u64, state: State) {
        if state == State::Done {
            self.tell(life, Entry::Effect { job, token });
        }
        self.step("ran", job, life, token, None);
        self.step("reported", job, life, token, Some(state.name()));
        self.facts.jobs.insert(job, state);
        self.facts.total_jobs = self.facts.jobs.len() as u64;
    }

    fn finish(&mut self, job: JobId, life: Life, token: u64, state: State) {
        self.begin(job, life, token);
        self.end(job, life, token, state);
    }

    /// The store knows nothing of it.
    fn forget(&mut self, job: JobId) {
        self.facts.jobs.remove(&job);
        self.facts.total_jobs = self.facts.jobs.len() as u64;
    }

    fn batch(&mut self, batch: BatchId) -> &mut BatchFact {
        self.facts.batches.get_mut(&batch).expect("one of its own")
    }

    fn without(&mut self, is_meant: impl Fn(&Entry) -> bool) {
        let before = self.lines.len();
        self.lines.retain(|line| !is_meant(&line.entry));
        assert!(self.lines.len() < before, "there is nothing to leave out");
    }

    fn verdict(&self) -> Verdict {
        check(&History::of(&self.lines), &self.facts)
    }
}

fn offer(job: JobId, ends: Ends) -> Offer {
    Offer { job, ends, batch: None, unique: None }
}

/// The checker names this, once, and nothing else.
fn breaks(rule: Rule, id: u64, doctor: impl FnOnce(&mut Tale)) {
    let mut tale = Tale::good();
    doctor(&mut tale);
    let verdict = tale.verdict();
    let found: Vec<_> = verdict.broken.iter().map(|it| (it.rule, it.id)).collect();
    assert_eq!(found, [(rule, Some(id))], "{:?}", verdict.broken);
}

/// The same where it is about the store as a whole.
fn breaks_all(rule: Rule, doctor: impl FnOnce(&mut Tale)) {
    let mut tale = Tale::good();
    doctor(&mut tale);
    let verdict = tale.verdict();
    let found: Vec<_> = verdict.broken.iter().map(|it| (it.rule, it.id)).collect();
    assert_eq!(found, [(rule, None)], "{:?}", verdict.broken);
}

#[test]
fn a_good_history_breaks_no_rule() {
    let verdict = Tale::good().verdict();
    assert_eq!(verdict.broken, []);
    assert_eq!((verdict.acknowledged, verdict.batches), (6, 2));
    assert_eq!((verdict.repeated, verdict.in_flight), (1, 1));
}

#[test]
fn an_acknowledged_job_that_is_not_there_is_lost() {
    breaks(Rule::JobKept, 140, |tale| {
        tale.push(vec![offer(JobId::from_u64(140), Ends::Well)], None);
    });
}

#[test]
fn a_job_that_has_ended_is_still_there() {
    breaks(Rule::EndKept, FIRST.as_u64(), |tale| tale.forget(FIRST));
}

#[test]
fn a_job_whose_push_was_never_answered_may_be_there_or_not() {
    for is_there in [true, false] {
        let mut tale = Tale::good();
        tale.without(|it| matches!(it, Entry::Acked { push, .. } if *push == PLAIN.as_u64()));
        if !is_there {
            tale.forget(PLAIN);
        }
        assert_eq!(tale.verdict().broken, []);
    }
}

#[test]
fn an_acknowledged_batch_that_is_not_there_is_lost() {
    breaks(Rule::BatchKept, 140, |tale| {
        let callbacks = [141, 142, 143].map(JobId::from_u64);
        let (batch, job) = (BatchId::from_u64(140), JobId::from_u64(144));
        tale.push_batch(batch, job, Ends::Well, callbacks);
        tale.without(|it| matches!(it, Entry::Acked { push: 144, .. }));
        tale.tell(2, Entry::Acked { push: 144, instead: vec![(job, job)] });
        tale.facts.batches.remove(&batch);
    });
}

#[test]
fn a_batch_that_has_finished_is_still_there() {
    breaks(Rule::EndKept, WELL.as_u64(), |tale| {
        tale.facts.batches.remove(&WELL);
    });
}

#[test]
fn a_job_that_waits_for_ever_has_not_ended() {
    breaks(Rule::AllEnd, PLAIN.as_u64(), |tale| {
        tale.facts.jobs.insert(PLAIN, State::Waiting);
    });
}

#[test]
fn a_store_that_counts_open_jobs_is_not_quiet() {
    breaks_all(Rule::AllEnd, |tale| tale.facts.open_jobs = 1);
}

#[test]
fn a_job_that_should_end_well_must_not_fail() {
    breaks(Rule::RightEnd, PLAIN.as_u64(), |tale| {
        tale.facts.jobs.insert(PLAIN, State::Failed);
    });
}

#[test]
fn a_job_that_was_lost_too_often_may_fail_and_is_counted() {
    let given_up_after = |losses: u32| {
        let (mut tale, job) = (Tale::good(), JobId::from_u64(160));
        tale.push(vec![offer(job, Ends::Well)], None);
        for token in 1..=losses {
            tale.begin(job, 10 + token, token.into());
            tale.fault(Kind::Kill, Hits::Life(10 + token));
        }
        tale.facts.jobs.insert(job, State::Failed);
        tale.facts.total_jobs += 1;
        let verdict = tale.verdict();
        (verdict.given_up, verdict.count(Rule::RightEnd))
    };
    assert_eq!(given_up_after(limits::LAPSES), (1, 0));
    assert_eq!(given_up_after(limits::LAPSES - 1), (0, 1));
}

#[test]
fn only_a_cancelled_batch_cancels_its_jobs() {
    breaks(Rule::RightEnd, MEMBER.as_u64(), |tale| {
        tale.facts.jobs.insert(MEMBER, State::Cancelled);
        tale.batch(WELL).cancelled = 1;
        tale.forget(THEN);
    });
}

#[test]
fn a_job_is_not_done_without_its_effect() {
    breaks(Rule::NoEmptyEnd, PLAIN.as_u64(), |tale| {
        tale.without(|it| matches!(it, Entry::Effect { job: PLAIN, .. }));
    });
}

#[test]
fn what_was_refused_is_not_there() {
    breaks(Rule::NoStranger, REFUSED.as_u64(), |tale| {
        tale.finish(REFUSED, 2, 1, State::Done);
    });
}

#[test]
fn the_store_holds_nothing_that_nobody_pushed() {
    breaks_all(Rule::NoStranger, |tale| tale.facts.total_jobs += 1);
}

#[test]
fn a_batch_that_waits_for_jobs_that_have_ended_is_unfinished() {
    breaks(Rule::BatchFinishes, WELL.as_u64(), |tale| {
        tale.batch(WELL).is_finished = false;
        tale.batch(WELL).pending = 1;
        tale.forget(FINALLY);
    });
}

#[test]
fn the_counts_of_a_batch_are_those_of_its_jobs() {
    breaks(Rule::BatchFinishes, BADLY.as_u64(), |tale| tale.batch(BADLY).failed = 0);
}

#[test]
fn a_callback_that_was_called_for_is_there() {
    breaks(Rule::Callbacks, FINALLY.as_u64(), |tale| tale.forget(FINALLY));
}

#[test]
fn a_callback_that_nothing_called_for_is_not_there() {
    breaks(Rule::Callbacks, NOT_THEN.as_u64(), |tale| {
        tale.finish(NOT_THEN, 2, 1, State::Done);
    });
}

#[test]
fn a_callback_that_was_done_is_not_created_a_second_time() {
    breaks(Rule::NotAgain, THEN.as_u64(), |tale| tale.finish(THEN, 2, 2, State::Done));
}

#[test]
fn a_job_that_failed_for_good_does_not_run_again() {
    breaks(Rule::NotAgain, HOPELESS.as_u64(), |tale| {
        tale.finish(HOPELESS, 2, 2, State::Failed);
    });
}

#[test]
fn what_a_done_job_leaves_behind_is_there() {
    breaks(Rule::LeftOnce, PARENT.as_u64(), |tale| tale.forget(CHILD));
}

#[test]
fn what_two_attempts_leave_behind_comes_once() {
    breaks(Rule::LeftOnce, PARENT.as_u64(), |tale| {
        let twin = JobId::from_u64(199);
        tale.tell(2, Entry::Left { job: PARENT, token: 1, offer: offer(twin, Ends::Well) });
        tale.finish(twin, 2, 1, State::Done);
    });
}

#[test]
fn an_attempt_is_not_repeated_without_a_fault() {
    let mut tale = Tale::good();
    tale.without(|it| matches!(it, Entry::Fault { .. }));
    let verdict = tale.verdict();
    assert_eq!(verdict.broken[0].id, Some(PLAIN.as_u64()));
    // One repeated while none was in flight at a fault: the sum is wrong, too.
    assert!(verdict.broken.iter().all(|it| it.rule == Rule::Repeats), "{:?}", verdict.broken);
    assert_eq!((verdict.broken.len(), verdict.repeated, verdict.in_flight), (2, 1, 0));
}

#[test]
fn a_fault_of_another_node_is_no_reason_to_repeat_an_attempt() {
    let mut tale = Tale::good();
    for line in &mut tale.lines {
        if let Entry::Fault { hits, .. } = &mut line.entry {
            *hits = Hits::Life(7);
        }
    }
    assert!(tale.verdict().count(Rule::Repeats) > 0);
}

#[test]
fn a_fault_that_was_over_is_no_reason_to_repeat_an_attempt() {
    breaks(Rule::Repeats, PARENT.as_u64(), |tale| {
        tale.without(
            |it| matches!(it, Entry::Step { step, job: PARENT, .. } if step == "reported"),
        );
        tale.finish(PARENT, 3, 2, State::Done);
        // Enough in flight for the sum, none of them this one.
        tale.begin(JobId::from_u64(198), 4, 1);
        tale.fault(Kind::Kill, Hits::Life(4));
    });
}

/// A report told the store to retry, the next attempt was claimed, and then the server died before its
/// answer was out: the first attempt, told that it is a zombie, was taken for one that nothing had met.
#[test]
fn a_report_without_an_answer_is_in_flight_though_the_next_attempt_has_begun() {
    let (mut tale, job) = (Tale::good(), JobId::from_u64(170));
    tale.push(vec![offer(job, Ends::Well)], None);
    tale.begin(job, 2, 1);
    tale.step("ran", job, 2, 1, None);
    tale.begin(job, 3, 2);
    tale.fault(Kind::MasterKill, Hits::All);
    tale.step("reported", job, 2, 1, Some("zombie"));
    tale.end(job, 3, 2, State::Done);
    let verdict = tale.verdict();
    assert_eq!(verdict.broken, []);
    assert_eq!((verdict.repeated, verdict.in_flight), (2, 3));
}

#[test]
fn a_node_that_had_no_share_of_the_machine_may_repeat_and_is_counted() {
    let mut tale = Tale::good();
    for line in &mut tale.lines {
        if let Entry::Fault { .. } = line.entry {
            line.entry = Entry::Starved { ms: 1 };
            line.life = 1;
        }
    }
    let verdict = tale.verdict();
    assert_eq!(verdict.broken, []);
    assert_eq!((verdict.repeated, verdict.starved), (1, 1));
}

#[test]
fn an_attempt_that_was_fenced_off_must_not_count() {
    // A stopped node goes on after its job was given to another one.
    let told = |became: &str| {
        let (mut tale, job) = (Tale::good(), JobId::from_u64(150));
        tale.push(vec![offer(job, Ends::Well)], None);
        tale.begin(job, 2, 1);
        tale.fault(Kind::Stop, Hits::Life(2));
        tale.begin(job, 3, 2);
        tale.step("ran", job, 2, 1, None);
        tale.step("reported", job, 2, 1, Some(became));
        tale.end(job, 3, 2, State::Done);
        tale.verdict().broken
    };
    assert_eq!(told("zombie"), []);
    let broken = told("scheduled");
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].rule, Rule::Fence);
}

#[test]
fn a_token_is_given_once() {
    let mut tale = Tale::good();
    tale.begin(PLAIN, 3, 2);
    assert_eq!(tale.verdict().count(Rule::Fence), 1);
}

#[test]
fn a_key_is_held_until_its_job_has_run() {
    breaks(Rule::Unique, SECOND.as_u64(), |tale| {
        // The push of the second is acknowledged before the first has run.
        let ran = tale.lines.iter().position(
            |line| matches!(&line.entry, Entry::Step { step, job: FIRST, .. } if step == "ran"),
        );
        let ran_us = tale.lines[ran.expect("it ran")].at_us;
        for line in &mut tale.lines {
            if matches!(line.entry, Entry::Acked { push, .. } if push == SECOND.as_u64()) {
                line.at_us = ran_us - 1;
            }
        }
    });
}

#[test]
fn a_node_in_trouble_is_a_finding() {
    breaks_all(Rule::NoTrouble, |tale| {
        tale.tell(2, Entry::Trouble { reason: "it ended by itself".into() });
    });
}

#[test]
fn who_may_forget_must_keep_all_rules_but_those_about_memory() {
    for level in [Level::RedisFailover, Level::RedisNone] {
        assert!(!level.promises(Rule::JobKept) && !level.promises(Rule::NotAgain));
        assert!(level.promises(Rule::AllEnd) && level.promises(Rule::NoStranger));
        assert!(level.promises(Rule::BatchFinishes) && level.promises(Rule::Callbacks));
    }
    assert!(Level::RedisReplicated.promises(Rule::JobKept));
}
