//! Where background work runs.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hands a task to whoever runs them: a Tokio runtime, or a simulation's scheduler.
#[derive(Clone)]
pub enum Spawner {
    Tokio(tokio::runtime::Handle),
    Manual(Arc<dyn Fn(Task) + Send + Sync>),
}

impl Spawner {
    /// The runtime this is called in.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn current() -> Self {
        Spawner::Tokio(tokio::runtime::Handle::current())
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Spawner::Tokio(handle) => drop(handle.spawn(task)),
            Spawner::Manual(spawn) => spawn(Box::pin(task)),
        }
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spawner::Tokio(_) => "Spawner::Tokio",
            Spawner::Manual(_) => "Spawner::Manual",
        })
    }
}
