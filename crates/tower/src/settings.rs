//! What can be set about a layer, and the counting of what it does in the background.

use std::{fmt, sync::Arc, time::Duration};

use http::{StatusCode, response};
use samovar_clock::{Clock, Spawner};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::limits;

pub(crate) type Succeeded = Arc<dyn Fn(&response::Parts) -> bool + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) patience: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) finish_within: Duration,
    pub(crate) cancel_when_dropped: bool,
    pub(crate) succeeded: Succeeded,
    pub(crate) clock: Clock,
    /// The runtime of the request unless set.
    pub(crate) spawner: Option<Spawner>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patience: limits::PATIENCE,
            retry_for: limits::RETRY_FOR,
            finish_within: limits::FINISH_WITHIN,
            cancel_when_dropped: false,
            succeeded: Arc::new(succeeded),
            clock: Clock::System,
            spawner: None,
        }
    }
}

/// 2xx, and the redirects that follow a form.
fn succeeded(head: &response::Parts) -> bool {
    let is_redirect = matches!(head.status, StatusCode::FOUND | StatusCode::SEE_OTHER);
    head.status.is_success() || is_redirect
}

impl Settings {
    pub(crate) fn spawner(&self) -> Spawner {
        self.spawner.clone().unwrap_or_else(Spawner::current)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("patience", &self.patience)
            .field("retry_for", &self.retry_for)
            .field("finish_within", &self.finish_within)
            .field("cancel_when_dropped", &self.cancel_when_dropped)
            .finish_non_exhaustive()
    }
}

/// How much is done that no client waits for.
#[derive(Clone, Debug)]
pub(crate) struct Background {
    count: Arc<watch::Sender<usize>>,
    running_on: Arc<Semaphore>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            count: Arc::new(watch::Sender::new(0)),
            running_on: Arc::new(Semaphore::new(limits::RUNNING_ON)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    pub(crate) fn begin(&self) -> Counted {
        self.count.send_modify(|count| *count += 1);
        Counted(self.count.clone())
    }

    /// The right of one request to run on; nothing when there are too many.
    pub(crate) fn run_on(&self) -> Option<OwnedSemaphorePermit> {
        self.running_on.clone().try_acquire_owned().ok()
    }

    pub(crate) async fn idle(&self) {
        let mut count = self.count.subscribe();
        // The sender lives as long as this does.
        drop(count.wait_for(|count| *count == 0).await);
    }
}

/// One thing that is done in the background, until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
