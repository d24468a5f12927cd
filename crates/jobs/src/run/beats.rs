//! Heartbeats, from a thread of their own: a job that keeps every other thread busy keeps its
//! lease, and one that hangs past its deadline loses it. Each beat also says that the worker is there,
//! and hears what it was told to do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use samovar_clock::{Clock, Instant};
use tokio::sync::watch;

use super::{context::Told, signs::Signs, steps};
use crate::{Held, Hold, QueueName, Store, limits, store::Renew};

/// Everything that a worker holds. By token, too: who lost a job while running it may be the one who
/// claims it next, and what ends then is one of the two.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<Hold, Holding>>);

#[derive(Debug)]
struct Holding {
    queue: QueueName,
    /// After it the lease runs out by itself; none before the job runs.
    deadline: Option<Instant>,
    /// It has run: what is left is to tell the store.
    is_over: bool,
    told: watch::Sender<Told>,
}

impl Holds {
    pub(super) fn add(&self, hold: Hold, queue: QueueName) -> watch::Receiver<Told> {
        let (told, receiver) = watch::channel(Told::Nothing);
        self.all().insert(hold, Holding { queue, deadline: None, is_over: false, told });
        receiver
    }

    pub(super) fn runs_until(&self, hold: Hold, deadline: Instant) {
        if let Some(holding) = self.all().get_mut(&hold) {
            holding.deadline = Some(deadline);
        }
    }

    /// Its attempt is over, and its slot free; the lease goes on until the store knows.
    pub(super) fn reports(&self, hold: Hold) {
        if let Some(holding) = self.all().get_mut(&hold) {
            (holding.is_over, holding.deadline) = (true, None);
        }
    }

    pub(super) fn remove(&self, hold: Hold) {
        self.all().remove(&hold);
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    pub(super) fn running(&self) -> usize {
        self.all().values().filter(|it| !it.is_over).count()
    }

    /// The slots that are taken, and how many outcomes the store does not know yet.
    pub(super) fn by_queue(&self) -> (HashMap<QueueName, usize>, usize) {
        let (mut counts, mut untold) = (HashMap::new(), 0);
        for holding in self.all().values() {
            if holding.is_over {
                untold += 1;
            } else {
                *counts.entry(holding.queue.clone()).or_default() += 1;
            }
        }
        (counts, untold)
    }

    pub(super) fn tell_all(&self, what: Told) {
        self.all().values().for_each(|holding| holding.tell(what));
    }

    fn to_be_renewed(&self, now: Instant) -> HashMap<QueueName, Vec<Hold>> {
        let lives = |holding: &Holding| holding.deadline.is_none_or(|deadline| now < deadline);
        let mut all: HashMap<QueueName, Vec<Hold>> = HashMap::new();
        for (hold, holding) in self.all().iter().filter(|(_, it)| lives(it)) {
            all.entry(holding.queue.clone()).or_default().push(*hold);
        }
        all
    }

    fn hear(&self, holds: &[Hold], said: &[Held]) {
        let all = self.all();
        for (hold, held) in holds.iter().zip(said) {
            // It may have ended meanwhile.
            let Some(holding) = all.get(hold) else { continue };
            match held {
                Held::Yes => steps::passed("renewed", *hold),
                Held::Cancelled => holding.tell(Told::Cancelled),
                Held::Lost => holding.tell(Told::Lost),
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Hold, Holding>> {
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

/// Beats until `stop` is dropped or told; then the worker is gone.
pub(super) fn start(
    store: Arc<Store>,
    signs: Signs,
    clock: Clock,
    (beat, lease): (Duration, Duration),
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let beats = async move {
        let between = beat.min(lease / 3);
        let mut own = None;
        loop {
            if own.is_none() {
                own = own_store(&store, &clock, between).await;
            }
            let own = own.as_ref().unwrap_or(&store);
            // Who cannot be heard of renews all the same.
            let presence = clock.timeout(between, present(own, &signs));
            let _ = tokio::join!(renew_all(own, &signs.holds, &clock, lease), presence);
            let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
            if clock.timeout(between, stopped).await.is_ok() {
                break;
            }
        }
        if let Err(error) = store.leave(signs.presence().worker).await {
            tracing::debug!(%error, "an ended worker stays among those that are known for a while");
        }
        if let Some(own) = own.filter(|own| !Arc::ptr_eq(own, &store)) {
            own.close().await;
        }
    };
    std::thread::Builder::new()
        .name("samovar-beats".to_owned())
        .spawn(move || runtime.block_on(beats))
}

/// On connections of this thread, which jobs cannot keep from being served (law 10); nothing as long
/// as there are none.
async fn own_store(store: &Arc<Store>, clock: &Clock, within: Duration) -> Option<Arc<Store>> {
    match clock.timeout(within, store.on_this_runtime()).await {
        Ok(Ok(None)) => Some(store.clone()),
        Ok(Ok(Some(own))) => Some(Arc::new(own)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "heartbeats have no connection of their own yet");
            None
        }
        Err(_) => None,
    }
}

/// Each queue by itself: one whose master is away keeps no lease of others from being renewed.
async fn renew_all(store: &Store, holds: &Holds, clock: &Clock, lease: Duration) {
    let renewals = holds.to_be_renewed(clock.now()).into_iter().map(|(queue, all)| async move {
        for some in all.chunks(limits::JOBS_PER_CALL) {
            let renew = Renew { queue: Some(queue.clone()), holds: some.to_vec(), lease };
            match store.renew(renew).await {
                Ok(said) => holds.hear(some, &said),
                // The next beat may still come in time; jobs keep running.
                Err(error) => tracing::warn!(%queue, %error, "leases could not be renewed"),
            }
        }
    });
    join_all(renewals).await;
}

async fn present(store: &Store, signs: &Signs) {
    match store.present(signs.presence()).await {
        Ok(None) => {}
        Ok(Some(order)) => signs.end(order),
        Err(error) => tracing::debug!(%error, "nobody knows of this worker"),
    }
}

#[cfg(test)]
mod tests {
    use samovar_clock::Random;

    use super::*;
    use crate::{JobId, name::Token};

    /// The lease of a job ran out under a worker that ran it, and the same worker claimed it again.
    /// The end of the first attempt took the second one's hold with it: it was told to stop at once, and
    /// nobody renewed its lease.
    #[test]
    fn the_end_of_a_lost_attempt_leaves_the_next_one_of_the_same_worker_alone() {
        let (id, holds) = (JobId::draw(&Random::seeded(1)), Holds::default());
        let queue = QueueName::new("q").expect("a name");
        let hold = |token| Hold { id, token: Token(token) };
        let old = holds.add(hold(1), queue.clone());
        let new = holds.add(hold(2), queue);
        assert_eq!(holds.len(), 2);

        let both = [hold(1), hold(2)];
        holds.hear(&both, &[Held::Lost, Held::Yes]);
        assert_eq!((*old.borrow(), *new.borrow()), (Told::Lost, Told::Nothing));
        holds.remove(hold(1));
        let renewed = holds.to_be_renewed(Clock::System.now());
        assert_eq!(renewed.into_values().collect::<Vec<_>>(), [[hold(2)]]);
        assert!(new.has_changed().is_ok(), "it can still be told something");
    }
}
