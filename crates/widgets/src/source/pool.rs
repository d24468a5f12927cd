//! A bounded set of connections to one database, whatever the driver.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SourceError;

/// At most so many are in use at a time; who finds them all in use waits for its turn. Those that
/// were given back are kept for the next.
#[derive(Debug)]
pub(crate) struct Pool<C> {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<C>>,
    clock: Clock,
    /// How long anyone waits.
    timeout: Duration,
}

/// The right to one connection. Dropped, it lets the next one in.
#[derive(Debug)]
pub(crate) struct Place<C> {
    pool: Arc<Pool<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C> Pool<C> {
    pub(crate) fn new(connections: usize, timeout: Duration, clock: Clock) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(connections));
        Arc::new(Self { permits, idle: Mutex::default(), clock, timeout })
    }

    pub(crate) async fn place(self: &Arc<Self>) -> Result<Place<C>, SourceError> {
        let permit = self.clock.timeout(self.timeout, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(SourceError::Busy) };
        Ok(Place { pool: self.clone(), _permit: permit })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Place<C> {
    /// The connection that was given back last, if there is one.
    pub(crate) fn idle(&self) -> Option<C> {
        self.pool.idle().pop()
    }

    /// The connection that was given back last and is good still. All that are not are dropped.
    pub(crate) fn idle_if(&self, is_good: impl Fn(&C) -> bool) -> Option<C> {
        let mut idle = self.pool.idle();
        let bad: Vec<C> = idle.extract_if(.., |connection| !is_good(connection)).collect();
        let last = idle.pop();
        // Closing them may take its time, and others want to know what is idle.
        drop(idle);
        drop(bad);
        last
    }

    /// Keeps a connection that is as good as new for whoever comes next.
    pub(crate) fn keep(&self, connection: C) {
        self.pool.idle().push(connection);
    }
}
