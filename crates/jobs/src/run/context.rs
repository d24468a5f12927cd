//! What a running job can do.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::Stream;
use samovar_clock::{Clock, Random};
use samovar_memory::{
    Account, Budget, ChunkMemory, ChunkSize, Pressure, SmallerChunks, Usage, in_chunks,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use super::{
    kind::{Job, NoSuchName, Stop, new_job},
    reach::Reach,
    registry::Registry,
};
use crate::{
    Claimed, Held, Hold, JobId, NewJob, Progress, QueueName, Record, RemoteName, StoreError,
    Tenant, Token, limits,
};

/// What a running job is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Told {
    #[default]
    Nothing,
    /// Somebody cancelled it.
    Cancelled,
    /// Another worker has it: whatever this one does is no longer recorded.
    Lost,
    /// The worker stops and cannot wait any longer: the job goes back to its queue.
    Drained,
}

/// Handed to [`Job::run`]. Clones are the same attempt.
#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    job: Claimed,
    reach: Reach,
    registry: Arc<Registry>,
    account: Account,
    /// Not in a child process.
    budget: Option<Budget>,
    clock: Clock,
    random: Random,
    told: watch::Receiver<Told>,
    left: Mutex<Left>,
    record: Mutex<Record>,
    /// The last checkpoint.
    saved: Mutex<Option<Vec<u8>>>,
}

/// What happens with the acknowledgement, or not at all.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Left {
    pub(super) follow_ups: Vec<NewJob>,
    pub(super) result: Option<Vec<u8>>,
}

/// What the worker gives to all of its jobs.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) reach: Reach,
    pub(super) registry: Arc<Registry>,
    pub(super) budget: Option<Budget>,
    pub(super) clock: Clock,
    pub(super) random: Random,
}

impl Context {
    pub(super) fn new(
        common: &Common,
        mut job: Claimed,
        account: Account,
        told: watch::Receiver<Told>,
    ) -> Self {
        let Common { reach, registry, budget, clock, random } = common.clone();
        let saved = Mutex::new(job.checkpoint.take());
        let (left, record) = Default::default();
        let inner = Inner {
            job,
            reach,
            registry,
            account,
            budget,
            clock,
            random,
            told,
            left,
            record,
            saved,
        };
        Self(Arc::new(inner))
    }

    pub(super) fn claimed(&self) -> &Claimed {
        &self.0.job
    }

    /// The remote of this name, if the kind of this job needs it.
    pub(super) fn needed(&self, name: &str) -> Option<RemoteName> {
        let needs = self.0.registry.needs_of(self.0.job.kind.as_str());
        needs.iter().find(|it| it.as_str() == name).cloned()
    }

    pub fn id(&self) -> JobId {
        self.0.job.hold.id
    }

    /// Of this attempt: of two that hold the same job, the one with the larger token counts.
    pub fn token(&self) -> Token {
        self.0.job.hold.token
    }

    pub fn tenant(&self) -> &Tenant {
        &self.0.job.tenant
    }

    pub fn queue(&self) -> &QueueName {
        &self.0.job.queue
    }

    /// 1 for the first one.
    pub fn attempt(&self) -> u32 {
        self.0.job.attempt
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What was put into the registry for jobs to use.
    pub fn service<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, Stop> {
        let missing = || {
            let name = std::any::type_name::<T>();
            Stop::Hopeless(format!("this worker offers no {name}: add it to the registry"))
        };
        self.0.registry.find().ok_or_else(missing)
    }

    pub fn told(&self) -> Told {
        *self.0.told.borrow()
    }

    /// Waits until there is a reason to stop.
    pub async fn to_be_stopped(&self) -> Told {
        let mut told = self.0.told.clone();
        match told.wait_for(|told| *told != Told::Nothing).await {
            Ok(told) => *told,
            // The worker is gone.
            Err(_) => Told::Lost,
        }
    }

    /// To be asked between two steps: whether to go on.
    pub fn check(&self) -> Result<(), Stop> {
        if self.told() != Told::Nothing {
            return Err(Stop::Told);
        }
        self.0.account.check().map_err(Stop::Memory)
    }

    /// What the job holds; nothing where memory is not metered.
    pub fn memory(&self) -> Option<Usage> {
        self.0.account.usage()
    }

    /// The tighter of the job's limit and the worker's budget.
    pub fn pressure(&self) -> Pressure {
        self.chunk_memory().pressure()
    }

    fn chunk_memory(&self) -> ChunkMemory {
        ChunkMemory::new(self.0.account.clone(), self.0.budget.clone())
    }

    /// How far it is, for people.
    pub async fn progress(&self, done: u64, of: u64, note: &str) -> Result<(), Stop> {
        let progress = Progress { done, of, note: note.to_owned() };
        go_on(self.0.reach.progress(self.0.job.hold, progress).await)
    }

    /// Remembers where it is: the next attempt, if there is one, finds it in [`Context::saved`].
    pub async fn checkpoint<T: Serialize>(&self, cursor: &T) -> Result<(), Stop> {
        let value = serde_json::to_vec(cursor)?;
        go_on(self.checkpoint_raw(value).await)
    }

    pub(super) async fn checkpoint_raw(&self, value: Vec<u8>) -> Result<Held, StoreError> {
        let held = self.0.reach.checkpoint(self.0.job.hold, value.clone()).await?;
        *lock(&self.0.saved) = Some(value);
        Ok(held)
    }

    /// The last checkpoint, of whichever attempt.
    pub fn saved<T: DeserializeOwned>(&self) -> Result<Option<T>, Stop> {
        Ok(lock(&self.0.saved).as_deref().map(serde_json::from_slice).transpose()?)
    }

    /// Works through a stream in chunks that get smaller under pressure. `each` returns the cursor
    /// behind its chunk, which is saved before the next one is read.
    pub async fn in_chunks<S, T, W>(
        &self,
        stream: S,
        most: usize,
        mut each: impl FnMut(Vec<S::Item>) -> W,
    ) -> Result<(), Stop>
    where
        S: Stream,
        T: Serialize,
        W: Future<Output = Result<T, Stop>>,
    {
        let cx = self.clone();
        let memory = self.chunk_memory().observed(move |it| {
            let SmallerChunks { pressure, from, to } = it;
            cx.note(format!("{pressure} pressure: chunks of {to}, not of {from}"));
        });
        in_chunks(stream, ChunkSize::at_most(most), &memory, |chunk| {
            let work = each(chunk);
            async move {
                self.check()?;
                let cursor = work.await?;
                self.checkpoint(&cursor).await
            }
        })
        .await
    }

    /// Another job, pushed if and when this attempt is acknowledged.
    pub fn push_on_ack<J: Job>(&self, job: &J) -> Result<JobId, Stop> {
        let mut new = new_job(job, &self.0.random).map_err(|error: NoSuchName| {
            // A constant that is no name stays one.
            Stop::Hopeless(error.to_string())
        })?;
        new.tenant = self.tenant().clone();
        let id = new.id;
        self.on_ack(new)?;
        Ok(id)
    }

    /// The same for a job that is put together by hand.
    pub fn on_ack(&self, job: NewJob) -> Result<(), Stop> {
        let mut left = self.left();
        if left.follow_ups.len() == limits::FOLLOW_UPS {
            let most = limits::FOLLOW_UPS;
            return Err(Stop::Hopeless(format!("a job may leave {most} others behind, not more")));
        }
        left.follow_ups.push(job);
        Ok(())
    }

    /// What is shown and kept as the job's result once it is acknowledged.
    pub fn result<T: Serialize>(&self, result: &T) -> Result<(), Stop> {
        self.left().result = Some(serde_json::to_vec(result)?);
        Ok(())
    }

    /// Runs `effect` unless an earlier attempt has recorded its result under this key. A crash
    /// between the effect and the record repeats it: hand the idempotency key, which is always the
    /// same, to whoever is called.
    pub async fn once<T, F>(&self, key: &str, effect: impl FnOnce(String) -> F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Stop>>,
    {
        let Inner { reach, job, .. } = &*self.0;
        if let Some(recorded) = reach.once(job.hold, key.to_owned()).await? {
            return Ok(serde_json::from_slice(&recorded)?);
        }
        let result = effect(format!("{}/{key}", job.hold.id)).await?;
        let value = serde_json::to_vec(&result)?;
        go_on(reach.record_once(job.hold, key.to_owned(), value).await)?;
        Ok(result)
    }

    pub(super) fn take_left(&self) -> Left {
        std::mem::take(&mut *self.left())
    }

    /// Something that the history of the job is to say about this attempt.
    pub fn note(&self, note: impl Into<String>) {
        lock(&self.0.record).note(note);
    }

    pub(super) fn take_record(&self) -> Record {
        std::mem::take(&mut *lock(&self.0.record))
    }

    /// As a child process left it.
    pub(super) fn leave(&self, left: Left) {
        *self.left() = left;
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.0.reach
    }

    pub(super) fn hold(&self) -> Hold {
        self.0.job.hold
    }

    pub(super) fn told_from_now_on(&self) -> watch::Receiver<Told> {
        self.0.told.clone()
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        lock(&self.0.left)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the store still knows the job as ours.
fn go_on(held: Result<Held, StoreError>) -> Result<(), Stop> {
    match held? {
        Held::Yes => Ok(()),
        Held::Cancelled | Held::Lost => Err(Stop::Told),
    }
}
