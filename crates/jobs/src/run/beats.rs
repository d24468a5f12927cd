//! Heartbeats, from a thread of their own: a job that keeps every other thread busy keeps its
//! lease, and one that hangs past its deadline loses it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Instant};
use tokio::sync::watch;

use super::{context::Told, steps};
use crate::{Held, Hold, JobId, QueueName, Store, limits, store::Renew};

/// Everything that a worker holds.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<JobId, Holding>>);

#[derive(Debug)]
struct Holding {
    hold: Hold,
    queue: QueueName,
    /// After it the lease runs out by itself; none before the job runs.
    deadline: Option<Instant>,
    told: watch::Sender<Told>,
}

impl Holds {
    pub(super) fn add(&self, hold: Hold, queue: QueueName) -> watch::Receiver<Told> {
        let (told, receiver) = watch::channel(Told::Nothing);
        self.all().insert(hold.id, Holding { hold, queue, deadline: None, told });
        receiver
    }

    pub(super) fn runs_until(&self, id: JobId, deadline: Instant) {
        if let Some(holding) = self.all().get_mut(&id) {
            holding.deadline = Some(deadline);
        }
    }

    pub(super) fn remove(&self, id: JobId) {
        self.all().remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    pub(super) fn by_queue(&self) -> HashMap<QueueName, usize> {
        let mut counts = HashMap::new();
        for holding in self.all().values() {
            *counts.entry(holding.queue.clone()).or_default() += 1;
        }
        counts
    }

    pub(super) fn tell_all(&self, what: Told) {
        self.all().values().for_each(|holding| holding.tell(what));
    }

    fn to_be_renewed(&self, now: Instant) -> Vec<Hold> {
        let lives = |holding: &&Holding| holding.deadline.is_none_or(|deadline| now < deadline);
        self.all().values().filter(lives).map(|holding| holding.hold).collect()
    }

    fn hear(&self, holds: &[Hold], said: &[Held]) {
        let all = self.all();
        for (hold, held) in holds.iter().zip(said) {
            // It may have been given back and claimed again meanwhile.
            let Some(holding) = all.get(&hold.id).filter(|it| it.hold == *hold) else { continue };
            match held {
                Held::Yes => steps::passed("renewed", *hold),
                Held::Cancelled => holding.tell(Told::Cancelled),
                Held::Lost => holding.tell(Told::Lost),
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<JobId, Holding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    /// What was lost stays lost, whatever else is told.
    fn tell(&self, what: Told) {
        self.told.send_if_modified(|told| {
            let news = *told != Told::Lost && *told != what;
            if news {
                *told = what;
            }
            news
        });
    }
}

/// Renews until `stop` is dropped or told.
pub(super) fn start(
    store: Arc<Store>,
    holds: Arc<Holds>,
    clock: Clock,
    lease: Duration,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let beat = async move {
        loop {
            let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
            if clock.timeout(lease / 3, stopped).await.is_ok() {
                return;
            }
            let all = holds.to_be_renewed(clock.now());
            for some in all.chunks(limits::JOBS_PER_CALL) {
                match store.renew(Renew { holds: some.to_vec(), lease }).await {
                    Ok(said) => holds.hear(some, &said),
                    // The next beat may still come in time; jobs keep running.
                    Err(error) => tracing::warn!(%error, "leases could not be renewed"),
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("samovar-beats".to_owned())
        .spawn(move || runtime.block_on(beat))
}
