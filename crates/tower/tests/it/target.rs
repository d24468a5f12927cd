//! A target that does what the test wants, and a clock that goes as the test wants.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use samovar_cache::Cache;
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_tower::{Change, Target, TargetError};
use tokio::{sync::watch, task::yield_now};

use crate::app::until;

/// A cache whose invalidation can be away, refuse or hang.
#[derive(Clone)]
pub(crate) struct Moody {
    cache: Cache,
    pub(crate) mood: watch::Sender<Mood>,
    /// Tries that have begun.
    pub(crate) tries: watch::Sender<usize>,
    /// Tries on which the cache is working now, in real time.
    at_work: Arc<AtomicUsize>,
}

/// A try on which the cache is working.
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    Well,
    Away,
    Refusing,
    Panicking,
    /// Until it is well.
    Silent,
}

impl Moody {
    pub(crate) fn new(cache: &Cache, mood: Mood) -> Self {
        let (mood, tries) = (watch::Sender::new(mood), watch::Sender::new(0));
        Self { cache: cache.clone(), mood, tries, at_work: Arc::default() }
    }

    pub(crate) fn tried(&self) -> usize {
        *self.tries.borrow()
    }

    pub(crate) async fn until_tried(&self, times: usize) {
        until("a try", || self.tried() >= times).await;
    }
}

impl Target for Moody {
    async fn invalidate(&self, change: &Change) -> Result<(), TargetError> {
        self.tries.send_modify(|tries| *tries += 1);
        let mood = *self.mood.borrow();
        match mood {
            Mood::Well => {}
            Mood::Away => return Err(TargetError::Away("as the test asked for".to_owned())),
            Mood::Refusing => return Err(TargetError::Refused("as the test asked for".to_owned())),
            Mood::Panicking => panic!("as the test asked for"),
            Mood::Silent => {
                let mut moods = self.mood.subscribe();
                moods.wait_for(|mood| *mood == Mood::Well).await.expect("the test lives");
            }
        }
        let _at_work = AtWork::begin(&self.at_work);
        Target::invalidate(&self.cache, change).await
    }
}

pub(crate) fn manual() -> (Arc<ManualClock>, Clock) {
    let manual = Arc::new(ManualClock::new(WallTime::from_millis(0)));
    (manual.clone(), Clock::Manual(manual))
}

/// Lets time go on to whatever is next, for as long as `work` lasts. It stands still while the cache
/// is working, which takes none of it.
pub(crate) async fn while_time_goes_on<T>(
    target: &Moody,
    clock: &ManualClock,
    work: impl Future<Output = T>,
) -> T {
    let ticking = async {
        loop {
            if target.at_work.load(Ordering::Relaxed) == 0
                && let Some(next) = clock.next_deadline()
            {
                clock.advance_to(next);
            }
            yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = ticking => unreachable!("it ticks for ever"),
    }
}
