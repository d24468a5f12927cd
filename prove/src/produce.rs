//! Pushing without end: plain jobs, unique ones, delayed ones, batches and what is added to them.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    BatchId, BatchName, Callbacks, JobId, NewBatch, NewJob, Pushed, QueueName, Store, StoreError,
    Tenant, run::Job,
};
use tokio::sync::watch;

use crate::{
    deed::Deed,
    entry::{BatchOffer, Entry, Offer},
    recorder::Journal,
};

/// Between two pushes, about.
const PAUSE_MS: u64 = 60;
/// Between two tries of the same push.
const AGAIN: Duration = Duration::from_millis(50);
/// So many keys there are, so that they meet.
const KEYS: u64 = 8;
const LONGEST_DELAY_MS: u64 = 1200;
/// How many of the last batches may get more jobs.
const OPEN_BATCHES: usize = 4;

pub(crate) struct Producer {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) batches: Vec<BatchId>,
}

impl Producer {
    /// Until it is told to be calm.
    pub(crate) async fn run(mut self, calm: watch::Receiver<bool>) -> Result<()> {
        while !*calm.borrow() {
            match self.random.below(10) {
                0..3 => self.push_batch().await?,
                3..4 => self.push_more().await?,
                _ => self.push_jobs().await?,
            }
            let pause = Duration::from_millis(self.random.below(2 * PAUSE_MS));
            self.clock.sleep(pause).await;
        }
        Ok(())
    }

    async fn push_jobs(&self) -> Result<()> {
        let mut jobs = Vec::new();
        for _ in 0..1 + self.random.below(5) {
            let mut deed = Deed::draw(&self.random);
            if self.random.below(5) == 0 {
                deed.unique = Some(format!("key-{}", self.random.below(KEYS)));
            }
            let (mut job, offer) = self.make(&deed)?;
            if self.random.below(5) == 0 {
                job.delay = Duration::from_millis(self.random.below(LONGEST_DELAY_MS));
            }
            jobs.push((job, offer));
        }
        self.push(jobs).await
    }

    /// To a batch that may have finished meanwhile: then they are refused.
    async fn push_more(&self) -> Result<()> {
        let Some(at) = self.random.below(self.batches.len() as u64 + 1).checked_sub(1) else {
            return Ok(());
        };
        let batch = self.batches.get(at as usize).copied();
        self.push(vec![self.make(&Deed { batch, ..Deed::draw(&self.random) })?]).await
    }

    async fn push(&self, jobs: Vec<(NewJob, Offer)>) -> Result<()> {
        let (jobs, offers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let push = self.random.id();
        self.journal.write(Entry::Offered { push, jobs: offers, batch: None });
        self.until_known(push, &Pushing::Jobs(jobs)).await;
        Ok(())
    }

    async fn push_batch(&mut self) -> Result<()> {
        let id = BatchId::draw(&self.random);
        let mut members = Vec::new();
        for _ in 0..self.random.below(6) {
            let deed = Deed { batch: Some(id), ..Deed::draw(&self.random) };
            members.push(self.make(&deed)?);
        }
        if !members.is_empty() && self.random.below(6) == 0 {
            let deed = Deed { batch: Some(id), hopeless: true, ..Deed::draw(&self.random) };
            members.push(self.make(&deed)?);
        }
        let (jobs, mut offers): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let mut callback = || {
            let (job, offer) = self.make(&Deed::default())?;
            offers.push(offer);
            Ok::<_, anyhow::Error>(job)
        };
        let (then, catch, finally) = (callback()?, callback()?, callback()?);
        let allow_failures = self.random.below(3) == 0;
        let offer = BatchOffer {
            batch: id,
            allow_failures,
            then: then.id,
            catch: catch.id,
            finally: finally.id,
        };
        let batch = NewBatch {
            id,
            name: BatchName::new("prove")?,
            queue: QueueName::new(Deed::QUEUE)?,
            tenant: Tenant::system(),
            allow_failures,
            callbacks: Callbacks { then: Some(then), catch: Some(catch), finally: Some(finally) },
            jobs,
        };
        let push = self.random.id();
        self.journal.write(Entry::Offered { push, jobs: offers, batch: Some(offer) });
        self.until_known(push, &Pushing::Batch(Box::new(batch))).await;
        if self.batches.len() == OPEN_BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(id);
        Ok(())
    }

    fn make(&self, deed: &Deed) -> Result<(NewJob, Offer)> {
        deed.new_job(&self.random).map_err(|stop| anyhow!("{stop}"))
    }

    /// Repeats a push until the store has said what became of it, as whoever pushes should.
    async fn until_known(&self, push: u64, what: &Pushing) {
        loop {
            match what.again(&self.store).await {
                Ok(pushed) => {
                    let instead = replaced(what.jobs(), &pushed);
                    return self.journal.write(Entry::Acked { push, instead });
                }
                Err(StoreError::Unavailable(_)) => self.clock.sleep(AGAIN).await,
                Err(error) => {
                    let reason = error.to_string();
                    return self.journal.write(Entry::Refused { push, reason });
                }
            }
        }
    }
}

/// What can be pushed again and again.
enum Pushing {
    Jobs(Vec<NewJob>),
    Batch(Box<NewBatch>),
}

impl Pushing {
    async fn again(&self, store: &Store) -> Result<Vec<Pushed>, StoreError> {
        match self {
            Pushing::Jobs(jobs) => store.push(jobs.clone()).await,
            Pushing::Batch(batch) => store.push_batch(NewBatch::clone(batch)).await,
        }
    }

    fn jobs(&self) -> &[NewJob] {
        match self {
            Pushing::Jobs(jobs) => jobs,
            Pushing::Batch(batch) => &batch.jobs,
        }
    }
}

/// Which of them were not pushed because another one holds their key.
fn replaced(jobs: &[NewJob], pushed: &[Pushed]) -> Vec<(JobId, JobId)> {
    let one = |(job, pushed): (&NewJob, &Pushed)| match pushed {
        Pushed::AlreadyThere(there) if *there != job.id => Some((job.id, *there)),
        _ => None,
    };
    jobs.iter().zip(pushed).filter_map(one).collect()
}
