//! Random operations on a store and on a plain list, which must agree after each of them.

mod home;
mod plain;
mod rules;

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use samovar_clock::Random;
use samovar_memory::Class;

use self::{
    home::Home,
    plain::{Job, Plain, hold, kind},
};
use super::{Claim, Fire, Fired, Reap, Renew, Store, Suspects};
use crate::{
    batch::{Callbacks, NewBatch},
    job::{Finish, NewJob, Outcome},
    name::{BatchId, BatchName, Hold, JobId, QueueName, ScheduleName, Tenant, WorkerName},
    policy::Policy,
    state::State,
};

const SEEDS: u64 = 12;
/// A look at everything costs a question per job there.
const SEEDS_ON_REDIS: u64 = 4;
const STEPS: usize = 600;
/// Steps between two looks at everything.
const LOOK: usize = 3;
const LEASE: Duration = Duration::from_secs(5);

struct World {
    random: Random,
    home: Home,
    store: Store,
    plain: Plain,
    queues: [QueueName; 2],
    workers: [WorkerName; 2],
    /// All that were ever given.
    holds: Vec<Hold>,
    pushed: Vec<NewJob>,
    batches: Vec<NewBatch>,
}

impl World {
    async fn new(seed: u64, home: Home) -> Self {
        let random = Random::seeded(seed);
        let mut world = Self {
            store: home.open().await,
            random,
            home,
            plain: Plain::default(),
            queues: ["a", "b"].map(|name| QueueName::new(name).expect("a name")),
            workers: ["v", "w"].map(|name| WorkerName::new(name).expect("a name")),
            holds: Vec::new(),
            pushed: Vec::new(),
            batches: Vec::new(),
        };
        world.look_at_clock();
        world
    }

    /// Which of `count`.
    fn pick(&self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }

    fn one_in(&self, count: usize) -> bool {
        self.pick(count) == 0
    }

    fn look_at_clock(&mut self) {
        self.plain.now_ms = self.home.now_ms(&self.store);
    }

    fn new_job(&self, queue: &QueueName) -> NewJob {
        let kinds = ["mail", "report", "sync"];
        let policy = Policy {
            max_kills: 1 + self.pick(2) as u16,
            delete_when_missing: self.one_in(2),
            ..Policy::DEFAULT
        };
        NewJob {
            kind: kind(kinds[self.pick(3)]),
            version: self.pick(2) as u32,
            policy,
            unique_key: self.one_in(4).then(|| format!("key{}", self.pick(2))),
            delay: Duration::from_millis(if self.one_in(4) { self.random.below(9000) } else { 0 }),
            ..NewJob::new(JobId::draw(&self.random), queue.clone(), kind("mail"), *b"{}")
        }
    }

    /// Mostly one in one of these states, so that something comes of what is done to it.
    fn some_job(&self, states: &[State]) -> JobId {
        let is_in = |job: &&Job| states.contains(&job.state);
        let there: Vec<JobId> =
            self.plain.jobs.iter().filter(is_in).map(|job| job.new.id).collect();
        if !there.is_empty() && !self.one_in(5) {
            return there[self.pick(there.len())];
        }
        match self.pushed.len() {
            0 => JobId::draw(&self.random),
            count => self.pushed[self.pick(count)].id,
        }
    }

    /// Mostly that of a job in one of these states, else one that was given at some time.
    fn some_hold(&self, states: &[State]) -> Hold {
        let given = self.holds.get(self.pick(self.holds.len().max(1)));
        match given {
            Some(given) if self.one_in(6) => *given,
            _ => {
                let id = self.some_job(states);
                let token = self.plain.find(id).map_or(1, |at| self.plain.jobs[at].token);
                hold(id, token)
            }
        }
    }

    fn some_outcome(&self, queue: &QueueName) -> Outcome {
        let reason = "because".to_owned();
        match self.pick(12) {
            0..=2 => {
                let follow_ups = (0..self.pick(3)).map(|_| self.new_job(queue)).collect();
                Outcome::Done { result: self.one_in(2).then(|| b"42".to_vec()), follow_ups }
            }
            3 => Outcome::Missing,
            4..=5 => Outcome::Retry {
                after: Duration::from_millis(self.random.below(4000)),
                reason,
                exception: self.one_in(2),
            },
            6 => Outcome::Failed { reason },
            7 => Outcome::Released,
            8 => Outcome::Cancelled,
            9 => Outcome::Isolated { reason, class: Class::Mb512 },
            _ => Outcome::Killed { reason },
        }
    }

    fn some_batch(&self) -> NewBatch {
        let queue = self.queues[self.pick(2)].clone();
        let id = BatchId::draw(&self.random);
        let callback = |name: &str| {
            let job = NewJob::new(JobId::draw(&self.random), queue.clone(), kind(name), *b"{}");
            (!self.one_in(4)).then_some(job)
        };
        let callbacks = Callbacks {
            then: callback("then"),
            catch: callback("catch"),
            finally: callback("finally"),
        };
        let job = |_| NewJob { batch: Some(id), ..self.new_job(&queue) };
        NewBatch {
            id,
            name: BatchName::new("batch").expect("a name"),
            queue: queue.clone(),
            tenant: Tenant::system(),
            allow_failures: self.one_in(2),
            callbacks,
            jobs: (0..self.pick(5)).map(job).collect(),
        }
    }

    async fn step(&mut self) {
        self.home.hold_clock(&self.queues);
        match self.pick(100) {
            0..=14 => self.push().await,
            15..=18 => self.push_batch().await,
            19..=38 => self.claim().await,
            39..=55 => self.start().await,
            56..=78 => self.finish().await,
            79..=81 => self.renew().await,
            82..=84 => self.reap().await,
            85..=87 => self.cancel().await,
            88..=89 => self.tend().await,
            90..=91 => self.revive().await,
            92..=93 => self.fire().await,
            94 => self.pause().await,
            95 => self.forget().await,
            96 => self.crash().await,
            _ => {
                self.home.advance(Duration::from_millis(self.random.below(3000)));
                self.look_at_clock();
            }
        }
    }

    async fn push(&mut self) {
        let queue = self.queues[self.pick(2)].clone();
        let mut jobs: Vec<_> = (0..1 + self.pick(4)).map(|_| self.new_job(&queue)).collect();
        if !self.pushed.is_empty() && self.one_in(5) {
            // Sent again, because nobody knows what became of it; unless it is gone by now.
            let again = self.pushed[self.pick(self.pushed.len())].clone();
            if again.batch.is_none() && again.queue == queue && self.plain.find(again.id).is_some()
            {
                jobs.push(again);
            }
        }
        if !self.batches.is_empty() && self.one_in(3) {
            let batch = &self.batches[self.pick(self.batches.len())];
            jobs = vec![NewJob { batch: Some(batch.id), ..self.new_job(&batch.queue) }];
        }
        let expected = self.plain.push(&jobs);
        assert_eq!(self.store.push(jobs.clone()).await.ok(), expected);
        self.pushed.extend(jobs);
    }

    async fn push_batch(&mut self) {
        let batch = self.some_batch();
        self.store.push_batch(batch.clone()).await.expect("pushed");
        self.plain.push_batch(&batch);
        self.pushed.extend(batch.jobs.iter().cloned());
        self.pushed.extend(batch.callbacks.iter().cloned());
        self.batches.push(batch);
    }

    async fn claim(&mut self) {
        let [first, second] = self.queues.clone();
        let claim = Claim {
            worker: self.workers[self.pick(2)].clone(),
            queues: vec![(first, self.pick(4)), (second, self.pick(4))],
            lease: LEASE,
            version: self.pick(2) as u32,
            except: if self.one_in(3) { vec![kind("mail")] } else { Vec::new() },
            rules: if self.one_in(2) { Arc::new([rules::rule()]) } else { Arc::default() },
            suspects: match () {
                () if self.one_in(4) => Suspects::None,
                () if self.one_in(4) => Suspects::Only,
                () => Suspects::Also,
            },
        };
        let expected = self.plain.claim(&claim);
        let claimed = self.store.claim(claim).await.expect("answers").jobs;
        let shown = claimed.iter().map(|it| (it.hold.id, it.hold.token.0, it.attempt, it.suspect));
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        self.holds.extend(claimed.iter().map(|it| it.hold));
    }

    async fn start(&mut self) {
        let hold = self.some_hold(&[State::Claimed]);
        let told = self.store.start(vec![hold]).await.expect("answers");
        assert_eq!(told, [self.plain.start(hold)]);
    }

    async fn renew(&mut self) {
        let hold = self.some_hold(&[State::Claimed, State::Running]);
        let told = self.store.renew(Renew { queue: None, holds: vec![hold], lease: LEASE }).await;
        assert_eq!(told, Ok(vec![self.plain.renew(hold, LEASE.as_millis() as u64)]));
    }

    async fn finish(&mut self) {
        let queue = self.queues[self.pick(2)].clone();
        let hold = self.some_hold(&[State::Running]);
        let outcome = self.some_outcome(&queue);
        let expected = self.plain.finish(hold, &outcome);
        if let Outcome::Done { follow_ups, .. } = &outcome {
            self.pushed.extend(follow_ups.iter().cloned());
        }
        let finished = self.store.finish(vec![Finish::new(hold, outcome)]).await;
        assert_eq!(finished, Ok(vec![expected]));
    }

    async fn reap(&mut self) {
        if self.one_in(3) {
            let worker = self.workers[self.pick(2)].clone();
            self.plain.reap(|job, _| Plain::is_of(job, &worker));
            self.store.reap(Reap::Dead(worker)).await.expect("answers");
        } else {
            self.plain.reap(|job, now_ms| job.at_ms <= now_ms);
            self.store.reap(Reap::Lapsed).await.expect("answers");
        }
    }

    async fn cancel(&mut self) {
        if !self.batches.is_empty() && self.one_in(3) {
            let id = self.batches[self.pick(self.batches.len())].id;
            self.plain.cancel_batch(id);
            self.store.cancel_batch(id).await.expect("answers");
            return;
        }
        let id = self.some_job(&[State::Running, State::Claimed]);
        assert_eq!(self.store.cancel(vec![id]).await, Ok(vec![self.plain.cancel(id)]));
    }

    async fn tend(&mut self) {
        self.store.tend().await.expect("answers");
        self.plain.tend();
    }

    async fn revive(&mut self) {
        let id = self.some_job(&[State::Failed, State::Cancelled]);
        assert_eq!(self.store.revive(vec![id]).await, Ok(vec![self.plain.revive(id)]));
    }

    /// With the mark that is there, or with another one.
    async fn fire(&mut self) {
        let queue = self.queues[self.pick(2)].clone();
        let expected_ms = match self.pick(4) {
            0 => None,
            1 => Some(self.random.below(3)),
            _ => self.plain.marks.get(&queue).copied(),
        };
        let jobs: Vec<_> = (0..self.pick(3)).map(|_| self.new_job(&queue)).collect();
        let schedule = ScheduleName::new("nightly").expect("a name");
        let mark_ms = self.random.below(3);
        let expected = self.plain.fire(&queue, expected_ms, mark_ms, &jobs);
        let fire = Fire { queue, schedule, expected_ms, mark_ms, jobs: jobs.clone() };
        assert_eq!(self.store.fire(fire).await, Ok(expected.clone()));
        if matches!(expected, Fired::Now(_)) {
            self.pushed.extend(jobs);
        }
    }

    async fn pause(&mut self) {
        let queue = self.queues[self.pick(2)].clone();
        if self.plain.paused.remove(&queue) {
            self.store.resume(queue).await.expect("answers");
        } else {
            self.plain.paused.insert(queue.clone());
            self.store.pause(queue).await.expect("answers");
        }
    }

    async fn forget(&mut self) {
        let id = self.some_job(&[State::Failed]);
        let at = self.plain.find(id);
        let at = at.filter(|at| self.plain.jobs[*at].state == State::Failed);
        assert_eq!(self.store.forget(id).await, Ok(at.is_some()));
        if let Some(at) = at {
            self.plain.jobs.remove(at);
        }
    }

    /// Another owner opens the file, and takes back what was held; or Redis is killed.
    async fn crash(&mut self) {
        self.store.close().await;
        let voids = self.home.crash();
        self.store = self.home.open().await;
        self.look_at_clock();
        self.plain.reap(|_, _| voids);
    }

    async fn compare(&self) {
        for job in &self.plain.jobs {
            let shown = self.store.show(job.new.id).await.expect("answers").expect("is there").job;
            let expected = (job.state, job.spent + job.taken, job.exceptions, job.kills);
            assert_eq!((shown.state, shown.attempt, shown.exceptions, shown.kills), expected);
            assert_eq!((shown.suspect, shown.at_ms), (job.taken > 0, job.at_ms), "{job:?}");
        }
        for (id, batch) in &self.plain.batches {
            let shown = self.store.show_batch(*id).await.expect("answers").expect("is there");
            let counts = [shown.total, shown.pending, shown.failed, shown.cancelled];
            assert_eq!(counts, [batch.total, batch.pending, batch.failed, batch.cancelled]);
            let ends = (shown.is_cancelled, shown.finished_ms.is_some());
            assert_eq!(ends, (batch.is_cancelled, batch.finished));
        }
        for figures in self.store.figures().await.expect("answers") {
            let count = |state| self.plain.count(&figures.queue, state);
            let counts = [
                (figures.scheduled, State::Scheduled),
                (figures.waiting, State::Waiting),
                (figures.claimed, State::Claimed),
                (figures.running, State::Running),
                (figures.done, State::Done),
                (figures.failed, State::Failed),
                (figures.cancelled, State::Cancelled),
            ];
            for (found, state) in counts {
                assert_eq!(found, count(state), "{state} on {}", figures.queue);
            }
        }
    }
}

/// Says which seed fails, and where.
async fn agree(seed: u64, home: Home) {
    let mut world = World::new(seed, home).await;
    for step in 0..STEPS {
        let taken = std::panic::AssertUnwindSafe(async {
            world.step().await;
            if step % LOOK == 0 {
                world.compare().await;
            }
        });
        if taken.catch_unwind().await.is_err() {
            panic!("seed {seed} fails at step {step}");
        }
    }
}

#[tokio::test]
async fn random_operations_end_like_those_on_a_plain_list() {
    for seed in 0..SEEDS {
        agree(seed, Home::embedded()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_on_redis_end_like_those_on_a_plain_list() {
    for seed in 0..SEEDS_ON_REDIS {
        agree(seed, Home::redis()).await;
    }
}
